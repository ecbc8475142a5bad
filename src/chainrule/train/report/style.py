"""The style sheet of report.html: system fonts, one column on a phone, two on a screen, light and dark.

The eight line colours are Okabe and Ito's ("Color Universal Design", 2008) shifted for contrast on each ground, so
that readers who confuse red and green can tell them apart.
"""

from __future__ import annotations

CSS = """
:root { --ground:#fbfbf9; --panel:#fff; --ink:#1c1f24; --muted:#666c75; --rule:#e4e4df; --right:#0072b2;
  --wrong:#d1495b; --c0:#0072b2; --c1:#d55e00; --c2:#009e73; --c3:#b8559a; --c4:#8a6d00; --c5:#3b9fd6; --c6:#6a4fb3;
  --c7:#5c6470;
  --shade:0 1px 2px rgb(0 0 0 / 6%); }
@media (prefers-color-scheme: dark) { :root { --ground:#14171b; --panel:#1d2127; --ink:#e8e9eb; --muted:#9aa2ad;
  --rule:#323841; --right:#4aa8e0; --wrong:#f0727f; --c0:#4aa8e0; --c1:#f58b3c; --c2:#2fc59a; --c3:#e18cc4;
  --c4:#d9bb4a; --c5:#8fd0f5; --c6:#a996e8; --c7:#aab2bd; --shade:none; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--ground); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; }
main { max-width:1180px; margin:0 auto; padding:32px 20px 64px; }
h1 { font-size:28px; line-height:1.2; margin:0 0 4px; letter-spacing:-.01em; }
h2 { font-size:19px; margin:36px 0 12px; }
h3 { font-size:15px; margin:0 0 2px; }
p { margin:0; }
.muted { color:var(--muted); font-size:13px; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(140px,1fr)); gap:12px; margin-top:22px; }
.card, figure, .mistake { background:var(--panel); border:1px solid var(--rule); border-radius:10px;
  box-shadow:var(--shade); }
.card { padding:14px 16px; }
.card b { display:block; font-size:23px; line-height:1.25; font-variant-numeric:tabular-nums; }
.card span { color:var(--muted); font-size:13px; }
.figures { display:grid; grid-template-columns:repeat(2,minmax(0,1fr)); gap:14px; align-items:start; }
@media (max-width:820px) { .figures { grid-template-columns:minmax(0,1fr); } }
figure { margin:0; padding:16px 18px; }
.stack { display:grid; gap:14px; }
figure.wide { grid-column:1/-1; }
svg { display:block; width:100%; height:auto; margin-top:8px; font:12px system-ui,-apple-system,"Segoe UI",sans-serif; }
.grid { stroke:var(--rule); } .axis { stroke:var(--muted); } .tick { fill:var(--muted); } .label { fill:var(--muted); }
.line { fill:none; stroke-width:2; stroke-linejoin:round; } .line.dashed { stroke-dasharray:6 4; }
.dot { stroke:var(--panel); stroke-width:1; } .dot.hidden { opacity:0; } .dot:hover { opacity:1; r:5px; }
.points { fill:none; stroke:var(--c0); stroke-width:4; stroke-linecap:round; opacity:.35; }
.reference { stroke:var(--ink); stroke-width:1.2; stroke-dasharray:5 4; opacity:.7; fill:none; }
.bar { fill:var(--c0); opacity:.8; } .bar:hover { opacity:1; }
.cell { fill:var(--rule); opacity:.35; } .right { fill:var(--right); } .wrong { fill:var(--wrong); }
.count { fill:var(--ink); } .count.strong { fill:#fff; font-weight:600; }
.legend { display:flex; flex-wrap:wrap; gap:4px 14px; font-size:13px; margin-top:6px; color:var(--muted); }
.chip { display:inline-block; width:16px; height:3px; border-radius:2px; vertical-align:middle; margin-right:6px;
  background:var(--k); }
.chip.dashed { background:repeating-linear-gradient(90deg,var(--k) 0 5px,transparent 5px 8px); }
.mistakes { display:grid; grid-template-columns:repeat(auto-fill,minmax(112px,1fr)); gap:12px; }
.mistake { padding:10px; text-align:center; line-height:1.35; }
.mistake img { width:100%; aspect-ratio:1; object-fit:contain; image-rendering:pixelated; border-radius:6px;
  background:#000; margin-bottom:6px; }
.wrong-text { color:var(--wrong); text-decoration:line-through; }
table { border-collapse:collapse; width:100%; font-size:13.5px; font-variant-numeric:tabular-nums; margin-top:8px; }
th { text-align:left; color:var(--muted); font-weight:500; }
th, td { padding:5px 12px 5px 0; border-bottom:1px solid var(--rule); white-space:nowrap; }
tr:last-child td { border-bottom:0; }
.scroll { overflow-x:auto; }
.meter { display:inline-block; width:90px; height:8px; border-radius:4px; background:var(--rule); overflow:hidden; }
.meter i { display:block; height:100%; background:var(--right); }
ul { margin:6px 0 0; padding-left:20px; }
@media print { figure, .card, .mistake { break-inside:avoid; } }
""" + "".join(
    f".line.c{i} {{ stroke:var(--c{i}); }} .dot.c{i} {{ fill:var(--c{i}); }} .chip.c{i} {{ --k:var(--c{i}); }}\n"
    for i in range(8)
)
