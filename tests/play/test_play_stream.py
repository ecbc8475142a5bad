"""The WebSocket's transport: answers, frames and their acknowledgement, drops and resumption, limits."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from counting import CountingPlayer
from serving import Client, Frame, Refusal, Served, handshake, serving
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chainrule.play import stream
from chainrule.play.sessions import Sessions


class Players(list[CountingPlayer]):
    """Makes players and keeps them."""

    def __call__(self) -> CountingPlayer:
        self.append(CountingPlayer())
        return self[-1]


@pytest.fixture
def players() -> Players:
    return Players()


@pytest.fixture
def served(players: Players) -> Iterator[Served]:
    with serving(player=players, endpoints={}, most_players=3) as running:
        yield running


def eventually(what: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def closed(client: Client, seconds: float = 10.0) -> tuple[int, str]:
    """Code and reason with which the server closes the connection."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            client.receive(end - time.monotonic())
        except ConnectionClosed as ended:
            if ended.rcvd is not None:
                return ended.rcvd.code, ended.rcvd.reason
            break
    raise TimeoutError("the connection was not closed")


def test_answers_come_in_order_with_their_numbers(served: Served) -> None:
    with served.client() as client:
        numbers = [client.tell("state", echo=i) for i in range(50)]
        assert [client.answer_to(n)["echo"] for n in numbers] == list(range(50))


def test_hello_comes_first(served: Served, players: Players) -> None:
    with served.client(hello=False) as client:
        with pytest.raises(Refusal) as caught:
            client.ask("play")
        assert caught.value.words["what"] == "the page has not said hello"
        assert not players
        first = client.hello()
        assert first["resumed"] is False
        assert len(first["token"]) == 32
        again = client.hello()
        assert again["token"] == first["token"]
        assert len(players) == 1


