"""Takes docs/images/play-walk.png: ``python docs/make_walk_picture.py`` (needs Playwright and a Chromium).

The worked neuron of the walkthrough, at the step in which the gradient reaches the weight.
"""

from __future__ import annotations

from pathlib import Path

from rooms import rooms

TO = Path(__file__).parent / "images" / "play-walk.png"


def take() -> None:
    """Step to the seventh step, with the keyboard, and look at the next page of the tour."""
    with rooms() as (browser, url):
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


if __name__ == "__main__":
    take()
    print(f"written: {TO}")
