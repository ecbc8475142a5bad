"""The walkthrough in a real browser: by keyboard alone, by dragging, by typing, by link, at each size and theme."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

import chainrule as cr
from chainrule.play.settings import Settings

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

NEURON = "z = w*x + b; a = relu(z); L = (a - y)**2"


def address(expression: str, at: dict[str, Any], **more: Any) -> str:
    return "/walk#" + urlencode({"e": expression, **{f"v.{k}": json.dumps(v) for k, v in at.items()}, **more})


def value_of(page: Any, symbol: str) -> str:
    """What stands in the box of a symbol."""
    box = page.locator(f'.node:has(.symbol:text-is("{symbol}"))')
    return str(box.locator(".value").text_content())


def gradient_of(page: Any, symbol: str) -> str:
    return str(page.locator(f'.node:has(.symbol:text-is("{symbol}")) .gradient').text_content())


@pytest.fixture
def walk(open_page: Callable[..., Any]) -> Callable[..., Any]:
    """``walk("/walk#…", width=…)``: the page, once its first graph is drawn."""

    def opened(path: str = "/walk", **more: Any) -> Any:
        page = open_page(path, reduced_motion="reduce", **more)
        page.locator("#graph .node").first.wait_for()
        return page

    return opened


def test_the_whole_walk_by_keyboard_alone(walk: Callable[..., Any]) -> None:
    page = walk()
    card = page.locator("#card")
    expect(page.locator("#expression")).to_have_value(NEURON)
    assert (value_of(page, "w"), value_of(page, "z"), value_of(page, "L")) == ("0.5", "?", "?")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert (value_of(page, "z"), value_of(page, "L"), gradient_of(page, "a")) == ("1", "1", "")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert (gradient_of(page, "L"), gradient_of(page, "a"), gradient_of(page, "w")) == ("∂ 1", "∂ 2", "∂ 4")
    expect(card).to_contain_text("so L changes 4 times as much")
    expect(page.locator("#said")).to_contain_text("Backward, step 7 of 9")
    expect(page.locator("#key math")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("central differences give the same")
    page.keyboard.press("End")
    expect(card).to_contain_text("L falls from 1 to 0.04")
    assert (gradient_of(page, "w"), gradient_of(page, "L")) == ("→ 0.1", "→ 0.04")
    page.keyboard.press("Home")
    expect(card).to_contain_text("These values are given")
    page.keyboard.press("Space")
    expect(page.locator(".play")).to_have_attribute("aria-pressed", "true")
    expect(card).to_contain_text("step 1 of 9")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".play")).to_have_attribute("aria-pressed", "false")
    # The box of w is a slider: it is reached by Tab and moved by arrows.
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "slider":
            break
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "w"
    page.keyboard.press("ArrowUp")
    expect(page.locator("#said")).to_contain_text("w is 0.55, L is 1.21, gradient by w 4.4")
    assert page.evaluate("document.activeElement.getAttribute('aria-valuenow')") == "0.55"


def test_scrolling_over_the_graph_steps_and_lets_go_at_the_end(walk: Callable[..., Any]) -> None:
    page = walk(height=600)
    page.locator("#graph").hover()
    page.mouse.wheel(0, 120)
    expect(page.locator("#card")).to_contain_text("step 1 of 9")
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("End")
    page.mouse.wheel(0, 200)
    expect(page.locator("#card")).to_be_in_viewport(ratio=0.5)
    assert page.evaluate("scrollY") > 0


def test_dragging_a_box_moves_everything(walk: Callable[..., Any]) -> None:
    page = walk(width=1280)
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    box = page.locator('.node:has(.symbol:text-is("w"))').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    seen = set()
    for k in range(1, 13):
        page.mouse.move(x + 3 * k, y)
        page.wait_for_timeout(20)
        seen.add(value_of(page, "L"))
    page.mouse.up()
    expect(page).not_to_have_url(re.compile(r"v\.w=0\.5&"))
    w = float(page.locator('input[aria-label="w"]').input_value())
    assert w > 1
    expect(page.locator('.node:has(.symbol:text-is("L")) .value')).to_have_text(f"{4 * w * w:.4g}")
    expect(page.locator('.node:has(.symbol:text-is("w")) .gradient')).to_have_text(f"∂ {8 * w:.4g}")
    assert len(seen) >= 4, "the loss must follow during the drag"
    # The slider and the number do the same.
    page.locator('input[aria-label="w, slider"]').press("ArrowLeft")
    page.locator('input[aria-label="y"]').fill("1/2")
    page.locator('input[aria-label="y"]').press("Enter")
    expect(page.locator('.node:has(.symbol:text-is("y")) .value')).to_have_text("0.5")
    page.locator('input[aria-label="y"]').fill("nonsense")
    page.locator('input[aria-label="y"]').press("Enter")
    expect(page.locator('input[aria-label="y"]')).to_have_attribute("aria-invalid", "true")
    assert value_of(page, "y") == "0.5"


def test_typing_an_expression_right_and_wrong(walk: Callable[..., Any], console: list[str]) -> None:
    page = walk()
    field = page.locator("#expression")
    field.fill("(sin(q) - foo(y))**2")
    field.press("Enter")
    problem = page.locator("#problem")
    expect(problem).to_contain_text("There is no function foo. At column 11:")
    caret = problem.locator("pre").inner_text().split("\n")
    assert caret[0][caret[1].index("^") : caret[1].rindex("^") + 1] == "foo"
    expect(field).to_have_attribute("aria-invalid", "true")
    page.wait_for_timeout(200)
    assert all("400" in line for line in console), "the browser notes the refused requests"
    console.clear()
    field.fill("s = sin(q); (s - y)**2")
    field.press("Enter")
    expect(problem).to_be_empty()
    expect(page.locator(".node .symbol")).to_have_text(["q", "y", "s", "L"])
    expect(page.locator("#reason")).to_have_text("An expression of your own.")
    page.keyboard.press("Tab")
    page.locator("#stage").click(position={"x": 5, "y": 5})
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.locator('input[aria-label="q"]').fill("0.5")
    page.locator('input[aria-label="q"]').press("Enter")
    wanted = cr.grad(lambda q: (np.sin(q) - 0.0) ** 2)(0.5)
    expect(page.locator('.node:has(.symbol:text-is("q")) .gradient')).to_have_text(f"∂ {wanted:.4g}")


@pytest.mark.parametrize("name", ["x", "x" * 400])
def test_a_lone_variable_has_no_graph_and_is_walked_through(walk: Callable[..., Any], name: str) -> None:
    page = walk()
    page.fill("#expression", name)
    page.press("#expression", "Enter")
    page.locator("#card").get_by_text("step 0 of 3").wait_for()
    page.locator("#buttons button").last.click()
    page.locator("#card").get_by_text("step 3 of 3").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_fan_out_is_shown_as_a_sum(walk: Callable[..., Any]) -> None:
    page = walk(address("a = sin(x); L = a*x + exp(a)", {"x": 0.4}, step=9))
    expect(page.locator("#card")).to_contain_text("Sum over uses")
    expect(page.locator(".tag.sum .local")).to_have_text(["+ 0.4", "+ 1.48"])
    expect(page.locator(".sum-row .number")).to_have_text(["0.4", "+ 1.476", "= 1.876"])
    page.keyboard.press("ArrowLeft")
    assert gradient_of(page, "x").endswith("+ …"), "a part that has come is not the whole"


def test_the_tangent_and_the_learning_rate_can_be_seen_and_dragged(walk: Callable[..., Any]) -> None:
    page = walk(width=1280)
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#curve .caption")).to_have_text("Slope of the tangent: ∂z/∂w = 2 at w = 0.5.")
    page.locator('.node:has(.symbol:text-is("a"))').click()
    expect(page.locator("#curve-choice option:checked")).to_have_text("a as z moves")
    page.locator("#curve-choice").select_option("rate")
    plot = page.locator(".plot").bounding_box()
    page.mouse.click(plot["x"] + plot["width"] * 0.7, plot["y"] + plot["height"] / 2)
    rate = float(page.locator('input[aria-label="learning rate"]').input_value())
    assert rate > 0.11
    expect(page.locator("#curve .caption")).to_contain_text(f"here α = {rate:.4g} leads from 1 to")


def test_a_task_is_ticked_when_it_is_done_and_stays_so(walk: Callable[..., Any]) -> None:
    page = walk()
    tour = page.locator("#tour")
    expect(tour).to_contain_text("Forward to the loss")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(tour.locator(".result")).to_contain_text("L = 1. Every value is kept")
    expect(page.locator(".dot-button.done")).to_have_count(1)
    page.locator(".dot-button").nth(3).click()
    expect(tour).to_contain_text("Make the loss 0")
    expect(tour.locator(".result")).to_be_hidden()
    page.locator('input[aria-label="y"]').fill("1")
    page.locator('input[aria-label="y"]').press("Enter")
    expect(tour.locator(".result")).to_contain_text("At the lowest point")
    page.locator(".dot-button").nth(4).click()
    page.locator('input[aria-label="w"]').fill("-0.5")
    page.locator('input[aria-label="w"]').press("Enter")
    expect(tour.locator(".result")).to_contain_text("Such a neuron is called dead")
    expect(page).to_have_url(re.compile(r"v\.w=-0\.5&"))
    page.reload()
    expect(page.locator(".dot-button.done")).to_have_count(3)
    page.locator(".dot-button").nth(3).click()
    expect(tour.locator(".result")).to_have_text("Done before.")


def test_steps_downhill_begin_again_from_where_they_led(walk: Callable[..., Any]) -> None:
    page = walk(address(NEURON, {"x": 2, "w": 0.5, "b": 0, "y": 0}, wrt="w", lr=0.05, step=9))
    page.locator(".dot-button").nth(7).click()
    for losses in ("1 → 0.36", "0.36 → 0.13"):
        page.get_by_role("button", name="Take this step").click()
        expect(page.locator("#card")).to_contain_text(losses)
    for _ in range(2):
        page.get_by_role("button", name="Take this step").click()
        page.wait_for_timeout(150)
    expect(page.locator("#tour .result")).to_contain_text("this is all that training is")
    assert float(page.locator('input[aria-label="w"]').input_value()) == pytest.approx(0.5 * 0.6**4)


def test_a_link_holds_the_whole_walk(walk: Callable[..., Any]) -> None:
    page = walk()
    page.locator("#example").select_option("logistic")
    expect(page.locator("#expression")).to_have_value(re.compile("sigmoid"))
    expect(page.locator('input[aria-label="w"]')).to_have_value("0.8")
    page.locator('input[aria-label="w"]').fill("-1.25")
    page.locator('input[aria-label="w"]').press("Enter")
    page.locator("#stage").click(position={"x": 5, "y": 5})
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"v\.w=-1\.25&.*step=8"))
    link = "/walk" + page.evaluate("location.hash")
    other = walk(link)
    for place in ("#card", "#key", "#graph"):
        assert other.locator(place).inner_text() == page.locator(place).inner_text()
    assert other.locator('input[aria-label="w"]').input_value() == "-1.25"
    broken = walk("/walk#e=w*x&v.w=NaN&v.x={}&lr=x&step=-4&wrt=zz")
    expect(broken.locator("#card")).to_contain_text("step 0 of")


def test_an_explanation_is_saved_and_opened(walk: Callable[..., Any], tmp_path: Any) -> None:
    page = walk()
    with page.expect_download() as started:
        page.locator("#save").click()
    started.value.save_as(tmp_path / "neuron.json")
    data = json.loads((tmp_path / "neuron.json").read_text())
    assert data["format"] == "chainrule.explanation"
    page.locator("#example").select_option("fan-out")
    expect(page.locator(".node .symbol").first).to_have_text("x")
    page.locator("#file").set_input_files(tmp_path / "neuron.json")
    expect(page.locator(".node .symbol").first).to_have_text("w")
    expect(page.locator("#expression")).to_have_value(NEURON)
    explanation = cr.explain(lambda W, x: np.sum(np.tanh(W @ x)), np.eye(2), np.array([0.5, -1.0]), wrt=[0])
    (tmp_path / "function.json").write_text(explanation.to_json())
    page.locator("#file").set_input_files(tmp_path / "function.json")
    expect(page.locator("#values")).to_contain_text("saved without an expression")
    page.locator("#stage").click(position={"x": 5, "y": 5})
    page.keyboard.press("End")
    expect(page.locator("#card")).to_contain_text("Update")


def test_the_playgrounds_network_is_walked_through(walk: Callable[..., Any]) -> None:
    """What the playground leaves for this room, and comes here with."""
    layers = [{"weight": [[0.5, -1.0], [1.0, 0.25]], "bias": [0.1, 0.0]}, {"weight": [[1.0, -0.5]], "bias": [0.2]}]
    state = {"format": "chainrule.playground", "version": 1, "settings": Settings().changed({"hidden": [2]}).to_json(),
             "layers": layers}  # fmt: skip
    page = walk()
    left = json.dumps({"state": state, "x": [1, 2], "label": -1})
    page.evaluate("left => localStorage.setItem('chainrule.walk.network', left)", left)
    page.evaluate("location.hash = '#network'")
    expect(page.locator("#reason")).to_contain_text("A network of the playground")
    hidden = np.tanh(np.array([[0.5, -1.0], [1.0, 0.25]]) @ [1, 2] + [0.1, 0.0])
    wanted = 0.5 * (np.tanh(hidden @ [1.0, -0.5] + 0.2) + 1) ** 2
    page.locator("#stage").click(position={"x": 5, "y": 5})
    page.keyboard.press("End")
    expect(page.locator('.node:has(.symbol:text-is("L")) .value')).to_have_text(f"{wanted:.4g}")


def test_long_chains_are_drawn_once_where_they_repeat(walk: Callable[..., Any]) -> None:
    text = "a0 = tanh(w*x); " + "; ".join(f"a{i} = tanh(w*a{i - 1} + x)" for i in range(1, 45)) + "; L = a44*a44"
    page = walk(address(text, {"w": 0.9, "x": 0.5}, wrt="x"))
    expect(page.locator(".node .symbol").filter(has_text="×")).to_have_count(1)
    page.locator("#stage").click(position={"x": 5, "y": 5})
    for key in ("End", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("#curve .plot .tangent")).to_have_count(1)
    expect(page.locator("#curve .caption")).to_contain_text("Slope of the tangent")


def test_numbers_that_are_not_finite_are_shown(walk: Callable[..., Any]) -> None:
    page = walk(address("a = log(x); L = a*a", {"x": -1}))
    expect(page.locator("#infinite")).to_contain_text("From a on, numbers are not finite")
    page.get_by_role("button", name="Go to step 1").click()
    expect(page.locator('.node:has(.symbol:text-is("a"))')).to_have_class(re.compile("infinite"))
    assert value_of(page, "a") == "NaN"


def test_all_steps_as_a_table(walk: Callable[..., Any]) -> None:
    page = walk()
    page.locator("#tables summary").click()
    rows = page.locator("#table-body tbody tr")
    expect(rows).to_have_count(10)
    expect(rows.nth(7)).to_contain_text("∂L/∂w = ∂L/∂z·∂z/∂w = 2·2 = 4")
    rows.nth(7).get_by_role("button").click()
    expect(page.locator("#card")).to_contain_text("step 7 of 9")


def test_arrays_are_edited_element_by_element(walk: Callable[..., Any]) -> None:
    at = {"W": [[0.5, 1.0], [-1.0, 0.25]], "x": [1.0, 2.0]}
    page = walk(address("a = tanh(W@x); L = sum(a*a)", at, wrt="W", step=99))
    cell = page.locator('input[aria-label="W[1, 0]"]')
    expect(cell).to_have_value("-1")
    cell.fill("0.5")
    cell.press("Enter")
    W, x = np.array([[0.5, 1.0], [0.5, 0.25]]), np.array([1.0, 2.0])
    wanted = float(np.sum(np.tanh(W @ x) ** 2))
    expect(page.locator('.node:has(.symbol:text-is("L")) .value')).to_have_text(f"{wanted:.4g}")


def test_a_number_becomes_an_array_where_the_expression_wants_one(walk: Callable[..., Any], console: list[str]) -> None:
    page = walk()
    page.locator("#expression").fill("z = W@x; L = sum(z*z)")
    page.locator("#expression").press("Enter")
    expect(page.locator("#problem")).to_contain_text("can't be computed")
    for name, value in (("W", "[[1, 2], [3, 4]]"), ("x", "[1, -1]")):
        field = page.locator(f'input[aria-label="{name}"]')
        field.fill(value)
        field.press("Enter")
    expect(page.locator("#problem")).to_be_empty()
    expect(page.locator('input[aria-label="W[1, 0]"]')).to_have_value("3")
    field = page.locator('input[aria-label="W as a list"]')
    field.fill("[[1, 2]]")
    field.press("Enter")
    expect(page.locator('input[aria-label="W[1, 0]"]')).to_have_count(0)
    expect(page.locator("#card")).to_contain_text("step 0 of")
    page.wait_for_timeout(200)
    assert all("400" in line for line in console), "the browser notes the refused requests"
    console.clear()


@pytest.mark.parametrize("width", [360, 1024, 3840])
@pytest.mark.parametrize("dark", [False, True])
def test_sizes_and_themes_without_faults(
    walk: Callable[..., Any], axe: Callable[[Any], list[str]], width: int, dark: bool
) -> None:
    page = walk(width=width, height=2160 if width > 3000 else 800, dark=dark)
    page.keyboard.press("End")
    page.locator("#tables summary").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the window"
    heights = page.locator(".node .value").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(heights) >= 11, "the numbers in the graph can be read"
    assert axe(page) == []
