"""Pages, their files and the rooms' end points, and who may ask for them."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from serving import Served, serving

from chainrule.base.errors import OptionError
from chainrule.play import assets, web
from chainrule.play.guard import HEADERS, policy

STATIC = files("chainrule.play") / "static"
MOST_WEIGHT = 400_000  # bytes of a page with all that it loads, uncompressed


def _square(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(body.get("x"), (int, float)):
        raise OptionError("x is no number", expected="x", got=body.get("x"), where="x", fix="give x")
    return {"square": body["x"] ** 2}


def _fail(body: dict[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError("a bug")


def _wait(body: dict[str, Any]) -> dict[str, Any]:
    time.sleep(body["seconds"])
    return {}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving(endpoints={"room": {"square": _square, "fail": _fail, "wait": _wait}}) as served:
        yield served


def raw(server: Served, *lines: str, body: bytes = b"") -> tuple[int, str]:
    """Status and text of the answer to a request as it stands."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as bare:
        bare.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1") + body)
        answer = b""
        while piece := bare.recv(65536):
            answer += piece
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), text.decode()


# Files.


def test_every_file_of_the_package_is_served_as_it_is(server: Served) -> None:
    table = assets.table()
    assert {"/", "/static/base.css", "/static/ui.js"} <= set(table)
    for address, asset in table.items():
        answer = server.get(address)
        assert answer.status_code == 200
        assert answer.content == asset.source.read_bytes()
        assert answer.headers["content-type"] == asset.kind
        assert answer.headers["cache-control"] == "no-cache"


def test_every_answer_has_the_headers(server: Served) -> None:
    for answer in (
        server.get("/"), server.get("/static/base.css"), server.get("/nowhere"), server.get("/api/room/square"),
        server.post("/api/room/square", {"x": 3}), server.post("/api/room/square", {}), server.post("/api/no/no", {}),
        server.get("/", headers={"host": "evil.example"}),
    ):  # fmt: skip
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url
        assert answer.headers.get_list("content-security-policy") == [policy(server.port)]
    assert "unsafe" not in policy(1)
    assert "http" not in policy(1)
    assert "default-src 'none'" in policy(1)