def test_silence_is_ended(players: Players, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HELLO_SECONDS", 0.1)
    with serving(player=players, endpoints={}) as served, served.client(hello=False) as client:
        assert closed(client) == (stream.SILENT, "no hello came within 0 seconds")


def test_errors_have_their_five_parts(served: Served) -> None:
    with served.client() as client:
        with pytest.raises(Refusal) as caught:
            client.ask("wrong")
        assert caught.value.words == {
            "what": "it is wrong", "expected": "right", "got": "wrong", "where": "here", "fix": "put it right"
        }  # fmt: skip
        assert client.ask("state")["state"]["playing"] is False


def test_a_bug_is_answered_without_its_traceback(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with served.client() as client:
        with pytest.raises(Refusal) as caught:
            client.ask("fail")
        assert caught.value.words["what"] == "something went wrong inside chainrule"
        assert "ZeroDivision" not in str(caught.value)
        client.ask("state")
    assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [ZeroDivisionError]
    caplog.clear()


def test_a_bug_in_training_stops_that_training_only(
    served: Served, players: Players, caplog: pytest.LogCaptureFixture
) -> None:
    with served.client() as bad, served.client() as good:
        good.ask("play")
        bad.tell("break")
        while not bad.events:
            bad.receive()
        assert bad.events[0]["event"] == "failed"
        before = players[1].turns
        eventually(lambda: players[1].turns > before + 5)
        bad.listen(0.5)
        assert [event["event"] for event in bad.events] == ["failed"]
        assert [record.message for record in caplog.records] == ["a player failed"], "once, not ten times a second"
        bad.ask("state")
        bad.listen(0.3)
        assert len(bad.events) == 2, "and again after something was done about it"
    caplog.clear()


def test_a_number_that_is_not_finite_becomes_null(served: Served) -> None:
    with served.client() as client:
        assert client.ask("nan") == {"value": None, "fine": 1.5}


def test_frames_flow_while_playing_and_stop_when_paused(served: Served, players: Players) -> None:
    with served.client() as client:
        client.ask("play")
        seen = [client.frame() for _ in range(10)]
        numbers = [frame.header["frame"] for frame in seen]
        assert numbers == list(range(numbers[0], numbers[0] + 10)), "none is lost, none comes twice"
        turns = [frame.sections["turns"][0] for frame in seen]
        assert turns == sorted(turns)
        assert turns[-1] > turns[0]
        client.ask("pause")
        client.listen(0.3)
        made, turned = players[0].frames, players[0].turns
        client.listen(0.3)
        assert (players[0].frames, players[0].turns) == (made, turned), "nothing new, no frame"


def test_an_action_on_a_paused_net_brings_a_frame(served: Served) -> None:
    with served.client() as client:
        client.listen(0.3)
        for _ in range(5):
            client.ask("state")
            client.frame()


def test_not_more_than_two_frames_are_in_flight_and_the_next_is_the_newest(served: Served, players: Players) -> None:
    with served.client() as client:
        client.acknowledge = False
        client.ask("play")
        client.listen(1.0)
        player = players[0]
        assert len(client.frames) == stream.IN_FLIGHT
        assert player.frames == stream.IN_FLIGHT, "what is not sent is not even made"
        turned = player.turns
        eventually(lambda: player.turns > turned + 20)  # a page that takes no frames does not slow the training
        turned = player.turns
        client.send({"ack": Frame.of(client.frames[0]).header["frame"]})
        assert client.frame().sections["turns"][0] >= turned
        client.send({"ack": 12345678})  # never sent: no frame for that
        client.send({"ack": Frame.of(client.frames[0]).header["frame"]})  # a second time: nor for that
        client.listen(0.3)
        assert len(client.frames) == 3


def test_a_player_that_waits_for_its_next_step_is_asked_now_and_then(served: Served, players: Players) -> None:
    with served.client() as client:
        client.ask("slow")
        for _ in range(50):  # each of these gives it a turn more; none may start asking for turns of its own
            client.ask("state")
        start, turned = time.monotonic(), players[0].turns
        client.listen(1.0)
        turns, took = players[0].turns - turned, time.monotonic() - start
        assert 5 < turns < 500 * took, "every 5 ms, and after each frame's acknowledgement"


def test_at_most_sixty_frames_a_second(served: Served) -> None:
    with served.client() as client:
        client.ask("play")
        client.listen(0.2)
        before = len(client.frames)
        start = time.monotonic()
        client.listen(1.0)
        assert len(client.frames) - before <= 60 * (time.monotonic() - start) + 3


def test_events_come_and_old_ones_give_way(served: Served) -> None:
    with served.client() as client:
        client.ask("events", count=1000)
        client.listen(0.5)
        numbers = [event["number"] for event in client.events]
        assert numbers == list(range(1000 - stream.EVENTS, 1000))


def test_a_drop_stops_training_and_the_token_brings_it_back(served: Served, players: Players) -> None:
    with served.client(hello=False) as client:
        token = client.hello()["token"]
        client.ask("play")
        client.frame()
    player = players[0]
    time.sleep(0.1)
    turned = player.turns
    time.sleep(0.2)
    assert player.turns == turned, "a page that is gone has its training stopped"
    with served.client(hello=False) as client:
        back = client.hello(resume=token)
        assert back["resumed"] is True
        assert back["token"] == token
        assert len(players) == 1
        assert back["state"]["turns"] == turned
        eventually(lambda: player.turns > turned)  # it played, so it plays on
        assert client.frame().header["frame"] == back["state"]["frames"] + 1
    assert not player.closed


def test_what_is_not_resumed_is_freed(players: Players) -> None:
    with serving(player=players, endpoints={}, kept_seconds=0.1) as served:
        with served.client(hello=False) as client:
            token = client.hello()["token"]
        eventually(lambda: players[0].closed)
        with served.client(hello=False) as client:
            back = client.hello(resume=token)
            assert back["resumed"] is False
            assert back["token"] != token


@pytest.mark.parametrize(
    ("said", "words"), [({"resume": 17}, "resume is no token"), ({"settings": {}}, "hello takes no such member")]
)
def test_a_wrong_hello(served: Served, players: Players, said: dict[str, Any], words: str) -> None:
    with served.client(hello=False) as client:
        with pytest.raises(Refusal) as caught:
            client.hello(**said)
        assert caught.value.words["what"] == words
    assert not players


def test_a_second_page_with_the_token_takes_over(served: Served, players: Players) -> None:
    with served.client(hello=False) as first, served.client(hello=False) as second:
        token = first.hello()["token"]
        first.ask("play")
        assert second.hello(resume=token)["resumed"] is True
        assert closed(first)[0] == stream.TAKEN_OVER
        second.frame()
    assert len(players) == 1


def test_not_more_players_than_allowed(served: Served, players: Players) -> None:
    clients = [served.client() for _ in range(3)]
    with served.client(hello=False) as one_more:
        with pytest.raises(Refusal) as caught:
            one_more.hello()
        assert caught.value.words["what"] == "too many pages are open"
        assert closed(one_more)[0] == stream.REFUSED
    clients[1].close()
    eventually(lambda: not players[1].playing)
    with served.client():  # makes room by freeing the one that was left
        eventually(lambda: players[1].closed)
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("{", "the message is not JSON"),
        ("", "the message is not JSON"),
        (b"\x00\x01", "a binary message came"),
        ("[1]", "a message is no object"),
        ("null", "a message is no object"),
        ('{"do": "state"}', "a message has no number"),
        ('{"id": -1, "do": "state"}', "a message has no number"),
        ('{"id": true, "do": "state"}', "a message has no number"),
        ('{"id": 1.5, "do": "state"}', "a message has no number"),
        ('{"id": 1, "do": 7}', "a message does not say what to do"),
        ('{"id": 1}', "a message does not say what to do"),
        ('{"id": 1, "do": "state", "echo": NaN}', "a number is not finite"),
        ('{"id": 1, "do": "state", "echo": -Infinity}', "a number is not finite"),
        ('{"id": 1, "do": "state", "echo": 1e999}', "a number is too large for a double"),
        ('{"id": 1, "do": "state", "echo": ' + "9" * 5000 + "}", "a whole number is too long"),
        ('{"id": 1, "do": "state", "echo": "\\ud800"}', "a text holds half of a character"),
        ('{"id": 1, "do": "state", "\\ud800": 1}', "a text holds half of a character"),
        ('{"id": 1, "id": 2, "do": "state"}', "a name is given twice in one object"),
        ('{"id": 1, "do": "state", "echo": ' + "[" * 40 + "]" * 40 + "}", "the message is nested too deeply"),
        ("[" * 50_000, "the message is nested too deeply"),
        ('{"a":' * 50_000, "the message is nested too deeply"),
        ('{"id": 1, "do": "state", "echo": "' + "x" * 70_000 + '"}', "the message is too large"),
        ('{"ack": "1"}', "an acknowledgement without a number"),
    ],
)
def test_nonsense_has_a_clear_answer(served: Served, sent: str | bytes, words: str) -> None:
    with served.client() as client:
        client.send(sent)
        found = client.refusal()
        assert found["what"] == words
        assert {"expected", "got", "fix"} <= set(found)
        assert client.ask("state", echo="still here")["echo"] == "still here"


