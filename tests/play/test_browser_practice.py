"""The practice room in a real browser: each kind answered right and wrong, hints, progress, links, keyboard, faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule.play.practice.exercise import ORDER, Exercise, exercise
from chainrule.play.practice.grading import entered

Open = Callable[..., Any]


def link(item: Exercise) -> str:
    return f"/practice#kind={item.kind}&level={item.level}&seed={item.seed}&v=1"


def right(item: Exercise) -> dict[str, Any]:
    return {f.name: entered(f, item.answers[f.name]) for f in item.fields}


def wrong(item: Exercise) -> dict[str, Any]:
    mistake = item.mistakes[0]
    return right(item) | {n: entered(item.field(n), v) for n, v in mistake.answers.items()}


def enter(page: Any, item: Exercise, answers: dict[str, Any]) -> None:
    """Put answers into the page's fields as a person does."""
    for field in item.fields:
        answer = answers[field.name]
        if field.form in ("choice", "line", "several"):
            for box in page.locator(f"input[name={field.name}]").all():
                box.set_checked(box.get_attribute("value") in answer) if field.form == "several" else None
            if field.form != "several":
                page.check(f'input[name={field.name}][value="{answer}"]')
        elif field.form == "ordering":
            while page.locator(".slots button").count():
                page.locator(".slots button").first.click()
            for name in answer:
                page.click(f'.pool button[data-name="{name}"]')
        else:
            page.fill(f"#field-{field.name}", answer)


def check(page: Any) -> str:
    """Press Check; what came back."""
    page.evaluate("document.getElementById('feedback').replaceChildren()")
    page.click("#check")
    page.wait_for_selector("#feedback > div")
    return str(page.inner_text("#feedback"))


def visit(page: Any, item: Exercise) -> None:
    """Another exercise in the same page, by its address."""
    page.evaluate("hash => { location.hash = hash; }", link(item).partition("#")[2])
    arrived(page, item)


def arrived(page: Any, item: Exercise) -> None:
    """Wait until the page shows an item."""
    page.wait_for_selector(f'#item[data-item="{item.kind}/{item.level}/{item.seed}"]')


def plain(text: str) -> str:
    return " ".join(text.replace("$", "").split())


def test_each_kind_answered_wrong_and_right(open_page: Open) -> None:
    page = open_page(link(exercise(ORDER[0], 1, 2)))
    page.wait_for_selector("#fields > *")
    for number, kind in enumerate(ORDER):
        item = exercise(kind, 1 + number % 3, 2)
        visit(page, item)
        enter(page, item, wrong(item))
        said = check(page)
        assert "Not yet" in said, kind
        assert page.locator("#feedback > .bad p").first.inner_text() != "", kind
        enter(page, item, right(item))
        said = check(page)
        assert "Right, in the end" in said, (kind, said)
        assert page.locator("#next").is_visible()


def test_right_at_the_first_try_counts_and_the_next_one_comes(open_page: Open) -> None:
    item = exercise("path", 1, 5)
    page = open_page(link(item))
    page.wait_for_selector("#fields > *")
    enter(page, item, right(item))
    assert check(page).split() == ["✓", "Right", "2", "more", "to", "the", "next", "level."]
    stored = json.loads(page.evaluate("localStorage.getItem('chainrule.practice')"))
    assert stored["skills"]["path"] == {"points": 1, "right": 1, "missed": 0, "seen": 1}
    assert stored["queue"] == []
    address = page.url
    page.click("#next")
    page.wait_for_function("old => location.href !== old", arg=address)
    page.wait_for_selector("#check:visible")
    page.go_back()
    arrived(page, item)


