"""The end points of the practice room: what they answer, what they refuse, and through the server."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from typing import Any

import httpx
import pytest
from serving import Served

from chainrule.base.errors import ChainruleError, OptionError
from chainrule.play.practice.api import ENDPOINTS
from chainrule.play.practice.exercise import ORDER, exercise
from chainrule.play.practice.grading import entered

TRIPLE: dict[str, Any] = {"kind": "path", "level": 2, "seed": 11}


def ask(name: str, **request: Any) -> dict[str, Any]:
    return ENDPOINTS[name](request)


def test_kinds_are_listed() -> None:
    found = ask("kinds")
    assert [k["name"] for k in found["kinds"]] == list(ORDER)
    assert found["levels"] == [1, 2, 3]


def test_an_item_and_its_ladder() -> None:
    item = ask("item", **TRIPLE)
    ladder = [ask("hint", **TRIPLE, number=i + 1) for i in range(item["hints"])]
    assert [line["last"] for line in ladder] == [False] * (item["hints"] - 1) + [True]
    assert all(line["answer"] is None for line in ladder[:-1])
    assert all(line["words"] or line["formulas"] for line in ladder)
    answer = ladder[-1]["answer"]
    found = ask("grade", **TRIPLE, answer=answer, hints_used=item["hints"])
    assert (found["outcome"], found["counts"]) == ("right", False)  # a hint costs the "correct", never the finish
    assert ask("grade", **TRIPLE, answer=answer)["counts"] is True


def test_the_ladders_lines_are_the_engines_explanation() -> None:
    ladder = [ask("hint", **TRIPLE, number=i + 1) for i in range(ask("item", **TRIPLE)["hints"])]
    texts = [one["text"] for line in ladder for parts in line["formulas"] for one in parts]
    assert any(text.startswith("∂L/∂w = ∂L/∂") for text in texts)


@pytest.mark.parametrize(
    ("name", "request_", "words"),
    [
        ("item", {"kind": "no", "level": 1, "seed": 1}, "unknown value for the kind of exercise"),
        ("item", {}, "unknown value for the kind of exercise"),
        ("item", {"kind": "path", "level": 9, "seed": 1}, "unknown value for the level"),
        ("item", {"kind": "path", "level": 1, "seed": 1e9}, "this is no seed"),
        ("item", {**TRIPLE, "version": 2}, "another version"),
        ("item", {**TRIPLE, "version": True}, "another version"),
        ("hint", TRIPLE, "no such hint"),
        ("hint", {**TRIPLE, "number": 0}, "no such hint"),
        ("hint", {**TRIPLE, "number": 10**9}, "no such hint"),
        ("hint", {**TRIPLE, "number": True}, "no such hint"),
        ("preview", {**TRIPLE, "field": "no", "text": "1"}, "no such field"),
        ("preview", {**TRIPLE, "field": "gradient", "text": 1}, "no text to read"),
        ("preview", {**TRIPLE, "field": "gradient", "text": "1" * 10_000}, "no text to read"),
        ("preview", {"kind": "direction", "level": 1, "seed": 1, "field": "way", "text": "up"}, "way is not typed"),
        ("grade", TRIPLE, "does not fit the question"),
        ("grade", {**TRIPLE, "answer": []}, "does not fit the question"),
        ("grade", {**TRIPLE, "answer": {"other": "1"}}, "does not fit the question"),
        ("grade", {**TRIPLE, "answer": {}, "hints_used": -1}, "no number of hints"),
        ("grade", {**TRIPLE, "answer": {}, "hints_used": 1.5}, "no number of hints"),
        ("grade", {**TRIPLE, "answer": {"gradient": ["1"] * 1000}}, "too many entries"),
    ],
)
def test_requests_that_are_refused(name: str, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        ENDPOINTS[name](request_)
    assert words in caught.value.problem
    assert caught.value.expected is not None
    assert caught.value.fix is not None
    assert len(str(caught.value)) < 700


def test_random_requests_get_an_answer_or_words() -> None:
    rng = random.Random(3)
    odd: list[Any] = [None, True, -1, 0, 1, 2, 3, 1.5, 10**30, float("nan"), "path", "order", "", "x" * 500]
    odd += [[], [1], {}, {"gradient": "1"}]
    names = ["kind", "level", "seed", "version", "number", "field", "text", "answer", "hints_used", "other"]
    for _ in range(1500):
        request = dict(TRIPLE) if rng.random() < 0.6 else {}
        request |= {rng.choice(names): rng.choice(odd) for _ in range(rng.randint(0, 4))}
        with contextlib.suppress(ChainruleError):  # anything else is a fault
            json.dumps(ENDPOINTS[rng.choice(list(ENDPOINTS))](request))


def test_threads_get_the_same_items() -> None:
    found: list[dict[str, Any]] = []

    def ask_all() -> None:
        found.extend(ask("item", kind=k, level=3, seed=991) for k in ORDER)

    workers = [threading.Thread(target=ask_all) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for kind in ORDER:
        same = [json.dumps(item) for item in found if item["kind"] == kind]
        assert len(same) == 4
        assert len(set(same)) == 1


def test_through_the_server(server: Served) -> None:
    with httpx.Client(base_url=server.url, headers={"origin": server.url}) as client:
        assert client.get("/practice").status_code == 200
        for name in ("main", "fields", "graph", "progress"):
            assert client.get(f"/static/practice/{name}.js").status_code == 200
        item = client.post("/api/practice/item", json=TRIPLE).json()
        assert item["kind"] == "path"
        right = exercise("path", 2, 11)
        answer = {f.name: entered(f, right.answers[f.name]) for f in right.fields}
        assert client.post("/api/practice/grade", json={**TRIPLE, "answer": answer}).json()["outcome"] == "right"
        refused = client.post("/api/practice/item", json={"kind": "no"})
        assert refused.status_code == 400
        assert refused.json()["error"]["expected"].startswith("one of: structure")