def test_large_messages_only_where_they_belong(served: Served) -> None:
    text = "x" * 500_000
    with served.client() as client:
        assert client.ask("load", echo=text)["echo"] == text
        with pytest.raises(Refusal) as caught:
            client.ask("state", echo=text)
        assert caught.value.words["what"] == "the message is too large"
    # One of 2 MiB is refused at its head: to who still sends, the answer would be lost with the connection.
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as bare:
        bare.sendall(handshake(served))
        assert bare.recv(4096).startswith(b"HTTP/1.1 101")
        bare.sendall(b"\x81\xff" + (2 << 20).to_bytes(8, "big") + b"\x00" * 4)
        head = bare.recv(4096)
        assert head[0] == 0x88
        assert int.from_bytes(head[2:4], "big") == 1009


def test_a_flood_is_slowed_and_others_are_not(players: Players) -> None:
    with (
        serving(player=players, endpoints={}, messages_per_second=50.0) as served,
        served.client() as flood,
        served.client() as other,
    ):
        flood.acknowledge = other.acknowledge = False
        start = time.monotonic()
        numbers = [flood.tell("state") for _ in range(int(stream.BURST) + 50)]
        other.ask("state")
        assert time.monotonic() - start < 5
        flood.answer_to(numbers[-1])
        assert time.monotonic() - start > 0.9, "50 messages over what is allowed at once take a second at 50 a second"


def test_errors_that_nobody_reads_do_not_pile_up(
    players: Players, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", 0.3)
    ended: list[stream.Page] = []
    monkeypatch.setattr(Sessions, "leave", lambda _, page: ended.append(page))
    longest = 0
    put = stream.Page._put

    def watched(page: stream.Page, item: str | bytes) -> None:
        nonlocal longest
        put(page, item)
        longest = max(longest, len(page._out))

    monkeypatch.setattr(stream.Page, "_put", watched)
    with serving(player=players, endpoints={}, messages_per_second=1e9) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as bare:  # bare, so that really nothing is read
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            bare.sendall(handshake(served))
            bare.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while not ended:
                    bare.sendall(b"\x81\x81\x00\x00\x00\x00{" * 1000)
            eventually(lambda: bool(ended))
        assert 100 < longest <= 4 * stream.QUEUED + 1
        with served.client() as client:
            client.ask("state")


def test_slow_answers_do_not_hold_up_acknowledgements(served: Served) -> None:
    with served.client() as slow, served.client() as quick:
        number = slow.tell("wait", seconds=0.5)
        start = time.monotonic()
        quick.ask("state")
        assert time.monotonic() - start < 0.4
        slow.answer_to(number)


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "https://127.0.0.1"])
def test_a_foreign_page_is_refused(served: Served, players: Players, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as caught:
        served.client(origin=origin)
    assert caught.value.response.status_code == 403
    body = caught.value.response.body
    assert body is not None
    assert json.loads(body)["error"]["what"] == "this server answers its own pages only"
    assert not players