def test_a_miss_costs_a_point_and_comes_back(open_page: Open) -> None:
    page = open_page(link(exercise("path", 1, 5)))
    page.wait_for_selector("#fields > *")
    for seed in (5, 6):
        item = exercise("path", 1, seed)
        visit(page, item)
        enter(page, item, right(item))
        check(page)
    missed = exercise("fanout", 1, 1)
    visit(page, missed)
    enter(page, missed, wrong(missed))
    check(page)
    check(page)  # a second miss of the same item costs nothing more
    stored = json.loads(page.evaluate("localStorage.getItem('chainrule.practice')"))
    assert stored["skills"]["fanout"]["missed"] == 1
    assert stored["queue"] == [{"kind": "fanout", "level": 1, "seed": 1, "step": 0, "due": 6}]
    assert "1 to do again later" in page.inner_text("#due")
    for seed in (7, 8, 9):
        item = exercise("path", 1, seed)
        visit(page, item)
        enter(page, item, right(item))
        check(page)
    assert "1 to do again now" in page.inner_text("#due")
    page.click("#mixed")
    page.wait_for_function("() => location.hash.includes('kind=fanout&level=1&seed=1&')")
    arrived(page, missed)
    enter(page, missed, right(missed))
    assert "Right" in check(page)
    stored = json.loads(page.evaluate("localStorage.getItem('chainrule.practice')"))
    assert [(one["step"], one["due"]) for one in stored["queue"]] == [(1, 7 + 8)]  # the next interval is longer


def test_hints_lead_to_the_answer_which_can_be_filled_in(open_page: Open) -> None:
    item = exercise("edge", 2, 3)
    page = open_page(link(item))
    page.wait_for_selector("#fields > *")
    for number, hint in enumerate(item.hints, 1):
        page.click("#hint:enabled")
        page.wait_for_function("n => document.querySelectorAll('#hint-list li').length === n", arg=number)
        if "$" not in hint.words:
            assert plain(hint.words) in plain(page.locator("#hint-list li").nth(number - 1).inner_text())
    assert page.locator("#hint").is_disabled()
    page.click("text=Fill it in")
    assert page.input_value("#field-gradient") == right(item)["gradient"]
    assert "Right, in the end" in check(page)  # the hints cost the "correct", not the finish
    assert json.loads(page.evaluate("localStorage.getItem('chainrule.practice')"))["skills"]["edge"]["points"] == 0


def test_what_is_typed_is_shown_as_it_is_read(open_page: Open) -> None:
    item = exercise("path", 3, 0)
    page = open_page(link(item))
    page.fill("#field-derivative", "2x^2")
    page.wait_for_selector(".preview math msup")
    page.fill("#field-derivative", "2x^")
    page.wait_for_selector("text=something is missing")
    page.fill("#field-derivative", "2y")
    assert "There is no y in this question" in check(page)
    assert "Not graded yet" in page.inner_text("#feedback")
    assert page.evaluate("document.activeElement.id") == "field-derivative"
    assert page.evaluate("localStorage.getItem('chainrule.practice')") is None  # costs nothing


