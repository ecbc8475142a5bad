"""What a playground is taken away as: each export is used, and gives the numbers that the playground has."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from serving import Frame

from chainrule.base.errors import ChainruleError
from chainrule.play import bundle
from chainrule.play.export import KINDS, explained_key, export, parameters, recording
from chainrule.play.player import Player

SETTINGS: dict[str, dict[str, Any]] = {
    "as it begins": {},
    "Adam, cross-entropy, L2, cosine": {
        "optimizer": "adam", "loss": "cross-entropy", "regularization": "l2", "regularization_rate": 0.01,
        "learning_rate": 0.01, "schedule": "cosine",
    },
    "four classes, formula, normalised, clipped, L1": {
        "dataset": "blobs", "classes": 4, "loss": "cross-entropy", "features": ["x1", "x2^2", "x1**2 + cos(x2)"],
        "normalise": True, "clip": 0.5, "regularization": "l1", "regularization_rate": 0.001,
    },
    "regression, Huber, no shuffling, odd batches": {
        "dataset": "plane", "loss": "huber", "batch_size": 7, "shuffle": False, "activation": "relu", "hidden": [3],
    },
    "regression, absolute, momentum": {"dataset": "multi-gauss", "loss": "absolute", "optimizer": "momentum"},
    "compatible": {"mode": "compatible"},
    "compatible, L1, leftover": {
        "mode": "compatible", "dataset": "xor", "regularization": "l1", "regularization_rate": 0.03, "batch_size": 30,
        "activation": "relu", "hidden": [4],
    },
    "compatible, L2": {"mode": "compatible", "regularization": "l2", "regularization_rate": 0.03},
    "several activations": {"hidden": [3, 3], "activations": ["sigmoid", "gelu"], "initialiser": "he_normal"},
    "wide: weights are packed": {"hidden": [32, 100 // 3 - 1, 32, 32], "samples": 120, "learning_rate": 0.003},
}  # fmt: skip


def trained(epochs: int, settings: dict[str, Any] | None = None, native: str = "never") -> Player:
    player = Player(native=native)
    player.answer({"do": "set", "settings": settings or {}})
    step(player, epochs)
    return player


def step(player: Player, epochs: int, unit: str = "epoch") -> None:
    if epochs:
        player.answer({"do": "step", "unit": unit, "count": epochs})
    while player.run(0.2):
        pass


def text(player: Player, what: str, **more: Any) -> str:
    return export(player, {"do": "export", "what": what, **more})["text"]


# The script.


def ran(script: str, folder: Path, *words: str) -> list[float]:
    """The losses that the script prints."""
    file = folder / "playground.py"
    file.write_text(script, encoding="utf-8")
    said = io.StringIO()
    before = sys.argv
    sys.argv = [str(file), *words]
    try:
        with redirect_stdout(said):
            runpy.run_path(str(file), run_name="__main__")
    finally:
        sys.argv = before
    return [float(number) for number in re.findall(r"(?:loss|data) (\S+?),?(?:\s|$)", said.getvalue())]


@pytest.mark.usefixtures("unchecked_graphs")
@pytest.mark.parametrize("name", SETTINGS)
def test_the_script_has_the_losses_of_the_playground(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINRULE_JIT", "numpy")
    player = trained(2, SETTINGS[name])
    script = text(player, "script")
    compile(script, "playground.py", "exec")
    state = player.state()
    assert ran(script, tmp_path) == pytest.approx(state["loss"], rel=1e-9)
    assert state["epoch"] == 2
    step(player, 1)
    assert ran(script, tmp_path, "3") == pytest.approx(player.state()["loss"], rel=1e-9)


def test_the_script_runs_alone_and_natively(tmp_path: Path) -> None:
    player = trained(3)
    file = tmp_path / "playground.py"
    file.write_text(text(player, "script"), encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error", str(file)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert float(done.stdout.split("loss ")[1].split(",")[0]) == pytest.approx(player.state()["loss"][0], rel=1e-9)
    assert "after 3 epochs" in done.stdout


def test_the_script_goes_on_where_nothing_was_trained() -> None:
    assert "else 100\n" in text(trained(0), "script")


@pytest.mark.usefixtures("unchecked_graphs")
def test_digits_are_not_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_JIT", "numpy")
    player = trained(1, {"dataset": "digits", "hidden": [8], "samples": 300})
    script = text(player, "script")
    assert len(script) < 30_000
    assert ran(script, tmp_path) == pytest.approx(player.state()["loss"], rel=1e-9)


@pytest.mark.usefixtures("unchecked_graphs")
def test_what_a_person_typed_is_data_in_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_JIT", "numpy")
    evil = "a\nimport os; os.abort() #'''\"\"\""
    player = Player(native="never")
    rows = "\n".join(f"{i},{i * i % 7},{(-1) ** i}" for i in range(20))
    quoted = evil.replace('"', '""')
    player.answer({"do": "data", "action": "csv", "text": f'"{quoted}",b,c\n{rows}\n', "target": "c"})
    assert evil in player.course.context.data.names
    player.answer({"do": "set", "settings": {"seed": "'+__import__('os').abort()+'"}})
    step(player, 1)
    script = text(player, "script")
    names = {node.id for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Name)}
    assert "os" not in names
    assert "__import__" not in names
    assert ran(script, tmp_path) == pytest.approx([x for x in player.state()["loss"] if x is not None], rel=1e-9)


# The state and the formulas.


def test_the_state_comes_back_bit_for_bit() -> None:
    player = trained(3, {"optimizer": "adam"})
    kept = json.loads(text(player, "json"))
    again = Player(native="never")
    again.answer({"do": "load", "state": kept})
    step(player, 2)
    step(again, 2)
    assert again.answer({"do": "state"})["state"]["layers"] == player.answer({"do": "state"})["state"]["layers"]


@pytest.mark.parametrize(
    ("settings", "of"),
    [
        ({}, None),
        ({}, {"what": "bias", "layer": 1, "to": 1}),
        ({"hidden": [32, 32, 32]}, {"what": "weight", "layer": 1, "to": 3, "from": 2}),
        ({"dataset": "blobs", "classes": 10, "loss": "cross-entropy", "hidden": [30, 30]}, None),
    ],
)
def test_the_formulas_are_a_document(settings: dict[str, Any], of: Any, tmp_path: Path) -> None:
    player = trained(1, settings)
    found = text(player, "latex", **({} if of is None else {"of": of}))
    assert found.startswith("\\documentclass")
    assert found.rstrip().endswith("\\end{document}")
    answer = player.answer({"do": "explain", **(of or {"what": "weight", "layer": 0, "to": 0, "from": 0})})
    digits = f"{abs(answer['example']['gradient']):.3g}".replace("e-0", "e-").split("e")[0].lstrip("0.")
    assert digits[:2] in found
    if shutil.which("pdflatex") is not None:
        (tmp_path / "x.tex").write_text(found, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:].decode("utf-8", "replace")


@pytest.mark.parametrize(
    "message",
    [
        {}, {"what": None}, {"what": "pdf"}, {"what": ["json"]}, {"what": "json", "more": 1}, {"what": "x" * 9999},
        {"what": "latex", "of": 3}, {"what": "latex", "of": {"what": "weight", "layer": 99, "to": 0, "from": 0}},
        {"what": "latex", "of": {"do": "set", "settings": {"hidden": [1]}}}, {"what": "latex", "of": {}},
    ],
)  # fmt: skip
def test_what_can_not_be_exported(message: dict[str, Any]) -> None:
    player = trained(0)
    before = player.answer({"do": "state"})
    with pytest.raises(ChainruleError) as caught:
        export(player, {"do": "export", "id": 1, **message})
    assert caught.value.fix
    assert player.answer({"do": "state"}) == before


# The page.


def frames(found: dict[str, Any]) -> list[Frame]:
    return [Frame.of(base64.b64decode(one)) for one in found["frames"]]


def test_a_recording_leads_from_the_beginning_to_the_present_weights() -> None:
    player = trained(20)
    player.answer({"do": "view", "grid": 8})
    before = player.answer({"do": "state"})["state"]
    found = recording(player)
    assert player.answer({"do": "state"})["state"] == before, "making it changes nothing"
    shown = frames(found)
    steps = [frame.header["step"] for frame in shown]
    assert steps[0] == 0
    assert steps[-1] == before["step"] == found["state"]["step"]
    assert steps == sorted(set(steps))
    assert not found["forward"]
    weights = [w for layer in before["layers"] for row in layer["weight"] for w in row]
    assert shown[-1].sections["weights"] == pytest.approx(weights, rel=1e-6)
    first = [w for layer in before["initial"] for row in layer["weight"] for w in row]
    assert shown[0].sections["weights"] == pytest.approx(first, rel=1e-6)
    for frame in shown:
        assert {"weights", "biases", "gradients", "output", "nodes", "losses"} <= set(frame.sections)
        assert frame.header["curve"] == "replace"
        assert frame.sections["losses"][-1][0] == frame.header["step"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_recording_answers_what_the_page_asks_of_every_weight() -> None:
    player = trained(2)
    found = recording(player)
    for what, layer, to, source in parameters(player):
        at = {"what": what, "layer": layer, "to": to} | ({} if source is None else {"from": source})
        answer = found["answers"][explained_key(at)]
        assert (answer["layer"], answer["to"], answer["from"]) == (layer, to, source)
        assert answer["gradient"] == pytest.approx(player.answer({"do": "explain", **at})["gradient"])
    assert len(parameters(player)) == player.state()["parameters"]
    assert found["answers"]["verdict"]["pending"] is False
    assert explained_key({"what": "weight", "layer": 0, "to": 1, "from": 0}) == "explain weight 0 1 0"
    assert explained_key({"what": "bias", "layer": 2, "to": 0}) == "explain bias 2 0"


def test_a_run_that_was_changed_by_hand_is_recorded_from_where_it_stands() -> None:
    player = trained(3)
    player.answer({"do": "edit", "what": "weight", "layer": 0, "to": 0, "from": 0, "value": 0.75})
    found = recording(player, epochs=4)
    steps = [frame.header["step"] for frame in frames(found)]
    assert found["forward"]
    assert steps[0] == player.state()["step"]
    assert steps[-1] == steps[0] + 4 * player.course.context.rows
    assert frames(found)[0].sections["weights"][0] == 0.75


def test_a_recording_of_a_large_network_stays_small() -> None:
    found = recording(trained(0, {"hidden": [32] * 8, "samples": 60}), epochs=20)
    size = sum(map(len, found["frames"]))
    assert 8 <= len(found["frames"]) < 60
    assert size < 5_000_000
    assert 0 < len([key for key in found["answers"] if key.startswith("explain")]) <= 60


def test_a_run_into_numbers_that_are_not_finite_is_recorded_up_to_there() -> None:
    settings = {"dataset": "plane", "activation": "relu", "learning_rate": 100.0, "hidden": [8, 8]}
    found = recording(trained(0, settings), epochs=50)
    shown = frames(found)
    assert shown[-1].header["not_finite"] is True
    assert found["answers"]["verdict"]["pending"] is False
    assert found["answers"]["verdict"]["healthy"] is False
    assert json.dumps(found, allow_nan=False)


def test_the_page_holds_all_that_it_needs_and_lets_nothing_else_run() -> None:
    page = bundle.one_page("/", {"recording": {"evil": "</script><script>alert(1)</script>\u2028<!--"}})
    elements = Elements()
    elements.feed(page)
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "recording"}, {"type": "module"}]
    assert not [one for tag, one in elements.found if "src" in one or (tag == "link" and one.get("href") != "data:,")]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "unsafe" not in policy[1]
    assert policy[1].count("sha256-") == 2
    kept = re.search(r'<script type="application/json" id="recording">(.*?)</script>', page, re.DOTALL)
    assert kept is not None
    assert json.loads(kept[1]) == {"evil": "</script><script>alert(1)</script>\u2028<!--"}


class Elements(HTMLParser):
    """The elements of a page: name and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_modules_are_joined_in_the_order_of_their_imports() -> None:
    sources = {
        "/a.js": 'import { one, two as zwei } from "./b.js";\nimport { base } from "/c/c.js";\n'
        "export const sum = one() + zwei + base;\n",
        "/b.js": 'import {\n  base,\n} from "./c/c.js";\nexport function one() { return base + 1; }\n'
        "export const two = 2;\n",
        "/c/c.js": "export const base = 100;\nexport class Kept {}\nexport async function later() {}\n",
    }
    joined = bundle.join_modules("/a.js", sources)
    assert [line for line in joined.splitlines() if line.startswith("// ")] == ["// /c/c.js", "// /b.js", "// /a.js"]
    assert "return { base, Kept, later };" in joined
    if shutil.which("node") is not None:
        program = joined + "console.log(m2.sum)"
        done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "203"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('import { b } from "./b.js";', "in a circle"),
        ('import { b } from "./none.js";', "not in the package"),
        ('import * as all from "./c.js";', "can't be joined"),
        ('import "./c.js";', "can't be joined"),
        ("export default 3;", "can't be joined"),
        ("export { x };", "can't be joined"),
        ("export let x = 1;", "can't be joined"),
        ('const late = import("./c.js");', "can't be joined"),
    ],
)
def test_other_module_syntax_is_refused(source: str, words: str) -> None:
    sources = {"/a.js": source, "/b.js": 'import { a } from "./a.js";\n', "/c.js": ""}
    with pytest.raises(ChainruleError, match=re.escape(words)):
        bundle.join_modules("/a.js", sources)


def test_every_kind_has_its_name() -> None:
    player = trained(0)
    names = [export(player, {"do": "export", "what": what})["name"] for what in KINDS]
    assert names == ["playground.json", "playground.py", "playground.tex", "playground.html"]
