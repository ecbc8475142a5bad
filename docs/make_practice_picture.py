"""Takes docs/images/play-practice.png: ``python docs/make_practice_picture.py`` (needs Playwright and a Chromium).

An exercise of the practice room as it is answered by who lets the second contribution overwrite the first, with hints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rooms import rooms

from chainrule.play.practice.exercise import Exercise, exercise
from chainrule.play.practice.grading import entered

TO = Path(__file__).parent / "images" / "play-practice.png"
ITEM = exercise("fanout", 3, 101)
BEFORE = [("path", 1, seed) for seed in range(4)] + [("local", 1, seed) for seed in range(2)] + [("edge", 1, 0)]


def take() -> None:
    """Answer a few exercises, so that the skills have points, then the one of the picture."""
    with rooms() as (browser, url):
        page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
        page.goto(f"{url}practice")
        for name, level, seed in BEFORE:
            item = exercise(name, level, seed)
            show(page, item)
            (field,) = item.fields
            page.fill(f"#field-{field.name}", entered(field, item.answers[field.name]))
            page.click("#check")
            page.wait_for_selector("#feedback .good")
        show(page, ITEM)
        overwrote = next(m for m in ITEM.mistakes if m.name == "overwrote")
        page.fill("#field-gradient", entered(ITEM.fields[0], overwrote.answers["gradient"]))
        page.click("#check")
        page.wait_for_selector("#feedback .bad")
        page.click("#hint")
        page.wait_for_selector("#hint-list li")
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
        page.wait_for_timeout(400)
        page.screenshot(path=TO)


def show(page: Any, item: Exercise) -> None:
    """Go to an item by its address."""
    page.evaluate(f"location.hash = 'kind={item.kind}&level={item.level}&seed={item.seed}&v=1'")
    page.wait_for_selector(f'#item[data-item="{item.kind}/{item.level}/{item.seed}"]')


if __name__ == "__main__":
    take()
    print(f"written: {TO}")
