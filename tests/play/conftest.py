"""A server on a free port, clients for it, and a real browser, for the tests of the pages."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playing import READY, SECONDS, until
from serving import Served, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server as ``chainrule play`` starts it, for all tests of a file: ``server.url``, ``server.client()``."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with serving() as served:
        yield served


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test leaves an error in the log; one that means to, clears ``caplog``."""
    yield
    found = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert not found, "\n".join(logging.Formatter().format(record) for record in found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium: the system's, or the one that Playwright installs; skipped where there is neither."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    with playwright.sync_playwright() as running:
        path = next(filter(None, map(shutil.which, BROWSERS)), None) or running.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("needs Chromium: the system's package, or python -m playwright install chromium")
        # Chromium's sandbox refuses to run as root.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        launched = running.chromium.launch(executable_path=path, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def console() -> list[str]:
    """What the pages of a test wrote to the console as errors; must be empty at its end."""
    return []


@pytest.fixture
def open_page(server: Served, browser: Any, console: list[str]) -> Iterator[Callable[..., Any]]:
    """``open_page("/walk", width=360, dark=True)``: a Playwright page of its own context.

    At the end of the test no page may have reported an error; a test that provokes one clears ``console``.
    """
    contexts: list[Any] = []

    def page_at(path: str = "/", *, width: int = 1024, height: int = 800, dark: bool = False, **more: Any) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **more
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and console.append(f"{said.text} ({said.location})"))
        page.on("pageerror", lambda error: console.append(str(error)))
        page.goto(server.url + path)
        return page

    yield page_at
    for context in contexts:
        context.close()
    assert console == []


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """The playground in a browser of 1024 × 800."""
    return open_page("/")


@pytest.fixture
def play(open_page: Callable[..., Any]) -> Callable[..., Any]:
    """A playground that has its first frame; options as for ``open_page``."""

    def opened(path: str = "/", **more: Any) -> Any:
        page = open_page(path, **more)
        page.wait_for_selector(READY, timeout=SECONDS)
        until(page, "playground.frame?.arrays.weights && playground.data")
        return page

    return opened


@pytest.fixture
def axe() -> Callable[[Any], list[str]]:
    """``axe(page)``: the serious and critical faults that axe-core finds."""
    sync = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")

    def faults(page: Any) -> list[str]:
        found = sync.Axe().run(page).response["violations"]
        return [
            f"{one['impact']}: {one['help']}: {', '.join(str(node['target']) for node in one['nodes'][:4])}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    return faults
