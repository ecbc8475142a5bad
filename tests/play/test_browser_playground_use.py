"""The playground in a real browser: breaking and repairing, own data, saving, comparing, looks, access."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playing import READY, SECONDS, button, click_link, more_choices, settings, state, until, weights

# -------------------------------------------------------------------------------------------------- breaking, repairing


def test_nan_stops_says_why_and_the_remedy_repairs(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Gallery").click()
    page.locator("[data-id=explode]").click()
    verdict = page.locator("#verdict")
    rates = []
    for _ in range(3):  # a tenth of the rate each time, until it holds
        verdict.get_by_text("left the finite numbers first").wait_for(timeout=SECONDS)
        assert not state(page)["playing"]
        rates.append(settings(page)["learning_rate"])
        verdict.get_by_role("button", name=re.compile("^Begin again with")).first.click()
        until(page, "playground.state.not_finite === null && playground.state.step === 0")
        button(page, "Play").click()
        until(page, "playground.frame.step > 300 || playground.state.not_finite")
        if state(page)["not_finite"] is None:
            break
    assert rates == sorted(rates, reverse=True)
    assert settings(page)["learning_rate"] < rates[-1]
    assert page.evaluate("Number.isFinite(playground.frame.loss[0])")


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_a_long_verdict_moves_nothing_and_can_be_read(
    play: Callable[..., Any], axe: Callable[[Any], list[str]], width: int
) -> None:
    page = play(width=width, height=900)
    height = page.evaluate("document.querySelector('#verdict').offsetHeight")
    button(page, "Gallery").click()
    page.locator("[data-id=explode]").click()
    page.locator("#verdict").get_by_text("left the finite numbers first").wait_for(timeout=SECONDS)
    assert page.evaluate("document.querySelector('#verdict').offsetHeight") == height
    assert page.evaluate(
        "[document.querySelector('#verdict'), ...document.querySelectorAll('#verdict button')]"
        ".every((one) => one.scrollHeight <= one.clientHeight + 1)"
    )
    until(page, "document.querySelector('.losses .value').textContent === '∞'")
    assert axe(page) == []


def test_a_number_too_large_for_one_is_refused(play: Callable[..., Any]) -> None:
    page = play()
    for text in ("1/0", "1e400"):
        page.get_by_label("Learning rate", exact=True).first.select_option("other")
        field = page.get_by_label("Learning rate, any number")
        field.fill(text)
        field.press("Enter")
        page.get_by_text(f"Got: {text}").wait_for()
    assert settings(page)["learning_rate"] == 0.03
    shown = page.get_by_label("Learning rate", exact=True).first.locator("option").all_text_contents()
    assert shown[:3] == ["0.00001", "0.0001", "0.001"]


def test_nan_then_rewind(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Gallery").click()
    page.locator("[data-id=explode]").click()
    until(page, "playground.state.not_finite")
    page.locator("#verdict").get_by_role("button", name="Rewind").click()
    until(page, "playground.state.step === 0 && !playground.state.not_finite")


def test_a_fault_is_named_with_its_remedy(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Gallery").click()
    page.locator("[data-id=dead]").click()
    verdict = page.locator("#verdict")
    verdict.get_by_text("ReLU").first.wait_for(timeout=SECONDS)
    verdict.get_by_role("button").first.click()
    until(page, "playground.state.settings.activation !== 'relu' || playground.state.settings.bias !== -8")


def test_the_traps_of_the_compatible_mode_are_named(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Gallery").click()
    page.locator("[data-id=trap]").click()
    page.get_by_text("larger than the 250 training examples").wait_for()


# ------------------------------------------------------------------------------------------------------------- own data


def test_points_by_click_and_by_typing(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "your own").click()
    until(page, "playground.state.settings.dataset === 'own' && playground.data.points.length === 500")
    button(page, "Remove all").click()
    until(page, "playground.data.points.length === 0")
    plane = page.locator(".map canvas")
    plane.click(position={"x": 200, "y": 60})
    until(page, "playground.data.points.length === 1")
    x, y, label = page.evaluate("playground.data.points[0]")
    assert x > 0
    assert y > 0
    assert label == 1
    button(page, "−1").click()
    page.get_by_label("x₁", exact=True).fill("-2")
    page.get_by_label("x₂", exact=True).fill("-3")
    button(page, "Add point").click()
    until(page, "playground.data.points.length === 2")
    assert page.evaluate("playground.data.points[1]") == [-2, -3, -1]
    page.get_by_label("x₁", exact=True).fill("3/4")
    button(page, "Add point").click()
    until(page, "playground.data.points.length === 3")
    assert page.evaluate("playground.data.points[2]") == [0.75, -3, -1]
    page.get_by_label("x₁", exact=True).fill("")
    button(page, "Add point").click()
    page.get_by_text("Expected two numbers for the point.").wait_for()
    assert page.evaluate("playground.data.points.length") == 3
    button(page, "remove").click()
    plane.click(position={"x": 200, "y": 60})
    until(page, "playground.data.points.length === 2")
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")


def test_a_table_is_pasted_and_its_columns_chosen(play: Callable[..., Any]) -> None:
    page = play()
    page.get_by_text("Your own data").click()
    page.get_by_text("Paste a table (CSV)").click()
    area = page.get_by_label("Rows, with or without names of columns")
    area.fill("a,b,c,kind\n1,2,3,yes\n2,5,no")
    button(page, "Read").click()
    page.get_by_role("alert").get_by_text("Expected").wait_for()
    rows = [f"{i},{i * i % 7},{10 - i},{'yes' if i % 2 else 'no'}" for i in range(20)]
    area.fill("\n".join(["a,b,c,kind", *rows]))
    button(page, "Read").click()
    until(page, "playground.data.points.length === 20")
    page.get_by_label("x₂", exact=True).last.select_option("c")
    until(page, "String(playground.heat.points.names) === 'a,c'")
    x1, spans = page.evaluate("[playground.heat.unit(5, 0), playground.data.spans]")
    assert x1 == spans[0][1] == 19  # the axis is in the table's own units
    assert state(page)["settings"]["dataset"] == "own"


# ------------------------------------------------------------------------------------------------------ saving, sharing


def test_the_link_reproduces_the_run_with_its_weights(play: Callable[..., Any]) -> None:
    page = play()
    for _ in range(3):
        button(page, "Step").click()
    until(page, "playground.state.epoch === 3")
    kept = weights(page)
    button(page, "Save & share").click()
    until(page, "document.querySelector('#share-link').value.includes('#')")
    link = page.get_by_label("A link to this run").input_value()
    other = play("/" + link[link.index("#"):])
    assert state(other)["epoch"] == 3
    assert weights(other) == kept


def test_export_and_import(play: Callable[..., Any], tmp_path: Any) -> None:
    page = play()
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")
    click_link(page, 1, 0, 0)
    kept = weights(page)
    button(page, "Save & share").click()
    texts = {}
    for name in ("State (JSON)", "Python script", "Explanation (LaTeX)", "SVG", "PNG"):
        with page.expect_download() as event:
            button(page, name).click()
        path = tmp_path / event.value.suggested_filename
        event.value.save_as(path)
        texts[name] = path.read_bytes()
    assert json.loads(texts["State (JSON)"])["format"] == "chainrule.playground"
    compile(texts["Python script"].decode(), "playground.py", "exec")
    assert b"\\documentclass" in texts["Explanation (LaTeX)"]
    svg = texts["SVG"].decode()
    assert svg.count("<path") == 8 + 8 + 2
    assert svg.count("<image") == 2 + 4 + 2 + 1
    assert texts["PNG"][:4] == b"\x89PNG"
    button(page, "Close").last.click()
    button(page, "xor").click()
    until(page, "playground.state.settings.dataset === 'xor'")
    button(page, "Save & share").click()
    page.get_by_label("Open a saved state").set_input_files(tmp_path / "playground.json")
    until(page, "playground.state.settings.dataset === 'circle' && playground.state.epoch === 1")
    assert weights(page) == kept


def test_a_wrong_file_and_a_wrong_link_are_refused_in_words(play: Callable[..., Any], tmp_path: Any) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"format": "something else"}')
    page = play("/#learningRate=fast&dataset=nowhere")
    page.locator(".toast.bad").first.wait_for()
    button(page, "Save & share").click()
    page.get_by_label("Open a saved state").set_input_files(wrong)
    until(page, "document.querySelectorAll('.toast.bad').length >= 2")


def test_the_exported_page_plays_back_without_a_server(play: Callable[..., Any], browser: Any, tmp_path: Any) -> None:
    page = play()
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")
    button(page, "Save & share").click()
    with page.expect_download(timeout=30_000) as event:
        button(page, "Page (HTML)").click()
    event.value.save_as(tmp_path / "page.html")
    problems: list[str] = []
    context = browser.new_context(offline=True)
    alone = context.new_page()
    alone.on("console", lambda said: said.type in ("error", "warning") and problems.append(said.text))
    alone.on("pageerror", lambda error: problems.append(str(error)))
    alone.goto((tmp_path / "page.html").as_uri())
    alone.wait_for_selector(READY, timeout=SECONDS)
    alone.get_by_role("slider", name="Recording").fill("3")
    until(alone, "playground.source.at === 3 && playground.frame.step > 0")
    alone.get_by_role("slider", name="Recording").fill(str(alone.evaluate("playground.source.length - 1")))
    alone.evaluate("playground.select({what: 'weight', layer: 1, to: 0, from: 0})")
    alone.locator("#inspector math").first.wait_for()
    button(alone, "Play").click()
    until(alone, "playground.frame.playing && playground.source.at > 1")
    context.close()
    assert problems == []


# ----------------------------------------------------------------------------------------------------------- comparison


def test_two_settings_side_by_side(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Compare").click()
    panel = page.locator("#compare")
    panel.get_by_text("B is as A").wait_for()
    until(page, "playground.rival.frame")
    until(page, "String(playground.rival.frame.arrays.weights) === String(playground.frame.arrays.weights)")
    panel.get_by_label("Learning rate", exact=True).select_option("0.3")
    panel.get_by_text("learning rate 0.03 → 0.3").wait_for()
    button(page, "Step").click()
    until(page, "playground.frame.epoch === 1 && playground.rival.frame.epoch === 1")
    assert page.evaluate("playground.rival.frame.loss[0] !== playground.frame.loss[0]")
    button(page, "xor").click()
    panel.get_by_text("dataset xor → circle").wait_for()
    button(page, "Make B as A").click()
    panel.get_by_text("B is as A").wait_for()
    until(page, "String(playground.rival.data.points) === String(playground.data.points)")
    button(page, "Compare").click()
    until(page, "playground.rival === null")
    assert panel.is_hidden()


def test_the_second_network_is_told_of_and_comes_back(play: Callable[..., Any]) -> None:
    page = play()
    listening = page.evaluate("playground.listeners.get('state').size")
    button(page, "Compare").click()
    panel = page.locator("#compare")
    panel.get_by_text("B is as A").wait_for()
    panel.get_by_label("Hidden layers").fill("5")
    panel.get_by_label("Hidden layers").press("Enter")
    panel.get_by_text("hidden 4, 2 → 5").wait_for()
    page.evaluate("playground.rival.source.token = 'unknown'; playground.rival.source.socket.close()")
    until(page, "playground.rival.source.token !== 'unknown' && String(playground.rival.state.sizes) === '2,5,1'")
    button(page, "Compare").click()
    until(page, "playground.rival === null")
    assert page.evaluate("playground.listeners.get('state').size") == listening




# ----------------------------------------------------------------------------------------------------- looks and access


@pytest.mark.parametrize(("width", "height", "dark"), [(360, 740, True), (1024, 768, False), (3840, 2160, True)])
def test_sizes_and_themes(
    play: Callable[..., Any], axe: Callable[[Any], list[str]], width: int, height: int, dark: bool
) -> None:
    page = play(width=width, height=height, dark=dark)
    more_choices(page)
    page.get_by_role("button", name="Layer 1, neuron 1").click()
    page.locator("#inspector math").first.wait_for()
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], "it scrolls sideways"
    small = page.evaluate(
        "Array.from(document.querySelectorAll('button, select, input')).filter((one) => one.checkVisibility())"
        ".map((one) => [one, one.getBoundingClientRect()])"
        ".filter(([, box]) => box.height < 16 || box.width < 16)"
        ".map(([one]) => one.outerHTML.slice(0, 90))"
    )
    assert small == []
    assert axe(page) == []


def test_dialogs_and_dark_have_no_fault(play: Callable[..., Any], axe: Callable[[Any], list[str]]) -> None:
    page = play()
    button(page, "Gallery").click()
    page.locator(".card").first.wait_for()
    assert axe(page) == []
    page.keyboard.press("Escape")
    button(page, "Save & share").click()
    assert axe(page) == []
    page.keyboard.press("Escape")
    button(page, "Light or dark").click()
    page.get_by_text("Weights, gradients and layers as tables").click()
    page.get_by_text("Your own data").click()
    button(page, "Compare").click()
    page.locator("#compare").get_by_text("B is as A").wait_for()
    assert axe(page) == []


def test_a_dropped_connection_goes_on_where_it_was(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")
    kept = weights(page)
    page.evaluate("playground.source.socket.close()")
    until(page, "document.querySelector('.down') && !document.querySelector('.down').hidden")
    until(page, "document.querySelector('.down').hidden")
    assert weights(page) == kept
    assert state(page)["epoch"] == 1


def test_on_to_the_walkthrough(play: Callable[..., Any]) -> None:
    page = play()
    click_link(page, 1, 0, 0)
    with page.expect_popup() as event:
        button(page, "Walk through it").click()
    event.value.locator("#reason").get_by_text("A network of the playground at one example").wait_for()


def test_controls_are_left_out_for_a_class(play: Callable[..., Any]) -> None:
    page = play("/#mode=default&dataset=xor&noise_hide=true&discretize=true&nonsense_hide=true")
    assert page.get_by_label("Noise").is_hidden()
    assert page.get_by_label("Discretise").is_checked()
    assert settings(page)["dataset"] == "xor"
    button(page, "Save & share").click()
    page.get_by_text("For a class").click()
    page.get_by_role("checkbox", name="Verdict").check()
    link = page.get_by_label("A link to this run").input_value()
    assert page.locator("#verdict").is_hidden()
    assert "noise_hide=true" in link
    assert "verdict_hide=true" in link
    assert "discretize=true" in link
    page.get_by_role("checkbox", name="Verdict").uncheck()
    assert page.locator("#verdict").is_visible()


def test_a_link_of_the_other_playground_opens(play: Callable[..., Any]) -> None:
    theirs = "activation=relu&batchSize=20&dataset=gauss&networkShape=3&seed=0.5&showTestData=true&noise=10"
    page = play(f"/#{theirs}")
    found = settings(page)
    assert (found["mode"], found["hidden"], found["activation"], found["noise"]) == ("compatible", [3], "relu", 10)
    assert page.get_by_label("Show test data").is_checked()


def test_a_run_that_the_engine_let_go_of_comes_back(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")
    kept = weights(page)
    page.evaluate("playground.source.token = 'unknown'; playground.source.socket.close()")
    page.get_by_text("had let go of this run").wait_for(timeout=SECONDS)
    assert weights(page) == kept
    assert state(page)["epoch"] == 1


def test_a_reload_comes_back_to_the_run(play: Callable[..., Any]) -> None:
    page = play()
    assert "#" not in page.url
    button(page, "xor").click()
    until(page, "playground.state.settings.dataset === 'xor'")
    button(page, "Step").click()
    until(page, "location.hash.includes('xor') && playground.state.epoch === 1")
    page.wait_for_timeout(300)
    kept = weights(page)
    page.reload()
    page.wait_for_selector(READY, timeout=SECONDS)
    assert weights(page) == kept


def test_nothing_moves_while_it_plays(play: Callable[..., Any]) -> None:
    page = play(width=1280, height=900)
    boxes = (
        "Array.from(document.querySelectorAll('.panel, .run, .verdict, #run button'))"
        ".map((one) => one.getBoundingClientRect())"
        ".map((box) => [box.x, box.y, box.height].map(Math.round).join()).join(';')"
    )
    button(page, "Play").click()
    until(page, "playground.frame.step > 50")
    first = page.evaluate(boxes)
    until(page, "playground.frame.step > 1200")
    until(page, "document.querySelector('#verdict').classList.contains('good-news')")
    assert page.evaluate(boxes) == first
