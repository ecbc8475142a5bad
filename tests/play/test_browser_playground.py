"""The playground in a real browser: running it, every control, looking inside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playing import button, click_link, more_choices, settings, state, until, weights

# -------------------------------------------------------------------------------------------------------------- running


def test_play_pause_step_back_and_rewind(play: Callable[..., Any]) -> None:
    page = play()
    start = weights(page)
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")
    first = weights(page)
    assert first != start
    button(page, "Step").click()
    until(page, "playground.state.epoch === 2")
    button(page, "Step back").click()
    until(page, "playground.state.epoch === 1")
    assert weights(page) == first  # bit for bit
    page.get_by_label("Unit of a step").select_option("batch")
    button(page, "Step").click()
    until(page, "playground.state.step === 26")
    page.get_by_label("Unit of a step").select_option("example")
    button(page, "Step").click()
    until(page, "playground.state.example === 1 && playground.state.step === 26")
    button(page, "Step back").click()
    until(page, "playground.state.example === 0")
    button(page, "Play").click()
    until(page, "playground.frame.playing && playground.frame.step > 60")
    button(page, "Pause").click()
    until(page, "!playground.state.playing")
    button(page, "Rewind").click()
    until(page, "playground.state.step === 0")
    assert weights(page) == start
    assert page.locator(".run-counters").inner_text().split()[1] == "000,000"
    assert button(page, "Step back").is_disabled()


def test_new_initial_weights_and_keys(play: Callable[..., Any]) -> None:
    page = play()
    start = weights(page)
    button(page, "New initial weights").click()
    until(page, "playground.state.settings.seed !== '0.42182'")
    assert weights(page) != start
    page.locator("#net-title").click()
    page.keyboard.press(".")
    until(page, "playground.state.epoch === 1")
    page.keyboard.press(",")
    until(page, "playground.state.step === 0")
    page.keyboard.press("h")
    until(page, "playground.state.phase === 'forward'")
    page.keyboard.press(" ")
    until(page, "playground.state.playing")
    page.keyboard.press(" ")
    until(page, "!playground.state.playing")


def test_half_steps_show_values_then_cotangents_then_move_the_weights(play: Callable[..., Any]) -> None:
    page = play(reduced_motion="reduce")
    start = weights(page)
    button(page, "Forward").click()
    until(page, "playground.values?.(3, {index: 0}).activation !== undefined")
    assert page.evaluate("playground.values(3, {index: 0}).cotangent") is None
    button(page, "Backward").click()
    until(page, "playground.state.phase === 'backward'")
    assert isinstance(page.evaluate("playground.values(1, {index: 2}).cotangent"), float)
    assert weights(page) == start
    button(page, "Update").click()
    until(page, "playground.state.step === 1")
    assert weights(page) != start


def test_cotangents_travel_back_unless_motion_is_unwanted(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Backward").click()
    until(page, "playground.net.flow?.back")
    until(page, "!playground.net.flow")
    still = play(reduced_motion="reduce")
    button(still, "Backward").click()
    until(still, "playground.state.phase === 'backward'")
    assert still.evaluate("playground.net.flow") is None


def test_speed_and_rate_change_while_it_plays(play: Callable[..., Any]) -> None:
    page = play()
    page.get_by_label("Speed").select_option("10")
    button(page, "Play").click()
    until(page, "playground.frame.step > 2")
    page.get_by_label("Learning rate", exact=True).select_option("0.1")
    until(page, "playground.state.settings.learning_rate === 0.1")
    assert state(page)["playing"]
    page.get_by_label("Speed").select_option("1000")
    until(page, "playground.frame.step > 300")
    page.get_by_label("Learning rate", exact=True).select_option("other")
    field = page.get_by_label("Learning rate, any number")
    field.fill("0.0421")
    field.press("Enter")
    until(page, "playground.state.settings.learning_rate === 0.0421")
    assert page.get_by_label("Learning rate", exact=True).input_value() == "0.0421"


# ------------------------------------------------------------------------------------------------------------- controls


def test_layers_neurons_activations_and_inputs(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Add a hidden layer").click()
    until(page, "String(playground.state.settings.hidden) === '4,2,2'")
    button(page, "Remove the last hidden layer").click()
    until(page, "String(playground.state.settings.hidden) === '4,2'")
    button(page, "More neurons in layer 1").click()
    until(page, "String(playground.state.settings.hidden) === '5,2'")
    button(page, "Fewer neurons in layer 2").click()
    until(page, "String(playground.state.settings.hidden) === '5,1'")
    page.get_by_label("Activation of layer 1").select_option("relu")
    until(page, "playground.state.settings.activations[0] === 'relu'")
    assert page.get_by_label("activation", exact=True).input_value() == "mixed"
    page.get_by_label("activation", exact=True).select_option("elu")
    until(page, "playground.state.settings.activation === 'elu' && !playground.state.settings.activations.length")
    button(page, "Input x₁²").click()
    until(page, "playground.state.settings.features.includes('x1^2')")
    button(page, "+ formula").click()
    page.get_by_label("Formula", exact=True).fill("sqrt(x1**2 +")
    button(page, "Add").click()
    page.get_by_role("alert").get_by_text(re.compile("Expected|To do")).wait_for()
    page.get_by_label("Formula", exact=True).fill("sqrt(x1**2 + x2**2)")
    button(page, "Add").click()
    until(page, "playground.state.settings.features.length === 4")
    assert page.evaluate("playground.plan.links.length") == 4 * 5 + 5 * 1 + 1


def test_every_further_choice(play: Callable[..., Any]) -> None:
    page = play()
    more_choices(page)
    for label, value, name in (
        ("Optimizer", "adam", "optimizer"), ("Loss", "cross-entropy", "loss"),
        ("Schedule of the rate", "cosine", "schedule"),
        ("Regularisation", "l2", "regularization"), ("Initial weights", "orthogonal", "initialiser"),
    ):  # fmt: skip
        page.get_by_label(label, exact=True).select_option(value)
        until(page, f"playground.state.settings.{name} === '{value}'")
    page.get_by_label("… over epochs", exact=True).select_option("100")
    until(page, "playground.state.settings.schedule_epochs === 100")
    page.get_by_label("Regularisation rate", exact=True).select_option("0.01")
    until(page, "playground.state.settings.regularization_rate === 0.01")
    page.get_by_label("Initial biases", exact=True).select_option("0.1")
    until(page, "playground.state.settings.bias === 0.1")
    page.get_by_label("Clip gradients at", exact=True).select_option("1")
    until(page, "playground.state.settings.clip === 1")
    page.get_by_label("Normalise the inputs").check()
    until(page, "playground.state.settings.normalise")
    page.get_by_label("New order each epoch").uncheck()
    until(page, "!playground.state.settings.shuffle")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_label("Seed", exact=True).press("Tab")
    until(page, "playground.state.settings.seed === '7'")
    page.get_by_label("Update rule").select_option("compatible")
    until(page, "playground.state.settings.mode === 'compatible'")
    assert settings(page)["optimizer"] == "sgd"
    assert page.get_by_label("Optimizer").input_value() == "sgd"


def test_data_controls(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "spiral").click()
    until(page, "playground.state.settings.dataset === 'spiral'")
    # The points that are drawn are those of the engine: on a spiral the radius says the angle.
    until(
        page,
        "playground.heat.points.train.every(([x, y, label]) => { const r = Math.hypot(x, y), t = 0.7 * Math.PI * r;"
        "return Math.abs(x * label - r * Math.sin(t)) + Math.abs(y * label - r * Math.cos(t)) < 1e-6; })",
    )
    for label, keys, expression in (
        ("Noise", 2, "settings.noise === 10"), ("Share for training", 1, "settings.train_percent === 60"),
        ("Batch size", 3, "settings.batch_size === 13"),
    ):  # fmt: skip
        slider = page.get_by_role("slider", name=label)
        slider.focus()
        for _ in range(keys):
            slider.press("ArrowRight")
        until(page, f"playground.state.{expression}")
    before = page.evaluate("playground.data.points[0]")
    button(page, "Regenerate").click()
    until(page, f"String(playground.data.points[0]) !== '{','.join(map(str, before))}'")
    button(page, "Regression").click()
    until(page, "playground.state.settings.dataset === 'plane'")
    button(page, "waves").click()
    until(page, "playground.state.settings.dataset === 'waves'")
    page.get_by_label("Show test data").check()
    page.get_by_label("Discretise").check()
    until(page, "playground.view.test && playground.view.discretise")
    button(page, "Classification").click()
    button(page, "pinwheel").click()
    until(page, "playground.state.outputs === 3")
    classes = page.get_by_role("slider", name="Classes")
    classes.focus()
    classes.press("ArrowRight")
    until(page, "playground.state.outputs === 4 && playground.frame.shapes.confusion?.[0] === 4")
    page.get_by_text("Confusion matrix").click()
    page.locator(".confusion tr").first.wait_for()
    assert page.locator(".confusion tr").count() == 5
    button(page, "digits").click()
    until(page, "playground.state.images && playground.pixels")
    assert page.locator(".map").first.is_hidden()


# ------------------------------------------------------------------------------------------------------- looking inside


def test_a_weight_explained_equals_the_gradient_that_training_uses(play: Callable[..., Any]) -> None:
    page = play()
    button(page, "Step").click()
    until(page, "playground.state.epoch === 1")
    click_link(page, 1, 2, 0)
    panel = page.locator("#inspector")
    panel.get_by_text("Weight from x₁ to layer 1, neuron 3").wait_for()
    panel.get_by_text("paths from the loss back to it").wait_for()
    assert panel.locator("math").count() >= 4
    told = page.evaluate("playground.source.ask('explain', {what: 'weight', layer: 0, to: 2, from: 0})")
    before = told["value"]
    until(page, f"Math.abs(playground.frame.arrays.gradients[4] - {told['gradient']}) < 1e-6")
    page.get_by_label("Unit of a step").select_option("batch")
    button(page, "Step").click()
    until(page, "playground.state.step === 26")
    after = page.evaluate("playground.source.ask('explain', {what: 'weight', layer: 0, to: 2, from: 0})")["value"]
    assert after - before == pytest.approx(-0.03 * told["gradient"], rel=1e-9)
    assert page.locator(".paths tbody tr").count() == told["paths"]["count"] + 1
    panel.get_by_label("example", exact=True).select_option("4")
    panel.get_by_text("for example 4 of 10").wait_for()


def test_weights_and_biases_are_edited_by_typing(play: Callable[..., Any]) -> None:
    page = play()
    click_link(page, 2, 1, 3)
    field = page.get_by_label("weight w")
    field.fill("-1.25")
    field.press("Enter")
    until(page, "playground.frame.arrays.weights[2 * 4 + 4 + 3] === -1.25")
    button(page, "Output").first.click()
    bias = page.get_by_label("bias b")
    bias.fill("3/4")
    bias.press("Enter")
    until(page, "playground.frame.arrays.biases[6] === 0.75")
    page.get_by_label("Weight from layer 2, neuron 1", exact=True).fill("0.5")
    page.get_by_label("Weight from layer 2, neuron 1", exact=True).press("Enter")
    until(page, "playground.frame.arrays.weights[2 * 4 + 4 * 2] === 0.5")
    bias.fill("abc")
    bias.press("Enter")
    page.get_by_text("Expected a number").wait_for()
    assert page.evaluate("playground.frame.arrays.biases[6]") == 0.75


def test_pointing_says_values_that_live(play: Callable[..., Any]) -> None:
    page = play()
    page.get_by_role("button", name="Layer 1, neuron 2").hover()
    page.locator(".tip").get_by_text("bias").wait_for()
    page.locator(".map-said").get_by_text("layer 1, neuron 2").wait_for()
    until(page, "playground.frame.arrays.output")
    first = page.locator(".tip").inner_text()
    page.keyboard.press(".")
    until(page, "playground.frame.epoch === 1")
    until(page, f"document.querySelector('.tip').textContent !== {json.dumps(first)}")
    page.locator(".map canvas").hover(position={"x": 150, "y": 90})
    page.locator(".map-said").get_by_text("→ output").wait_for()
    until(page, "Number.isFinite(playground.values(2, {index: 1}).activation)")
    page.mouse.move(0, 0)
    until(page, "playground.values === null")


def test_the_plane_is_read_by_keyboard(play: Callable[..., Any]) -> None:
    page = play()
    page.locator(".map canvas").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    page.locator(".map-said").get_by_text("x₁ 1.00, x₂ 0.50 → output").wait_for()
    button(page, "your own").click()
    until(page, "playground.state.settings.dataset === 'own'")
    page.locator(".map canvas").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    until(page, "playground.data.points.length === 501")


def test_colours_and_tables(play: Callable[..., Any]) -> None:
    page = play()
    for name in ("gradient", "update/weight", "weight"):
        button(page, name).click()
        until(page, f"playground.view.colour === '{name.split('/')[0]}'")
    page.get_by_text("Weights, gradients and layers as tables").click()
    rows = page.locator("#table-panel tbody tr")
    rows.first.wait_for()
    assert rows.count() == 8
    page.get_by_role("tab", name="Weights").press("ArrowRight")
    assert page.locator("#table-panel tbody tr").count() == 7
    page.get_by_role("tab", name="Layers").click()
    norms = page.evaluate("Array.from(playground.frame.arrays.layer_norms)")
    assert len(norms) == 3
    assert page.locator("#table-panel tbody tr").count() == 3


def test_neurons_by_keyboard_alone(play: Callable[..., Any]) -> None:
    page = play()
    page.get_by_role("button", name="Layer 1, neuron 1").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Bias of layer 2, neuron 2").wait_for()
    button(page, "Explain the weight from layer 1, neuron 3").press("Enter")
    page.get_by_role("heading", name="Weight from layer 1, neuron 3 to layer 2, neuron 2").wait_for()
