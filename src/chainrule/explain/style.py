"""The style sheet of an explanation's page: one type scale, a calm palette, light and dark.

All rules are below ``.cr-explain``, so that a notebook's own pages keep theirs.
"""

from __future__ import annotations

_LIGHT = """--ground:#fbfbf9; --panel:#fff; --ink:#1c1f24; --muted:#626973; --rule:#e4e4df; --blue:#0067a3;
--amber:#a15c00; --zero:#b42335; --good:#00694d; --wash:#eef4f9; --warm:#fdf3e4;"""
_DARK = """--ground:#14171b; --panel:#1d2127; --ink:#e8e9eb; --muted:#a0a8b3;
--rule:#343a44; --blue:#63b5ea; --amber:#eeb35c; --zero:#ff8a93; --good:#4cc7a0; --wash:#1c2a36; --warm:#33291a;"""

_GRAPH = """.cr-graph { display:block; background:var(--panel);
  font:13px system-ui,-apple-system,"Segoe UI",sans-serif; }
.cr-graph rect { fill:var(--panel); stroke:var(--muted); stroke-width:1.2; }
.cr-graph .cr-weight rect { fill:var(--wash); stroke:var(--blue); stroke-width:1.8; }
.cr-graph .cr-data rect { stroke-dasharray:4 3; }
.cr-graph .cr-loss rect { fill:var(--warm); stroke:var(--amber); stroke-width:1.8; }
.cr-graph .cr-dead rect { stroke:var(--zero); }
.cr-graph text { fill:var(--ink); } .cr-graph .cr-symbol { font-weight:600; font-size:15px; }
.cr-graph .cr-value { text-anchor:end; } .cr-graph .cr-gradient { text-anchor:end; fill:var(--blue); font-size:12.5px; }
.cr-graph .cr-dead .cr-gradient { fill:var(--zero); }
.cr-graph .cr-edge { fill:none; stroke:var(--muted); stroke-width:1.3; opacity:.75; }
.cr-graph .cr-cut { stroke-dasharray:3 4; opacity:.5; } .cr-graph .cr-zero { stroke:var(--zero); }
.cr-graph .cr-tip { fill:var(--muted); }
.cr-graph .cr-local { font-size:12px; fill:var(--amber); text-anchor:middle; paint-order:stroke;
  stroke:var(--panel); stroke-width:4px; stroke-linejoin:round; }
.cr-graph .cr-far { fill:var(--muted); font-size:11.5px; }
"""

_PAGE = """
.cr-explain { @LIGHT
  background:var(--ground); color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; }
@media (prefers-color-scheme: dark) { .cr-explain { @DARK } }
.cr-explain * { box-sizing:border-box; }
.cr-explain main { max-width:1240px; margin:0 auto; padding:28px 20px 56px; }
.cr-explain h1 { font:600 22px/1.3 ui-monospace,"SF Mono",Menlo,Consolas,monospace; margin:0 0 4px;
  overflow-wrap:anywhere; }
.cr-explain h2 { font-size:17px; margin:34px 0 10px; }
.cr-explain p { margin:0; } .cr-explain .cr-note { color:var(--muted); font-size:13px; }
.cr-explain .cr-key { background:var(--warm); border-radius:10px; padding:16px 18px; margin-top:18px; font-size:20px;
  overflow-x:auto; }
.cr-explain .cr-panel { background:var(--panel); border:1px solid var(--rule); border-radius:10px; overflow:auto;
  max-height:80vh; }
.cr-explain table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
.cr-explain th { text-align:left; color:var(--muted); font-weight:500; font-size:13px; }
.cr-explain th, .cr-explain td { padding:8px 14px; border-bottom:1px solid var(--rule); vertical-align:top; }
.cr-explain tr:last-child > td { border-bottom:0; }
.cr-explain td.cr-number { color:var(--muted); width:1%; text-align:right; }
.cr-explain td.cr-formula { font-size:17px; } .cr-explain td.cr-formula > div + div { margin-top:6px; }
.cr-explain td.cr-said { width:34%; color:var(--muted); font-size:13px; }
.cr-explain code { font:12.5px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace; overflow-wrap:anywhere; }
.cr-explain .cr-why { color:var(--zero); } .cr-explain .cr-good { color:var(--good); }
.cr-explain math { font-size:1.06em; }
.cr-explain .cr-array { color:var(--muted); font-size:13px; white-space:nowrap; }
@GRAPH@media (max-width:720px) {
  .cr-explain td.cr-said { display:block; width:auto; border-bottom:1px solid var(--rule); }
  .cr-explain td.cr-formula { display:block; border-bottom:0; } .cr-explain td.cr-number { display:none; } }
@media print { .cr-explain .cr-panel { max-height:none; } }
"""

CSS = _PAGE.replace("@LIGHT", _LIGHT).replace("@DARK", _DARK).replace("@GRAPH", _GRAPH)
"""Of a page or a notebook's cell."""

GRAPH_CSS = (
    f".cr-graph {{ {_LIGHT} }} @media (prefers-color-scheme: dark) {{ .cr-graph {{ {_DARK} }} }}" + _GRAPH
)
"""Of a drawn graph in a file of its own."""
