"""Takes docs/images/play-walk.png: ``python docs/make_walk_picture.py`` (needs Playwright and a Chromium).

The worked neuron of the walkthrough, at the step in which the gradient reaches the weight.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

TO = Path(__file__).parent / "images" / "play-walk.png"


def take(url: str) -> None:
    """Step to the seventh step, with the keyboard, and look at the next page of the tour."""
    with sync_playwright() as running:
        path = shutil.which("chromium") or shutil.which("google-chrome") or running.chromium.executable_path
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 960}, color_scheme="light", reduced_motion="reduce")
        page.goto(f"{url}walk")
        page.wait_for_selector("#graph .node")
        for _ in range(7):
            page.keyboard.press("ArrowRight")
        page.get_by_role("button", name="Next").click()
        page.locator("#curve-choice").select_option(label="L as a moves")
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(400)
        page.screenshot(path=TO)
        browser.close()


if __name__ == "__main__":
    command = [sys.executable, "-m", "chainrule.cli.main", "play", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            take(server.stdout.readline().strip())
        finally:
            server.terminate()
    print(f"written: {TO}")