def test_by_keyboard_alone(open_page: Open) -> None:
    item = exercise("order", 1, 4)
    page = open_page(link(item))
    page.wait_for_selector(".pool button")
    page.focus(".pool button")
    for name in right(item)["order"]:
        page.focus(f'.pool button[data-name="{name}"]')
        page.keyboard.press("Enter")
    page.wait_for_function("() => !document.querySelector('.pool button')")
    page.focus("#check")
    page.keyboard.press("Enter")
    page.wait_for_selector("#feedback .good")
    assert page.evaluate("document.activeElement.id") == "next"
    typed = exercise("path", 1, 5)
    visit(page, typed)
    page.focus("#field-gradient")
    page.keyboard.type(right(typed)["gradient"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#feedback .good")
    choice = exercise("direction", 1, 5)
    visit(page, choice)
    page.focus("input[name=way]")
    page.keyboard.press("Space")
    while page.locator("input[name=way]:checked").get_attribute("value") != right(choice)["way"]:
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#feedback .good")


def test_progress_goes_out_and_comes_in(open_page: Open, tmp_path: Path) -> None:
    item = exercise("shape", 1, 5)
    page = open_page(link(item))
    page.wait_for_selector("#fields > *")
    enter(page, item, right(item))
    check(page)
    with page.expect_download() as download:
        page.click("#export")
    file = tmp_path / "progress.json"
    download.value.save_as(file)
    kept = json.loads(file.read_text())
    assert kept["skills"]["shape"]["points"] == 1
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#forget")
    assert json.loads(page.evaluate("localStorage.getItem('chainrule.practice')"))["skills"] == {}
    page.set_input_files("#import-file", file)
    page.wait_for_selector("text=Progress imported")
    assert json.loads(page.evaluate("localStorage.getItem('chainrule.practice')")) == kept
    bad = [
        "no JSON", "{}", "[]", "null", json.dumps({**kept, "done": -1}), json.dumps({**kept, "version": 2}),
        json.dumps({**kept, "skills": {"shape": {"points": 99, "right": 1, "missed": 0, "seen": 1}}}),
        json.dumps({**kept, "queue": [{"kind": "<b>", "level": 1, "seed": 1, "due": 1, "step": 0}]}),
        json.dumps({**kept, "queue": [{}] * 1000}),
    ]  # fmt: skip
    for text in bad:
        file.write_text(text)
        page.set_input_files("#import-file", file)
        page.wait_for_selector(".toast.bad")
        page.click(".toast.bad")
        assert json.loads(page.evaluate("localStorage.getItem('chainrule.practice')")) == kept, text


def test_two_pages_of_one_browser_share_progress(open_page: Open) -> None:
    item = exercise("path", 1, 5)
    page = open_page(link(item))
    arrived(page, item)
    other = page.context.new_page()
    other.goto(page.url)
    arrived(other, item)
    enter(page, item, right(item))
    check(page)
    other.wait_for_function("() => document.querySelectorAll('.bars i.on').length === 1")


def test_progress_is_there_after_a_reload(open_page: Open) -> None:
    item = exercise("path", 1, 5)
    page = open_page(link(item))
    arrived(page, item)
    enter(page, item, right(item))
    check(page)
    page.reload()
    arrived(page, item)
    assert page.locator(".bars i.on").count() == 1


def test_a_damaged_store_is_a_fresh_start(open_page: Open) -> None:
    page = open_page("/practice")
    page.evaluate("localStorage.setItem('chainrule.practice', '{\"format\": 3}')")
    page.reload()
    page.wait_for_selector("#fields > *")
    assert page.locator(".bars i.on").count() == 0


def test_levels_skills_and_a_link_that_is_none(open_page: Open, console: list[str]) -> None:
    page = open_page("/practice")
    page.wait_for_selector("#fields > *")
    assert "kind=structure&level=1" in page.url  # a newcomer begins with the first skill
    page.click("text=Level 3")
    page.wait_for_function("() => location.hash.includes('level=3')")
    page.click("#skill-list button:has-text('Used twice')")
    page.wait_for_function("() => location.hash.includes('kind=fanout&level=1')")
    page.wait_for_selector("figure.graph svg")
    old = page.url
    page.click("#another")
    page.wait_for_function("old => location.href !== old", arg=old)
    nothing = ["kind=nothing&level=1&seed=1", "kind=path&level=7&seed=1", "kind=path&level=1&seed=x"]
    for hash_ in (*nothing, "kind=path&level=1&seed=1&v=9", "kind=%3Cscript%3E&level=1&seed=1"):
        page.evaluate("hash => { location.hash = hash; }", hash_)
        page.wait_for_selector("text=There is no such exercise")
        assert page.inner_text("#prompt .problem")
        page.click("#mixed")
        page.wait_for_selector("#fields > *:visible")
    console.clear()  # the browser reports the refusals, status 400


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_fault(open_page: Open, axe: Callable[[Any], list[str]], dark: bool) -> None:
    page = open_page("/practice", dark=dark)
    for kind, level in (("wrong-line", 3), ("order", 2), ("diagnose", 3), ("fanout", 3), ("path", 3)):
        item = exercise(kind, level, 2)
        visit(page, item)
        enter(page, item, wrong(item))
        check(page)
        page.click("#hint:enabled")
        page.wait_for_selector("#hint-list li")
        assert axe(page) == [], kind
    item = exercise("path", 1, 5)
    visit(page, item)
    enter(page, item, right(item))
    check(page)
    assert axe(page) == []


@pytest.mark.parametrize("width", [360, 1024, 3840])
def test_nothing_overflows(open_page: Open, width: int) -> None:
    page = open_page("/practice", width=width, height=900)
    for number, kind in enumerate(ORDER):
        item = exercise(kind, 3 - number % 2, 2)
        visit(page, item)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), kind
        drawn = page.locator("figure.graph svg")
        if drawn.count():
            box = drawn.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    if width == 360:
        assert not page.locator("#skill-list").is_visible()
        page.click("#skills summary")
        assert page.locator("#skill-list").is_visible()
