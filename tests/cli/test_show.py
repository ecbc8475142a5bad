"""chainrule show, profile and cache: what they print, and what they say of bad input."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llvmlite")

SMALL = ("8-4-3", "--batch-size", 5, "--optimizer", "sgd")


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of object code, which does not exist yet."""
    place = tmp_path / "objects"
    monkeypatch.setenv("CHAINRULE_CACHE", str(place))
    return place


def test_show_a_step_with_its_passes_named(chainrule: Any, objects: Path) -> None:
    ran = chainrule("show", *SMALL)
    assert ran.code == 0, ran.err
    assert ran.err == (
        "training step of 8 → 4 → 3 (51 parameters, relu), batch 5, sgd; "
        "stage fused of graph → simplified → fused → loops → llvm → asm\n"
    )
    assert ran.out.startswith("kernel 0 (")
    assert "(forward): product over 5×4" in ran.out
    assert "backward" in ran.out
    assert "update)" in ran.out
    assert "test_show.py" not in ran.out  # the caller of a command is no part of the model


@pytest.mark.parametrize("stage", ["graph", "simplified", "fused", "loops", "llvm", "asm"])
def test_show_every_stage(stage: str, chainrule: Any, objects: Path) -> None:
    ran = chainrule("show", *SMALL, "--stage", stage)
    assert ran.code == 0, ran.err
    assert {"graph": "matmul %", "simplified": "matmul %", "fused": "matmul %", "loops": "over k in 8",
            "llvm": "define internal", "asm": "instructions"}[stage] in ran.out  # fmt: skip


def test_show_one_kernel_for_another_machine(chainrule: Any, objects: Path) -> None:
    ran = chainrule("show", "16-128-3", "--stage", "asm", "--kernel", 1, "--target", "neon")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("# kernel 1 (forward): product over 128×128")
    assert "fmla v" in ran.out
    assert "kernel 2" not in ran.out


def test_show_the_task_of_train(chainrule: Any, objects: Path) -> None:
    ran = chainrule("show", "digits", "--activation", "tanh", "--batch-size", 7)
    assert ran.code == 0, ran.err
    assert "64 → 256 → 128 → 10 (50,826 parameters, tanh), batch 7, adam" in ran.err
    assert "product over 7×256" in ran.out


def test_a_regression_is_a_last_layer_of_one(chainrule: Any, objects: Path) -> None:
    ran = chainrule("show", "8-4-1", "--stage", "graph")
    assert ran.code == 0, ran.err
    assert "exp" not in ran.out  # no softmax


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("8x4",), "unknown model\n  expected: digits, mnist, or layer sizes such as 784-128-10\n  got: '8x4'"),
        (("8-4-0",), "these layer sizes can't be used"),
        (("-".join("1" * 300),), "these layer sizes can't be used"),
        (("60000-60000-60000",), "these layer sizes can't be used"),
        ((*SMALL, "--stage", "machine"), "unknown value for --stage\n  expected: one of: graph, simplified"),
        ((*SMALL, "--target", "mips"), "unknown value for target"),
        ((*SMALL, "--kernel", "99"), "unknown value for kernel"),
        (("8-4-3", "--optimizer", "adma"), "adma"),
        (("8-4-3", "--activation", "rleu"), "rleu"),
        (("8-4-3", "--batch-size", "0"), "--batch-size can't be 0"),
        (("8-4-3", "--batch-size", "99999999"), "--batch-size is too large\n  expected: at most 65536"),
    ],
)
def test_what_can_not_be_shown_is_said(words: tuple[Any, ...], says: str, chainrule: Any, objects: Path) -> None:
    ran = chainrule("show", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert says in ran.err
    assert "what to do" in ran.err


def test_profile_of_a_step(chainrule: Any, objects: Path) -> None:
    ran = chainrule("profile", *SMALL, "--repeats", 3)
    assert ran.code == 0, ran.err
    first, second, *rest = ran.out.splitlines()
    assert first.startswith("training step of 8 → 4 → 3")
    assert second.startswith("step of 8-4-3: ")
    assert "product 5×4" in ran.out
    assert "where" not in rest[0]  # no user's lines: the column is left out
    assert "pass" in rest[1]
    assert rest[-1].startswith("limit, measured in this run")


def test_profile_as_json(chainrule: Any, objects: Path) -> None:
    ran = chainrule("profile", *SMALL, "--repeats", 2, "--json")
    assert ran.code == 0, ran.err
    values = json.loads(ran.out)
    assert values["model"].startswith("training step of 8 → 4 → 3")
    assert {kernel["phase"] for kernel in values["kernels"]} >= {"forward", "backward", "update"}


def test_profile_of_no_repeats(chainrule: Any, objects: Path) -> None:
    ran = chainrule("profile", *SMALL, "--repeats", 0)
    assert ran.code == 2
    assert "profile: repeats can't be used" in ran.err


# --------------------------------------------------------------------------------------------------------------- cache


def test_the_cache_before_anything_was_compiled(chainrule: Any, objects: Path) -> None:
    assert chainrule("cache").out == f"{objects}\n0 compiled programs, 0 bytes of at most 256.0 MiB\n"
    assert chainrule("cache", "--clear").out == f"removed 0 compiled programs (0 bytes) from {objects}\n"
    assert not objects.exists()


def test_the_cache_is_counted_and_cleared(chainrule: Any, objects: Path) -> None:
    objects.mkdir()
    for name, size in (("a", 1000), ("b", 2000)):
        (objects / f"{name}.o").write_bytes(b"x" * size)
    (objects / "notes.txt").write_text("not ours")
    assert chainrule("cache").out == f"{objects}\n2 compiled programs, 3 KiB of at most 256.0 MiB\n"
    ran = chainrule("cache", "--json")
    assert json.loads(ran.out) == {
        "folder": str(objects), "entries": 2, "bytes": 3000, "most_bytes": 256 << 20, "removed_entries": 0,
        "removed_bytes": 0,
    }  # fmt: skip
    assert chainrule("cache", "--clear").out == f"removed 2 compiled programs (3 KiB) from {objects}\n"
    assert [p.name for p in objects.iterdir()] == ["notes.txt"]


def test_what_was_compiled_is_kept(chainrule: Any, objects: Path) -> None:
    chainrule("profile", *SMALL, "--repeats", 1)
    assert chainrule("cache").out.splitlines()[1].startswith("2 compiled programs, ")  # plain, and with a clock


def test_the_cache_switched_off(chainrule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert chainrule("cache").out == "no compiled programs are kept (CHAINRULE_CACHE is off)\n"
    assert chainrule("cache", "--clear").code == 0
    assert json.loads(chainrule("cache", "--json").out)["folder"] is None


def test_a_file_in_the_folders_place(chainrule: Any, objects: Path) -> None:
    objects.write_text("")
    assert "0 compiled programs" in chainrule("cache").out
    assert chainrule("cache", "--clear").code == 0


def test_a_cache_that_can_not_be_cleared(chainrule: Any, objects: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.mkdir()
    (objects / "a.o").write_bytes(b"x")

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    ran = chainrule("cache", "--clear")
    assert ran.code == 2
    assert "1 compiled program could not be removed\n  expected: a folder that can be written" in ran.err
    assert f"where: {objects}" in ran.err
