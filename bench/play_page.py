"""The pages in a real browser: first paint, weight, frames shown and steps trained a second.

    python -m bench.play_page [--seconds 5]

Starts the server in this process and Chromium (the system's, or Playwright's).  Frames are those that the playground
drew: one call of requestAnimationFrame each.  Server, engine and browser share the machine, as they do for a user.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import Any

PAGES = ("/", "/walk", "/practice")
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_WEIGHT = """performance.getEntriesByType('resource').filter((one) => one.name.includes('/static/'))
  .concat(performance.getEntriesByType('navigation')).reduce((sum, one) => sum + one.decodedBodySize, 0)"""
_COUNT = """() => {
  window.counted = { drawn: 0, frames: 0 };
  let last = null;
  const look = () => {
    counted.drawn++;
    if (playground.frame && playground.frame.frame !== last) { last = playground.frame.frame; counted.frames++; }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def _serve() -> tuple[Any, threading.Thread, str]:
    from chainrule.play import web

    listening = web.bind(0)
    port = listening.getsockname()[1]
    server = web.make_server(web.make_app(port))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    return server, thread, f"http://127.0.0.1:{port}"


def measure(seconds: float = 5.0, loads: int = 5) -> dict[str, Any]:
    """First paint (median of ``loads``, each in a fresh context) and bytes per page; rates of the playground."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    server, thread, url = _serve()
    found: dict[str, Any] = {"paint_ms": {}, "bytes": {}}
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=arguments)
        for at in PAGES:
            paints = []
            for _ in range(loads):
                context = browser.new_context()
                page = context.new_page()
                page.goto(url + at, wait_until="networkidle")
                paints.append(page.evaluate(_PAINT))
                found["bytes"][at] = page.evaluate(_WEIGHT)
                context.close()
            found["paint_ms"][at] = statistics.median(p for p in paints if p is not None)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector("body[data-ready=yes]")
        page.evaluate("playground.ask('set', { settings: { hidden: [8, 8], batch_size: 10 } })")
        page.evaluate("playground.ask('play')")
        time.sleep(2)  # until it is compiled
        page.evaluate(_COUNT)
        start, before = time.monotonic(), page.evaluate("playground.frame.step")
        time.sleep(seconds)
        counted, after = page.evaluate("counted"), page.evaluate("playground.frame.step")
        took = time.monotonic() - start
        found |= {name: count / took for name, count in counted.items()}
        found["steps"] = (after - before) / took
        browser.close()
    server.should_exit = True
    thread.join(10)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.play_page", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args(arguments)
    found = measure(options.seconds)
    for at in PAGES:
        print(f"{at:<10} first paint {found['paint_ms'][at]:5.0f} ms, {found['bytes'][at] / 1000:6.1f} kB")
    print(f"2-8-8-1, batch 10: {found['drawn']:.0f} pictures/s of the browser, {found['frames']:.0f} new frames/s, "
          f"{found['steps']:,.0f} steps/s")  # fmt: skip
    print(f"load average {Path('/proc/loadavg').read_text().split()[0] if Path('/proc/loadavg').exists() else '?'}")


if __name__ == "__main__":
    main()
