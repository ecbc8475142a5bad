"""Takes the pictures of the playground, docs/images/play-*.png (needs Playwright and a Chromium).

The page as it learns, a weight looked into, a half-step back, a run that broke, five classes in the dark, a telephone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser
from rooms import rooms

TO = Path(__file__).parent / "images"
PATIENCE = 60  # seconds


def until(page: Any, condition: str) -> None:
    """Wait until an expression of the page holds."""
    for _ in range(PATIENCE * 20):
        if page.evaluate(f"Boolean({condition})"):
            return
        page.wait_for_timeout(50)
    raise TimeoutError(condition)


def press(page: Any, name: str) -> None:
    """Click a button."""
    page.get_by_role("button", name=name, exact=True).first.click()


def played(page: Any, steps: int) -> None:
    """Play until so many steps are done and the verdict is there."""
    press(page, "Play")
    until(page, f"playground.frame.step >= {steps}")
    until(page, "document.querySelector('#verdict').className !== 'verdict'")


def learning(page: Any) -> None:
    """The page as it opens, after some epochs and a moment of play."""
    page.evaluate("playground.ask('step', {unit: 'epoch', count: 60})")
    until(page, "playground.state.epoch === 60")
    played(page, 1700)
    until(page, "document.querySelector('#verdict').innerText.includes('learnt')")


def inside(page: Any) -> None:
    """The chain rule of one weight."""
    page.evaluate("playground.ask('step', {unit: 'epoch', count: 20})")
    until(page, "playground.state.epoch === 20")
    page.evaluate("playground.select({what: 'weight', layer: 1, to: 1, from: 0})")
    page.locator(".paths").wait_for()


def backward(page: Any) -> None:
    """Cotangents on their way back, lines coloured by gradient."""
    page.evaluate("playground.ask('step', {unit: 'epoch', count: 12})")
    until(page, "playground.state.epoch === 12")
    press(page, "gradient")
    press(page, "Backward")
    page.evaluate("scrollTo(0, 0)")
    until(page, "playground.net.flow?.time > 0.35")


def broken(page: Any) -> None:
    """A run that left the finite numbers, and why."""
    press(page, "Gallery")
    page.locator("[data-id=explode]").click()
    page.get_by_text("left the finite numbers first").wait_for()


def classes(page: Any) -> None:
    """Five classes."""
    press(page, "Gallery")
    page.locator("[data-id=softmax]").click()
    until(page, "playground.frame.step > 2000")
    until(page, "document.querySelector('#verdict').classList.contains('good-news')")


def taken(browser: Browser, url: str, name: str, prepare: Callable[[Any], None], size: tuple[int, int],
          dark: bool = False, part: str = "") -> None:  # fmt: skip
    """One picture: of what is in sight, or of the element ``part``."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", device_scale_factor=1
    )
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    until(page, "playground.frame?.arrays.weights && playground.data")
    page.wait_for_timeout(300)
    prepare(page)
    if not part:
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
    if not part:
        page.wait_for_timeout(300)
    (page.locator(part) if part else page).screenshot(path=TO / f"play-{name}.png")
    page.close()


def main() -> None:
    """All of them, from one server."""
    with rooms() as (browser, url):
        taken(browser, url, "playground", learning, (1280, 940))
        taken(browser, url, "inside", inside, (1440, 1500), part="#inspector")
        taken(browser, url, "backward", backward, (1280, 1000), part="#net")
        taken(browser, url, "broken", broken, (1280, 760))
        taken(browser, url, "classes", classes, (1280, 940), dark=True)
        taken(browser, url, "phone", learning, (360, 780), dark=True)


if __name__ == "__main__":
    main()
