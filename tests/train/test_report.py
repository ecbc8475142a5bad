"""The report: complete, self-contained, escaped, and its charts draw what they are given."""

from __future__ import annotations

import base64
import html.parser
import math
import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest

from chainrule.train import EpochRecord, History
from chainrule.train.report import Evaluation, Mistake, Report, charts, render
from chainrule.train.report.png import data_uri, grey_png


def history(epochs: int = 3, metric: str = "accuracy") -> History:
    return History(
        tuple(
            EpochRecord(
                e, 10 * e, 1.0 / e, {metric: 0.5 + e / 10}, 1.2 / e, {metric: 0.4 + e / 10}, 1e-3 / e,
                {"layers[0]": 0.1 / e, "layers[1]": 1.0 / e}, 0.5,
            )
            for e in range(1, epochs + 1)
        )
    )  # fmt: skip


def report(evaluation: Evaluation, metric: str = "accuracy", epochs: int = 3) -> Report:
    return Report(
        "a <b> title", "sub & title", [("test accuracy", "97.0%")], [("optimizer", "adam")],
        [("layers[0]", "Linear(64 → 10)", 650)], history(epochs, metric), evaluation, metric, 2, ["a <note>"],
    )  # fmt: skip


TRUTH = np.array([0, 1, 2, 2, 1, 0])
GUESS = np.array([0, 1, 2, 1, 1, 0])
PICTURE = Mistake(3, "two", "one", "91.0% sure", np.arange(64.0).reshape(8, 8))
PAGE = render(report(Evaluation(TRUTH, GUESS, ("zero", "one", "two"), "digit", [PICTURE])))


class Tags(html.parser.HTMLParser):
    """Collects tags and fails on one that is closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    tags = Tags()
    tags.feed(PAGE)
    assert tags.open == []
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "iframe", "object"}
    for _, attributes in tags.seen:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "http" not in PAGE
    assert "url(" not in PAGE
    assert "prefers-color-scheme: dark" in PAGE


def test_text_from_data_is_escaped() -> None:
    assert "a &lt;b&gt; title" in PAGE
    assert "a <b> title" not in PAGE
    assert "<note>" not in PAGE
    evil = Mistake(0, "<script>", '"><img>', "1%", None, {"<col>": "<cell>"})
    page = render(report(Evaluation(TRUTH, GUESS, ("<script>", '"><img>', "two"), "<t>", [evil])))
    assert "<script>" not in page
    assert '"><img>' not in page
    assert "<cell>" not in page
    assert "<col>" not in page


def test_every_part_is_there() -> None:
    for text in (
        "97.0%", "Loss", "Accuracy", "Gradient norm per layer", "Learning rate", "Confusion matrix", "6 test rows",
        "most confident mistakes", "91.0% sure", "Linear(64 → 10)", "adam", "that of epoch 2", "layers[1]",
    ):  # fmt: skip
        assert text in PAGE, text


def test_the_confusion_matrix_counts() -> None:
    for text in ("true two, predicted one: 1 (50.0% of the row)", "true one, predicted one: 2 (100.0% of the row)"):
        assert text in PAGE


def test_many_classes_are_listed_instead() -> None:
    classes = tuple(f"class {i}" for i in range(50))
    page = render(report(Evaluation(np.arange(50), np.arange(50), classes, "t", [])))
    assert "Confusion matrix" not in page
    assert "The 20 hardest classes" in page
    assert "None: every test row is predicted correctly." in page


def test_a_regression_shows_residuals_and_rows() -> None:
    truth = np.linspace(1e5, 5e5, 200)
    rows = [Mistake(4, "100,000", "180,000", "+80,000", None, {"rooms": "5"})]
    page = render(report(Evaluation(truth, truth * 1.1, (), "price", rows), "rmse"))
    for text in ("Residuals", "predicted minus true price", "RMSE", "The largest errors", "+80,000", "rooms"):
        assert text in page, text
    assert "Confusion" not in page


def test_one_epoch_and_no_test_rows_still_make_a_page() -> None:
    page = render(report(Evaluation(TRUTH[:0], GUESS[:0], ("a", "b"), "t", []), epochs=1))
    assert "There are no test rows." in page
    assert "nan" not in page.lower().replace("finance", "")


def svg_of(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text[text.index("<svg") :])


def test_a_line_chart_draws_each_point_and_leaves_gaps() -> None:
    line = charts.Series("loss", [1, 2, 3, 4], [1.0, math.nan, 0.5, 0.25])
    svg = svg_of(charts.line_chart([line], title="t", log_y=True))
    path = next(part for part in svg.iter("path"))
    assert len(re.findall("M", path.get("d", ""))) == 2
    assert len(list(svg.iter("circle"))) == 3
    heights = [float(circle.get("cy", "0")) for circle in svg.iter("circle")]
    assert heights == sorted(heights), "a smaller loss stands lower"
    # Halving is the same distance everywhere on a log axis: 1 → 0.5 → 0.25.
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)
    assert "loss, epoch 3: 0.5" in "".join(svg.itertext())


def test_a_chart_of_nothing_says_so() -> None:
    assert "No values" in charts.line_chart([charts.Series("a", [1], [math.nan])], title="t")
    assert "No values" in charts.scatter(np.array([]), np.array([]), title="t", x_label="", y_label="")
    assert "No values" in charts.histogram(np.array([math.nan]), title="t", x_label="")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.5, 1.0]), (0.03, 0.97, [0, 0.5, 1.0]), (5, 5, None), (-3, 17, None), (1e-9, 2e-9, None)],
)
def test_ticks_are_round_and_enclose(low: float, high: float, ticks: list[float] | None) -> None:
    found = charts.nice_ticks(low, high, 3)
    assert found[0] <= low + 1e-12
    assert found[-1] >= high - 1e-12
    assert 2 <= len(found) <= 8
    assert len(set(charts.tick_texts(found))) == len(found)
    if ticks is not None:
        assert found == pytest.approx(ticks)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.4), (1e-12, 1e3), (1, 1), (2, 700), (0.001, 0.001)])
def test_log_ticks_enclose(low: float, high: float) -> None:
    found = charts.log_ticks(low, high)
    assert found[0] <= low * (1 + 1e-9)
    assert found[-1] >= high * (1 - 1e-9)
    assert found == sorted(set(found))
    assert 2 <= len(found) <= 8


def test_numbers_are_short() -> None:
    values = [0, 0.5, 123, 4567, 12_000, 500_000, 2_500_000, 1e-5, 2.5e-7, math.inf, -40_000]
    texts = ["0", "0.5", "123", "4,567", "12k", "500k", "2.5M", "10⁻⁵", "2.5·10⁻⁷", "∞", "-40k"]
    assert [charts.number(value) for value in values] == texts


def test_a_png_holds_the_picture() -> None:
    image = np.array([[0.0, 1.0, 2.0], [4.0, 3.0, 2.0]])
    content = grey_png(image)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    position, chunks = 8, {}
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kind, body = content[position + 4 : position + 8], content[position + 8 : position + 8 + length]
        (check,) = struct.unpack(">I", content[position + 8 + length : position + 12 + length])
        assert check == zlib.crc32(kind + body)
        chunks[kind] = body
        position += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, 8, 0, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(2, 4)
    assert rows.tolist() == [[0, 0, 64, 128], [0, 255, 191, 128]]
    assert base64.b64decode(data_uri(image).partition(",")[2]) == content


def test_a_flat_picture_is_black() -> None:
    rows = zlib.decompress(grey_png(np.full((1, 2), 7.0))[41:-16])
    assert list(rows) == [0, 0, 0]
