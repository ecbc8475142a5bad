"""The renders: text, LaTeX through a real LaTeX, HTML that is whole, JSON by its schema; speed; collapsed layers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.explain.drawing import svg
from chainrule.explain.explanation import Explanation, explain
from chainrule.explain.expression import parse
from chainrule.explain.jsonform import as_data, schema
from chainrule.explain.layout import layout, repeats
from chainrule.explain.text import print_rich, text


def neuron() -> Explanation:
    expression = parse("z = w*x + b; a = relu(z); L = (a - y)**2")
    return explain(expression, *expression.bound({"x": 2, "w": 0.5, "b": 0, "y": 0}), paths=True)


def mlp(layers: int = 10, width: int = 16) -> Explanation:
    model = nn.MLP.init((8, *[width] * (layers - 1), 3), rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(12, 8)).astype(np.float32)
    labels = np.arange(12) % 3

    def loss(model: Any, x: Any, labels: Any) -> Any:
        return nn.cross_entropy(model(x), labels)

    return explain(loss, model, x, labels, wrt="model", paths=True)


def odd() -> Explanation:
    """Awkward text and numbers: names with underscores, non-finite values, complex steps, several outputs, code."""

    def loss(x_train: Any, β: Any) -> Any:
        größe = np.linalg.svd(np.outer(x_train, x_train))[1]  # & % $ # _ { } ~ ^ \ <b>
        spectrum = np.abs(np.fft.fft(x_train)) ** 2
        return np.sum(größe) + np.sum(spectrum) * β + np.sum(np.where(x_train > 9, np.log(x_train - 9), 0.0))

    return explain(loss, np.array([1.0, 2.0, 3.0]), 0.5, paths=True)


MADE = {"neuron": neuron, "mlp": mlp, "odd": odd}


@pytest.mark.parametrize("name", MADE)
def test_text_fits_the_width(name: str) -> None:
    said = text(MADE[name](), 90)
    before, _, rest = said.partition("\nSymbols\n")
    after = rest.partition("\n\n")[2]  # rows of the table in between are not broken
    for line in (before + after).splitlines():
        assert len(line) <= 90 or " " not in line.strip()
    for section in ("Key formula", "Symbols", "Forward", "Backward", "Update", "Check by finite differences"):
        assert f"\n{section}" in said


def test_the_text_of_the_worked_example() -> None:
    said = str(neuron())
    for line in (
        "  ∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 2·1·2 = 4",
        "   1  z = w·x + b = 0.5·2 + 0 = 1",
        "   2  a = max(0, z) = max(0, 1) = 1",
        "   3  L = (a − y)² = (1 − 0)² = 1",
        "   5  ∂L/∂a = 2·(a − y) = 2·(1 − 0) = 2",
        "   7  ∂a/∂z = [z > 0] = [1 > 0] = 1",
        "      ∂L/∂w = ∂L/∂z·∂z/∂w = 2·2 = 4",
        "      L ← a ← z ← w:  2·1·2 = 4",
        "  w ← w − α·∂L/∂w = 0.5 − 0.1·4 = 0.1",
        "  ∂L/∂w: 4, by differences 4: agrees",
    ):
        assert f"\n{line}" in said, line


def test_the_terminal_shows_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    explanation = neuron()
    print_rich(explanation, width=100)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert [line.rstrip() for line in printed.splitlines()] == text(explanation, 100).splitlines()


@pytest.mark.parametrize("name", MADE)
def test_latex_compiles(name: str, tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("needs pdflatex (Debian: texlive-latex-base)")
    (tmp_path / "explanation.tex").write_text(MADE[name]().to_latex(), encoding="utf-8")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "explanation.tex"],
        cwd=tmp_path, capture_output=True, timeout=120,
    )  # fmt: skip
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Missing character" not in log
    assert (tmp_path / "explanation.pdf").stat().st_size > 5000


def test_latex_balances_its_braces() -> None:
    for make in MADE.values():
        source = re.sub(r"\\.", "", make().to_latex())
        assert source.count("{") == source.count("}")
        assert source.isascii()


class _Checker(HTMLParser):
    """Tags that do not close, and anything that is fetched or runs."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("script", "link", "iframe", "img", "object"):
            self.wrong.append(f"<{tag}>")
        self.wrong += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href", "onclick", "onload")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")


@pytest.mark.parametrize("name", MADE)
def test_the_page_is_whole_and_fetches_nothing(name: str) -> None:
    explanation = MADE[name]()
    for html in (explanation.to_html(), explanation._repr_html_()):
        checker = _Checker()
        checker.feed(html)
        assert checker.open == []
        assert checker.wrong == []
        assert "url(http" not in html
        assert "@import" not in html
        assert checker.count["math"] > 20
        assert checker.count["svg"] == 1
        for section in ("Graph", "Symbols", "Forward pass", "Backward pass", "Update", "Check"):
            assert f"<h2>{section}" in html


def test_text_of_the_user_is_escaped() -> None:
    def loss(w: Any) -> Any:
        return w * 2  # <script>alert(1)</script>

    assert "<script>" not in explain(loss, 1.0).to_html()


