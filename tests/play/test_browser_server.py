"""The server seen from a real browser: pages load under their policy, foreign ones get nothing, drops are mended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from serving import Served, serving

pytestmark = pytest.mark.usefixtures("unchecked_graphs")


def until(page: Any, expression: str) -> None:
    """Wait until the expression is true; Playwright's own way of waiting needs eval, which the pages forbid."""
    end = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


@pytest.mark.parametrize("path", ["/", "/walk", "/practice"])
def test_a_page_loads_from_this_server_alone(open_page: Callable[..., Any], server: Served, path: str) -> None:
    asked: list[str] = []
    page = open_page(path)
    page.on("request", lambda request: asked.append(request.url))
    page.reload(wait_until="networkidle")
    own = (server.url + "/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert len(asked) >= 4
    assert page.evaluate("document.styleSheets.length") >= 2


FOREIGN = """async (address) => {
  const found = {};
  found.read = await fetch(`http://${address}/static/base.css`).then((a) => a.text(), () => "refused");
  const body = { method: "POST", mode: "no-cors", body: '{"expression": "x"}' };
  found.post = await fetch(`http://${address}/api/walk/explain`, body).then((a) => a.type, () => "refused");
  found.json = await fetch(`http://${address}/api/walk/explain`, { ...body, mode: "cors",
    headers: { "content-type": "application/json" } }).then(() => "answered", () => "refused");
  found.socket = await new Promise((done) => {
    const socket = new WebSocket(`ws://${address}/ws`);
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  });
  found.frame = await new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.src = `http://${address}/`;
    frame.onload = () => done(frame.contentDocument === null ? "refused" : "read");
    document.body.append(frame);
  });
  return found;
}"""


class _Foreign(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title><link rel=icon href='data:,'><body>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[str]:
    """A page of another server on this machine: the browser's own guard of private addresses does not help there."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Foreign) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{other.server_port}/"
        other.shutdown()
        thread.join()


def test_a_foreign_page_gets_nothing(server: Served, browser: Any, foreign: str) -> None:
    said: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("console", lambda line: said.append(line.text))
    page.goto(foreign)
    found = page.evaluate(FOREIGN, f"127.0.0.1:{server.port}")
    context.close()
    assert any("frame-ancestors" in line or "X-Frame-Options" in line for line in said), said
    assert found == dict.fromkeys(("read", "post", "json", "socket", "frame"), "refused")


def test_a_foreign_name_for_this_machine_gets_nothing(server: Served, browser: Any) -> None:
    """DNS rebinding: the browser takes the page for one of evil.example, and so does the server."""
    answer = browser.new_context().request.get(server.url, headers={"host": f"evil.example:{server.port}"})
    assert answer.status == 421


def test_a_connection_that_drops_is_taken_up_again(open_page: Callable[..., Any], console: list[str]) -> None:
    page = open_page("/")
    page.wait_for_selector("body[data-ready=yes]")
    page.evaluate("playground.ask('step', { unit: 'epoch', count: 2 })")
    until(page, "playground.state.epoch === 2 && playground.frame.epoch === 2")
    weights = page.evaluate("Array.from(playground.frame.arrays.weights)")
    page.evaluate("playground.source.socket.close()")
    until(page, "playground.source.socket.readyState === WebSocket.OPEN")
    until(page, "playground.frame !== null")
    page.evaluate("playground.ask('step', { unit: 'epoch' })")
    until(page, "playground.frame.epoch === 3")
    page.evaluate("playground.ask('back', { unit: 'epoch' })")
    until(page, "playground.frame.epoch === 2")
    assert page.evaluate("Array.from(playground.frame.arrays.weights)") == weights
    console.clear()


def test_a_server_that_ends_is_told_of(browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    with serving() as served:
        page.goto(served.url)
        page.wait_for_selector("body[data-ready=yes]")
    page.get_by_role("alert").filter(has_text="Trying again").wait_for()
    context.close()
