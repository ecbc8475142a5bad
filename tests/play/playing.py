"""What the browser tests of the playground share: waiting for the page's own state, and reading it."""

from __future__ import annotations

import time
from typing import Any

READY = "body[data-ready]"
SECONDS = 15_000  # in milliseconds, as Playwright counts


def until(page: Any, condition: str) -> None:
    """Wait until an expression of the page's own state holds.  (The page's policy forbids Playwright's own polling.)"""
    end = time.monotonic() + SECONDS / 1000
    while not page.evaluate(f"Boolean({condition})"):
        assert time.monotonic() < end, f"never came: {condition}"
        page.wait_for_timeout(30)


def state(page: Any) -> dict[str, Any]:
    """The state of the run, as the page has it."""
    found: dict[str, Any] = page.evaluate("playground.state")
    return found


def settings(page: Any) -> dict[str, Any]:
    """The settings, as the page has them."""
    found: dict[str, Any] = state(page)["settings"]
    return found


def weights(page: Any) -> list[float]:
    """All weights as the engine has them, float64."""
    layers = page.evaluate("playground.source.ask('state').then((answer) => answer.state.layers)")
    return [w for layer in layers for row in layer["weight"] for w in row]


def button(page: Any, name: str) -> Any:
    """The button of that very name."""
    return page.get_by_role("button", name=name, exact=True)


def more_choices(page: Any) -> None:
    """Open all further choices."""
    page.locator("#net-more summary").click()


_MIDDLE = """([layer, to, from]) => {
  const l = playground.plan.links.find((one) => one.layer === layer && one.to === to && one.from === from);
  const t = 0.85, u = 1 - t, a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t, d = t * t * t;
  return [a * l.x0 + b * l.c0 + c * l.c1 + d * l.x1, (a + b) * l.y0 + (c + d) * l.y1];
}"""


def click_link(page: Any, layer: int, to: int, source: int) -> None:
    """Click a weight's line on the canvas, near its end."""
    canvas = page.locator(".plan > canvas")
    canvas.scroll_into_view_if_needed()
    x, y = page.evaluate(_MIDDLE, [layer, to, source])
    canvas.click(position={"x": x, "y": y})