@pytest.mark.parametrize("name", MADE)
def test_json_follows_its_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    data = json.loads(MADE[name]().to_json())
    validator.validate(data)
    for broken in ({**data, "version": 2}, {**data, "extra": 1}, {k: v for k, v in data.items() if k != "key"}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(broken)


def test_json_holds_the_numbers() -> None:
    explanation = neuron()
    data = json.loads(explanation.to_json())
    assert data["gradients"]["w"]["values"] == 4.0
    assert data["key"]["text"] == "∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 2·1·2 = 4"
    nodes = {node["line"]: node for node in data["nodes"]}
    assert [n["name"] for n in data["nodes"] if n["differentiated"]] == ["w", "x", "b", "y"]
    # Backpropagation can be done again from the file alone.
    gradients = {data["loss"]["line"]: 1.0}
    for edge in data["edges"]:
        passed = gradients[edge["line"]] * edge["local"]["values"]
        assert passed == edge["part"]["values"]
        gradients[edge["argument"]] = gradients.get(edge["argument"], 0.0) + passed
    for line, gradient in gradients.items():
        assert nodes[line]["gradient"]["values"] == gradient
    assert data["paths"][0]["count"] == "1"


def test_json_of_numbers_that_json_lacks() -> None:
    explanation = explain(lambda x: np.log(x), 0.0)
    data = as_data(explanation)
    assert data["loss"]["value"] == "-inf"
    assert data["gradients"]["x"]["values"] == "inf"
    json.loads(explanation.to_json(), parse_constant=lambda name: pytest.fail(name))


def test_large_arrays_have_a_summary_only() -> None:
    data = as_data(explain(lambda x: np.sum(x**2), np.ones(2000)))
    assert data["gradients"]["x"]["values"] is None
    assert data["gradients"]["x"]["summary"]["norm"] == pytest.approx(2 * np.sqrt(2000))


def test_repeated_layers_are_collapsed() -> None:
    deep = mlp(30)
    drawing = layout(deep.outline)
    (stack,) = [b for b in drawing.boxes if b.repeats > 1]
    assert stack.repeats >= 24
    assert len(drawing.boxes) < 40
    assert f"× {stack.repeats}" in svg(deep)
    assert len(layout(deep.outline, collapse=False).boxes) > 120
    assert [b for b in layout(mlp(3).outline).boxes if b.repeats > 1] == []


def test_repeats() -> None:
    assert repeats([0, 1, 2, 1, 2, 1, 2, 1, 2, 3]) == [(1, 2, 4)]
    assert repeats([5] * 6) == [(0, 1, 6)]
    assert repeats([1, 2, 3, 1, 2, 3, 1, 2, 3]) == []  # three times is drawn in full
    assert repeats([]) == []


def _boxes_overlap(source: str) -> bool:
    pattern = r'<rect x="([\d.-]+)" y="([\d.-]+)" width="112" height="52"'
    found = [tuple(map(float, m)) for m in re.findall(pattern, source)]
    cells: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for x, y in found:
        for cell in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            for a, b in cells.get((int(x // 112) + cell[0], int(y // 52) + cell[1]), ()):
                if abs(a - x) < 112 and abs(b - y) < 52:
                    return True
        cells.setdefault((int(x // 112), int(y // 52)), []).append((x, y))
    return False


def test_two_thousand_nodes_are_drawn_without_overlaps() -> None:
    def tangled(x: Any, y: Any) -> Any:
        seen = [x, y]
        for i in range(1000):
            u, v = seen[-1 - (i * 7) % min(len(seen), 5)], seen[-1 - (i * 3) % min(len(seen), 9)]
            seen.append(np.sin(u + v) if i % 3 else np.tanh(u * v))
        return seen[-1] + seen[-2]

    explanation = explain(tangled, 0.3, 0.7)
    drawing = layout(explanation.outline)
    assert len(drawing.boxes) > 1500 or any(b.repeats > 1 for b in drawing.boxes)
    source = svg(explanation)
    assert not _boxes_overlap(source)
    assert "nan" not in source
    width = float(re.search(r'width="(\d+)"', source).group(1))  # type: ignore[union-attr]
    assert width < 1300  # it goes on below, it does not run out of the page


def test_all_formats_of_a_ten_layer_network_are_quick() -> None:
    mlp(2).to_html()  # what is imported and remembered once
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        explanation = mlp(10, 64)
        for make in (explanation.to_text, explanation.to_latex, explanation.to_html, explanation.to_json):
            assert make()
        best = min(best, time.process_time() - start)
    assert best < 2.0


def test_long_explanations_say_what_they_leave_out() -> None:
    def long(x: Any) -> Any:
        for _ in range(700):
            x = np.sin(x)
        return x

    explanation = explain(long, 0.5)
    assert "steps in between" in str(explanation)
    assert "steps in between" in explanation.to_html()
    assert "steps in between" in explanation.to_latex()
    assert len(explanation.chain) == 1401


FORMS: list[Callable[[Explanation], str]] = [
    Explanation.to_text, Explanation.to_latex, Explanation.to_html, Explanation.to_json,
]  # fmt: skip


@pytest.mark.parametrize("make", FORMS)
def test_an_empty_array_and_a_constant_function(make: Callable[[Explanation], str]) -> None:
    assert make(explain(lambda x: np.sum(x), np.ones((0, 3))))
    assert make(explain(lambda x: np.float64(3.0), 1.0))
    assert make(explain(lambda x: x, 1.0))


def test_public_names() -> None:
    assert cr.explain is explain
    assert cr.Explanation is Explanation
