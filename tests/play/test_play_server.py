"""The playground through its server, as a page uses it: the reference's trajectories, drops, exports, all rooms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from asking import TRAJECTORIES, reference
from serving import Client, Refusal, Served, serving

from chainrule.play.settings import LIMITS, Settings

TOLERANCE = 1e-12

pytestmark = pytest.mark.usefixtures("unchecked_graphs")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


def train(client: Client, count: int, unit: str = "epoch") -> None:
    """So many steps, to their end: what takes longer than a moment goes on behind the answer."""
    client.events.clear()
    state = client.ask("step", unit=unit, count=count)["state"]
    while state["until"] is not None and not any(event["event"] == "stepped" for event in client.events):
        client.receive()


def weights(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.ask("state")["state"]["layers"]
    return found


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_the_trajectories_of_the_reference(server: Served, name: str) -> None:
    file = reference(name)
    with server.client() as client:
        client.ask("set", settings=Settings.from_reference(file["config"]).to_json())
        at = 0
        for epoch, snapshot in sorted((int(k), v) for k, v in file["snapshots"].items()):
            if epoch > at:
                train(client, epoch - at)
            at = epoch
            for mine, theirs in zip(weights(client), snapshot, strict=True):
                np.testing.assert_allclose(mine["weight"], theirs["weight"], rtol=0, atol=TOLERANCE)
                np.testing.assert_allclose(mine["bias"], theirs["bias"], rtol=0, atol=TOLERANCE)
        rows = client.ask("pause")["state"]["batches"]
        # A busy machine cuts an epoch in pieces, and each adds a point: those of whole epochs are compared.
        curve = [point for point in client.ask("state")["state"]["curve"] if point[0] % rows == 0]
        np.testing.assert_allclose([a for _, a, _ in curve], file["lossTrain"], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose([b for _, _, b in curve], file["lossTest"], rtol=0, atol=TOLERANCE)


def test_hello_gives_all_that_a_page_begins_with(server: Served) -> None:
    with server.client(hello=False) as client:
        found = client.hello()
        assert {"token", "resumed", "choices", "state"} <= set(found)
        assert found["resumed"] is False
        frame = client.frame()
        assert frame.header["step"] == 0
        assert {"weights", "biases", "output", "nodes"} <= set(frame.sections)


def test_a_training_that_was_cut_off_goes_on_where_it_was(server: Served) -> None:
    with server.client(hello=False) as client:
        token = client.hello()["token"]
        client.ask("edit", what="weight", layer=0, to=0, **{"from": 0}, value=0.625)
        train(client, 3, "batch")
        before = client.ask("state")["state"]
    with server.client(hello=False) as client:
        assert client.hello(resume=token)["resumed"] is True
        assert client.ask("state")["state"] == before
        client.ask("back", unit="batch", count=3)
        assert weights(client)[0]["weight"][0][0] == 0.625


def test_training_shows_itself(server: Served) -> None:
    with server.client() as client:
        client.ask("play")
        steps = [client.frame().header["step"] for _ in range(20)]
        assert steps == sorted(steps)
        assert steps[-1] > steps[0]
        assert client.ask("pause")["state"]["playing"] is False


def test_two_pages_do_not_meet(server: Served) -> None:
    with server.client() as one, server.client() as other:
        one.ask("set", settings={"hidden": [5], "dataset": "xor"})
        assert other.ask("pause")["state"]["settings"]["dataset"] == "circle"
        assert [len(layer["bias"]) for layer in weights(one)] == [5, 1]
        assert [len(layer["bias"]) for layer in weights(other)] == [4, 2, 1]


@pytest.mark.parametrize(
    ("what", "begins"), [("json", "{"), ("script", '"""'), ("latex", "\\document"), ("html", "<!doc")]
)
def test_exports(server: Served, what: str, begins: str) -> None:
    with server.client() as client:
        train(client, 2)
        found = client.ask("export", what=what, timeout=60)
        assert found["name"].startswith("playground.")
        assert found["text"].startswith(begins)


def test_an_export_that_is_refused_says_why(server: Served) -> None:
    with server.client() as client:
        with pytest.raises(Refusal) as caught:
            client.ask("export", what="pdf")
        assert caught.value.words["expected"] == "one of: json, script, latex, html"


def test_the_largest_state_goes_out_and_comes_back(server: Served) -> None:
    with server.client() as client:
        client.ask("set", settings={"hidden": [32] * 20, "samples": 20})
        kept = client.ask("state")["state"]
        text = json.dumps(kept)
        assert 64_000 < len(text) < LIMITS["load"]
        client.ask("set", settings={"hidden": [2]})
        client.ask("load", state=kept)
        assert weights(client) == kept["layers"]


def test_every_room_answers(server: Served) -> None:
    for path, body in (
        ("/api/gallery/list", {}), ("/api/walk/examples", {}),
        ("/api/walk/explain", {"expression": "x**2", "at": {"x": 3.0}}),
    ):  # fmt: skip
        answer = server.post(path, body)
        assert answer.status_code == 200, (path, answer.text[:300])
        assert answer.json()
    for path in ("/", "/walk", "/practice"):
        assert server.get(path).status_code == 200