def test_compressed_where_it_is_understood_and_not_sent_twice(server: Served) -> None:
    plain = server.get("/static/base.css", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = server.get("/static/base.css", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    again = server.get("/static/base.css", headers={"if-none-match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert plain.headers["etag"] == f'"{hashlib.sha256(plain.content).hexdigest()[:32]}"'


def test_head_has_no_body(server: Served) -> None:
    status, text = raw(server, "HEAD / HTTP/1.1", f"host: 127.0.0.1:{server.port}")
    assert (status, text) == (200, "")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../web.py", "/static/%2e%2e/web.py", "/static/..%2fweb.py", "/static/....//web.py", "/static//ui.js",
        "/../../etc/passwd", "/static/%00", "/static/", "/static", "/static/base.css/", "/STATIC/base.css",
        "/static/base.css%00.png", "/static/\\..\\web.py", "//static/base.css", "/walk/..", "/static/playground.html",
    ],
)  # fmt: skip
def test_nothing_else_is_served(server: Served, path: str) -> None:
    status, text = raw(server, f"GET {path} HTTP/1.1", f"host: 127.0.0.1:{server.port}")
    assert status == 404
    assert json.loads(text)["error"]["what"] == "there is no such page"


def test_pages_load_nothing_from_elsewhere_and_have_no_inline_code() -> None:
    for address, asset in assets.table().items():
        text = asset.source.read_text(encoding="utf-8") if asset.kind.startswith("text") else ""
        assert not re.search(r"""(src|href|action)\s*=\s*["']?(https?:)?//""", text), address
        assert not re.search(r"""@import|url\(\s*["']?(https?:)?//""", text), address
        assert not re.search(r"""\beval\(|new Function|insertAdjacentHTML|innerHTML|document\.write""", text), address
        if address in assets.PAGES:
            assert not re.search(r"<style|\sstyle=|\son[a-z]+\s*=", text), address
            assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), address


@pytest.mark.parametrize("address", sorted(assets.PAGES))
def test_a_page_with_all_that_it_loads_weighs_little(address: str) -> None:
    table = assets.table()
    if address not in table:
        pytest.skip("this room is not built")
    loaded = closure(address, table)
    weight = sum(len(table[one].source.read_bytes()) for one in loaded)
    assert len(loaded) >= 4
    assert weight < MOST_WEIGHT, f"{weight:,} bytes in {len(loaded)} files"


NAMED = {
    "text/html": re.compile(r"""<(?:script|link|img)\b[^>]*?(?:src|href)=["']([^"']+)["']"""),
    "text/javascript": re.compile(r"""^import\b[^"']*["']([^"']+)["']""", re.MULTILINE),
}


def closure(address: str, table: dict[str, assets.Asset]) -> set[str]:
    """The addresses of a page and of everything that it, and what it loads, names."""
    found, todo = set(), [address]
    while todo:
        at = todo.pop()
        if at in found:
            continue
        found.add(at)
        text = table[at].source.read_text(encoding="utf-8")
        folder = at.rpartition("/")[0]
        pattern = NAMED.get(table[at].kind.partition(";")[0])
        for named in pattern.findall(text) if pattern else ():
            if not named.startswith("data:"):
                todo.append(resolved(folder, named))
    return found


def resolved(folder: str, named: str) -> str:
    if named.startswith("/"):
        return named
    parts = folder.split("/")
    for piece in named.split("/"):
        if piece == "..":
            parts.pop()
        elif piece != ".":
            parts.append(piece)
    return "/".join(parts)


# Who may ask.


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "[::1]:{}"])
def test_names_of_this_machine(server: Served, host: str) -> None:
    name = host.format(server.port)
    assert raw(server, "GET / HTTP/1.1", f"host: {name}")[0] == 200
    lines = [f"host: {name}", f"origin: http://{name}", "content-type: application/json", "content-length: 7"]
    assert raw(server, "POST /api/room/square HTTP/1.1", *lines, body=b'{"x":3}') == (200, '{"square":9}')


@pytest.mark.parametrize(
    "host",
    ["evil.example:{}", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:{}", "0.0.0.0:{}",
     "LOCALHOST:{}", "127.1:{}", "", "127.0.0.1:{}@evil.example", "2130706433:{}"],
)  # fmt: skip
def test_a_foreign_name_is_refused(server: Served, host: str) -> None:
    status, text = raw(server, "GET / HTTP/1.1", f"host: {host.format(server.port)}")
    assert status in (400, 421)
    if status == 421:
        assert json.loads(text)["error"]["what"] == "this server has another name"


def test_no_name_or_two_names_are_refused(server: Served) -> None:
    mine = f"host: 127.0.0.1:{server.port}"
    assert raw(server, "GET / HTTP/1.0")[0] == 421
    assert raw(server, "GET / HTTP/1.1", mine, "host: evil.example")[0] in (400, 421)
    assert raw(server, "GET / HTTP/1.1", mine, mine)[0] in (400, 421)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "https://127.0.0.1:{}", "http://127.0.0.1:1", "file://"])
def test_what_changes_anything_needs_the_origin_of_a_page(server: Served, origin: str) -> None:
    answer = server.post("/api/room/square", {"x": 2}, headers={"origin": origin.format(server.port)})
    assert answer.status_code == 403
    assert answer.json()["error"]["what"] == "this server answers its own pages only"


