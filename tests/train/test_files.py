"""Files are whole or absent, and refusals of the system come in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chainrule.base.errors import TrainingError
from chainrule.train import files


def test_content_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    files.write_atomic(target, "old")
    files.write_atomic(target, "nëw")
    assert target.read_text(encoding="utf-8") == "nëw"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "choose a folder you may write to"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_refusal_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    target = tmp_path / "a.txt"
    files.write_atomic(target, "old")

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(TrainingError) as caught:
        files.write_atomic(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    assert caught.value.problem == "cannot write a.txt"
    assert caught.value.got == os.strerror(number)
    assert advice in str(caught.value)


def test_a_missing_folder_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot write a\.txt"):
        files.write_atomic(tmp_path / "none" / "a.txt", "new")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(TrainingError, match="a file of that name is in the way"):
        files.make_folder(tmp_path / "taken")
    with pytest.raises(TrainingError, match="a file of that name is in the way"):
        files.make_folder(tmp_path / "taken" / "deeper")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TrainingError, match="choose a folder you may write to"):
        files.check_writable(tmp_path)


def test_leftovers_of_killed_processes_go(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.123.tmp").write_text("half")
    (tmp_path / "kept.tmp").write_text("mine")
    files.remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["kept.tmp"]
