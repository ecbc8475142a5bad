"""Hostile messages by the thousand: each is answered or refused in words, nothing is logged, the server lives on."""

from __future__ import annotations

import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator

import hostile
import httpx
import pytest
from serving import Client, Served, handshake, serving
from websockets.exceptions import ConnectionClosed

from chainrule.play import stream, web

TOGETHER = 20  # messages that are sent before their answers are read
PATIENCE = 30.0  # seconds without anything from the server count as a hang


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving(messages_per_second=1e9) as served:
        yield served


def _talk(server: Served, seed: int, count: int) -> Counter[str]:
    """Send ``count`` hostile messages; what came back, by kind."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    client, left = server.client(kept=1), count
    while left:
        try:
            for _ in range(min(left, TOGETHER)):
                left -= 1
                client.send(hostile.message(rng, left))
            client.tell("pause")
            _read(client, seen)
        except ConnectionClosed as ended:  # some of it is worth no answer: too large, or no UTF-8
            seen[f"closed {ended.rcvd.code if ended.rcvd else None}"] += 1
            client.close()
            client = server.client(kept=1)
    client.close()
    closed = {kind for kind in seen if kind.startswith("closed")}
    assert closed <= {f"closed {code}" for code in (1002, 1007, 1009, stream.REFUSED)}
    return seen


def _read(client: Client, seen: Counter[str]) -> None:
    """Everything up to the answer of the last message, each looked at."""
    while True:
        found = client.receive(PATIENCE)
        if not isinstance(found, dict):
            seen["frame"] += 1
        elif "event" in found:
            seen["event"] += 1
            assert found["event"] != "failed", found
        elif "ok" in found:
            seen["ok"] += 1
            if found["id"] == client.count:
                return
        else:
            seen["error"] += 1
            words = found["error"]
            assert words["what"] != "something went wrong inside chainrule", words
            assert {"what", "fix"} <= set(words) <= {"what", "expected", "got", "where", "fix"}
            assert all(isinstance(word, str) and len(word) <= 300 for word in words.values())
            assert "Traceback" not in str(words)


@pytest.mark.usefixtures("unchecked_graphs")
def test_hostile_messages(server: Served) -> None:
    seen = _talk(server, 1, 2000)
    assert seen["error"] > 500
    assert seen["ok"] > 100


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_graphs")
@pytest.mark.parametrize("seed", range(50))
def test_a_hundred_thousand_hostile_messages(server: Served, seed: int) -> None:
    seen = _talk(server, 1000 + seed, 2000)
    assert seen["error"] > 500


def _post_all(server: Served, seed: int, count: int) -> None:
    rng = random.Random(seed)
    ends = [(room, name) for room, endpoints in sorted(web.rooms().items()) for name in sorted(endpoints)]
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=server.url, headers={"origin": server.url}, timeout=PATIENCE) as client:
        for _ in range(count):
            room, name = rng.choice(ends)
            sent = hostile.body(rng)
            answer = client.post(f"/api/{room}/{name}", json=sent)
            statuses[answer.status_code] += 1
            assert answer.status_code in (200, 400), (room, name, sent, answer.text[:500])
            if answer.status_code == 400:
                assert {"what", "fix"} <= set(answer.json()["error"]), (room, name, sent, answer.text[:500])
    assert min(statuses[200], statuses[400]) > count / 20, statuses


@pytest.mark.usefixtures("unchecked_graphs")
def test_hostile_bodies(server: Served) -> None:
    _post_all(server, 1, 150)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_graphs")
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_hostile_bodies(server: Served, seed: int) -> None:
    _post_all(server, 1000 + seed, 1000)


REQUESTS = [
    b"GET / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\r\n", b"POST /api/walk/explain HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"POST /api/walk/explain HTTP/1.1\r\nhost: 127.0.0.1:{}\r\norigin: http://127.0.0.1:{}\r\ncontent-type: "
    b"application/json\r\ncontent-length: 19\r\n\r\n{\"expression\": \"x\"}",
]  # fmt: skip

PIECES = [b"\r\n", b"\x00", b" ", b"%2e%2e/", b"A" * 3000, b": ", b"\xff\xfe", b"HTTP/9"]


def _bare(server: Served, rng: random.Random) -> None:
    """One mutated HTTP request; an answer, or the end of the connection, comes."""
    request = bytearray(rng.choice(REQUESTS).replace(b"{}", str(server.port).encode()))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(request))
        match rng.randrange(4):
            case 0:
                request[at] = rng.randrange(256)
            case 1:
                del request[at : at + rng.randrange(1, 20)]
            case 2:
                request[at:at] = rng.choice(PIECES)
            case _:
                request = request[:at] + request[at : at + 30] * 3 + request[at:]
        if not request:
            request = bytearray(b"\r\n")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as bare:
        try:
            bare.sendall(bytes(request))
            bare.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := bare.recv(65536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            return
    if answer:
        assert answer.startswith(b"HTTP/1.1 "), answer[:100]
        assert answer.split()[1] != b"500", (bytes(request), answer[:500])


def _bare_all(server: Served, seed: int, count: int) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        _bare(server, rng)
    assert server.get("/static/ui.js").status_code == 200


def test_hostile_requests(server: Served) -> None:
    _bare_all(server, 1, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_hostile_requests(server: Served, seed: int) -> None:
    _bare_all(server, 1000 + seed, 1000)


def test_hostile_frames_below_the_messages(server: Served) -> None:
    """Bytes that break the rules of WebSocket end their connection only."""
    rng = random.Random(3)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as bare:
            bare.sendall(handshake(server))
            assert bare.recv(4096).startswith(b"HTTP/1.1 101")
            bare.sendall(rng.choice([
                rng.randbytes(rng.randrange(1, 100)), b"\x81\x85\0\0\0\0\xff\xfe\xfd\xfc\xfb", b"\x81\x05hello",
                b"\xc1\x80\0\0\0\0", b"\x89\xff" + b"\x7f" * 12, b"\x80\x80\0\0\0\0", b"\x01\x80\0\0\0\0" * 5,
                b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
            ]))  # fmt: skip
            bare.shutdown(socket.SHUT_WR)
            end = time.monotonic() + PATIENCE
            while bare.recv(65536):
                assert time.monotonic() < end
    with server.client() as client:
        client.ask("pause")


def test_the_log_would_show_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The fixture that looks for errors in the log sees them."""
    logging.getLogger("chainrule.play").error("seen")
    assert [record.message for record in caplog.records] == ["seen"]
    caplog.clear()