def test_no_origin_is_refused_too(server: Served) -> None:
    lines = [f"host: 127.0.0.1:{server.port}", "content-type: application/json", "content-length: 7"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        status, text = raw(server, f"{method} /api/room/square HTTP/1.1", *lines, body=b'{"x":2}')
        assert (status, json.loads(text)["error"]["got"]) == (403, "no Origin")


def test_bound_to_this_machine_only() -> None:
    listening = web.bind(0)
    try:
        assert listening.getsockname()[0] == "127.0.0.1"
        with pytest.raises(OptionError, match="this port can't be used"):
            web.bind(listening.getsockname()[1])
    finally:
        listening.close()
    for wrong in (-1, 65536):
        with pytest.raises(OptionError, match="there is no such port"):
            web.bind(wrong)


# End points.


def test_an_end_point(server: Served) -> None:
    answer = server.post("/api/room/square", {"x": 1.5})
    assert (answer.status_code, answer.json()) == (200, {"square": 2.25})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


def test_what_the_user_got_wrong(server: Served) -> None:
    answer = server.post("/api/room/square", {})
    assert answer.status_code == 400
    assert answer.json()["error"] == {"what": "x is no number", "expected": "x", "where": "x", "fix": "give x"}


def test_a_bug_shows_no_traceback(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    answer = server.post("/api/room/fail", {})
    assert answer.status_code == 500
    assert answer.json()["error"]["what"] == "something went wrong inside chainrule"
    assert "ZeroDivision" not in answer.text
    end = time.monotonic() + 10
    while not caplog.records:  # it is logged after it is answered
        assert time.monotonic() < end
        time.sleep(0.01)
    assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [ZeroDivisionError]
    caplog.clear()


@pytest.mark.parametrize(
    ("content", "kind", "status", "what"),
    [
        (b"{", "application/json", 400, "the request is not JSON"),
        (b"", "application/json", 400, "the request is not JSON"),
        (b"[]", "application/json", 400, "the request is no object"),
        (b"\xff\xfe", "application/json", 400, "the request is not UTF-8"),
        (b'{"x": NaN}', "application/json", 400, "a number is not finite"),
        (b'{"x": "\\udfff"}', "application/json", 400, "a text holds half of a character"),
        (b"[" * 100_000, "application/json", 400, "the request is nested too deeply"),
        (b'{"x": 1}', "text/plain", 400, "the request is no JSON"),
        (b'{"x": 1}', "application/x-www-form-urlencoded", 400, "the request is no JSON"),
        (b" " * (300 << 10), "application/json", 413, "the request is too large"),
    ],
)
def test_nonsense_has_its_reason(server: Served, content: bytes, kind: str, status: int, what: str) -> None:
    answer = server.post("/api/room/square", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["what"]) == (status, what)


def test_a_body_without_a_length_is_bounded_too(server: Served) -> None:
    lines = [f"host: 127.0.0.1:{server.port}", f"origin: {server.url}", "content-type: application/json",
             "transfer-encoding: chunked"]  # fmt: skip
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    status, text = raw(server, "POST /api/room/square HTTP/1.1", *lines, body=chunk * 5)
    assert (status, json.loads(text)["error"]["what"]) == (413, "the request is too large")


def test_a_body_that_does_not_come_is_not_waited_for(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "BODY_SECONDS", 0.1)
    lines = [f"host: 127.0.0.1:{server.port}", f"origin: {server.url}", "content-type: application/json",
             "content-length: 100"]  # fmt: skip
    status, text = raw(server, "POST /api/room/square HTTP/1.1", *lines, body=b"{")
    assert (status, json.loads(text)["error"]["what"]) == (408, "the request did not arrive")


def test_unknown_addresses_and_methods(server: Served) -> None:
    assert server.post("/api/room/none", {}).status_code == 404
    assert server.post("/api/none/square", {}).status_code == 404
    assert server.post("/nowhere", {}).status_code == 404
    for answer in (server.get("/api/room/square"), server.post("/", {})):
        assert answer.status_code == 405
        assert answer.json()["error"]["what"] == "this address is asked otherwise"


def test_too_many_requests_are_told_to_wait(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "WAITING", 2)
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(server.post("/api/room/wait", {"seconds": 0.3}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429}
    assert server.post("/api/room/square", {"x": 1}).status_code == 200


def test_rooms_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"walk": "chainrule.play.walk", "no": "chainrule.play.nothing", "far": "chainrule.nowhere.api"}
    monkeypatch.setattr(web, "ROOMS", modules)
    assert set(web.rooms()) <= {"walk"}
