"""The page that needs no server, in a real browser, from ``file://``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainrule.cli.main import app

pytestmark = pytest.mark.usefixtures("unchecked_graphs")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``chainrule play --export`` writes."""
    file = tmp_path_factory.mktemp("export") / "playground.html"
    with pytest.raises(SystemExit) as ended:
        app(["play", "--export", str(file)], prog_name="chainrule")
    assert ended.value.code == 0
    return file


@pytest.fixture
def said() -> list[str]:
    """What the page reported or asked a network for; must be empty at the end."""
    return []


@pytest.fixture
def page(browser: Any, saved: Path, said: list[str]) -> Iterator[Any]:
    """The saved page, without any network."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(10_000)
    found = context.new_page()
    found.on("console", lambda line: line.type in ("error", "warning") and said.append(line.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    local = ("file:", "data:", "blob:")
    found.on("request", lambda request: request.url.startswith(local) or said.append(request.url))
    found.goto(saved.as_uri())
    found.wait_for_selector("body[data-ready=yes]")
    yield found
    context.close()
    assert said == []


def until(page: Any, expression: str) -> None:
    """Wait until the expression is true; Playwright's own way of waiting needs eval, which the page forbids."""
    end = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def position(page: Any) -> int:
    """The recorded frame that is shown, from 0."""
    found: int = page.evaluate("playground.source.at")
    return found


def test_it_opens_at_the_present_state_and_plays_from_the_beginning(page: Any) -> None:
    length = page.evaluate("playground.source.length")
    assert length > 50
    until(page, "playground.frame !== null && playground.source.at === playground.source.length - 1")
    epoch = page.evaluate("playground.frame.epoch")
    assert epoch == 100
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "playground.source.at > 3 && playground.source.at < playground.source.length - 1")
    page.get_by_role("button", name="Pause", exact=True).click()
    at = position(page)
    page.wait_for_timeout(200)
    assert position(page) == at


def test_it_is_scrubbed_and_stepped_by_keyboard(page: Any) -> None:
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    until(page, "playground.source.at === 0")
    assert page.evaluate("playground.frame.step") == 0
    first = page.evaluate("Array.from(playground.frame.arrays.weights)")
    for _ in range(5):
        slider.press("ArrowRight")
    until(page, "playground.source.at === 5")
    assert page.evaluate("Array.from(playground.frame.arrays.weights)") != first
    slider.press("End")
    until(page, "playground.source.at === playground.source.length - 1")


def test_the_explanation_of_a_weight_is_there(page: Any, saved: Path) -> None:
    text = saved.read_text(encoding="utf-8")
    start = text.index('id="recording">') + len('id="recording">')
    kept = json.loads(text[start : text.index("</script>", start)])
    expected = kept["answers"]["explain weight 0 1 0"]
    page.evaluate("playground.select({ what: 'weight', layer: 1, to: 1, from: 0 })")
    body = page.locator("#inspector-body")
    body.get_by_text("chain rule").first.wait_for()
    gradient = expected["gradient"]
    assert f"{abs(gradient):.2g}".lstrip("0.")[:2] in body.inner_text()
    assert body.locator("math").count() >= 2


def test_what_needs_the_engine_is_not_offered(page: Any) -> None:
    assert page.get_by_role("button", name="Gallery").count() == 0
    assert page.get_by_role("link", name="Walkthrough").count() == 0
    said = page.evaluate("playground.source.ask('set', { settings: { hidden: [3] } }).catch((error) => error.message)")
    assert "recording" in said


def test_no_script_from_elsewhere_runs_in_it(page: Any, said: list[str]) -> None:
    blocked = page.evaluate(
        """new Promise((found) => {
          document.addEventListener("securitypolicyviolation", (event) => found(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.evil = true";
          document.body.append(script);
          setTimeout(() => found("nothing was blocked"), 2000);
        })"""
    )
    assert blocked.startswith("script-src")
    assert page.evaluate("window.evil === undefined")
    assert len(said) == 1
    said.clear()


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1024, False), (3840, False)])
def test_every_width(browser: Any, saved: Path, width: int, dark: bool) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(saved.as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_no_serious_fault_of_accessibility(page: Any, axe: Any) -> None:
    assert axe(page) == []
