"""chainrule predict: answers for new rows from a run folder alone."""

from __future__ import annotations

import csv
import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train import SMALL, table

from chainrule import data


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def idx(path: Path, images: np.ndarray) -> Path:
    header = struct.pack(">BBBB", 0, 0, 8, images.ndim) + struct.pack(f">{images.ndim}I", *images.shape)
    path.write_bytes(gzip.compress(header + images.astype(np.uint8).tobytes()))
    return path


def test_pictures_from_idx_and_npz(chainrule: Any, tmp_path: Path) -> None:
    ran = chainrule("train", "--hidden", "32", "--epochs", 8, "--quiet", "--json", "--out", "o")
    assert ran.code == 0, ran.err
    splits = data.digits()
    images = np.rint(splits.preprocessor.pictures(splits.test.x) * 16)  # type: ignore[attr-defined]
    ran_idx = chainrule("predict", "o", idx(tmp_path / "new-images-idx3-ubyte.gz", images))
    assert ran_idx.code == 0, ran_idx.err
    rows = rows_of(ran_idx.out)
    assert list(rows[0]) == ["digit", *(f"p({d})" for d in range(10))]
    right = np.mean([row["digit"] == str(y) for row, y in zip(rows, splits.test.y, strict=True)])
    assert right == pytest.approx(ran.summary["test_accuracy"])
    for row in rows[:20]:
        shares = [float(row[f"p({d})"]) for d in range(10)]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row["digit"] == str(np.argmax(shares))
    np.savez(tmp_path / "new.npz", images=images.astype(np.uint8))
    assert chainrule("predict", "o", tmp_path / "new.npz").out == ran_idx.out


def test_tables_by_column_name(chainrule: Any, tmp_path: Path) -> None:
    source = table(tmp_path / "rows.csv", rows=200)
    options = ("--target", "target", "--hidden", "16", "--epochs", 50, "--lr", 0.01, "--quiet", "--json", "--out", "o")
    ran = chainrule("train", source, *options)
    assert ran.code == 0, ran.err
    # Other order, other columns, no target, a colour never seen, a gap.
    new = tmp_path / "new.csv"
    new.write_text("more,colour,b,a\nx,red,0.5,1.0\ny,green,,-1\n")
    ran = chainrule("predict", "o", new)
    assert ran.code == 0, ran.err
    rows = rows_of(ran.out)
    assert list(rows[0]) == ["target"]
    assert float(rows[0]["target"]) == pytest.approx(50 + 10 - 2.5, abs=3)
    assert len(rows) == 2
    ran = chainrule("predict", "o", new, "--out", "answers.csv")
    assert ran.out == ""
    assert "2 predictions in answers.csv" in ran.err
    assert rows_of((tmp_path / "answers.csv").read_text()) == rows


def test_classes_by_name(chainrule: Any, tmp_path: Path) -> None:
    source = table(tmp_path / "rows.csv", kind="classes")
    chainrule("train", source, "--target", "target", *SMALL, "--out", "o")
    ran = chainrule("predict", "o", source)
    assert list(rows_of(ran.out)[0]) == ["target", "p(no)", "p(yes)"]
    assert {row["target"] for row in rows_of(ran.out)} <= {"yes", "no"}


def test_a_missing_column_is_named(chainrule: Any, tmp_path: Path) -> None:
    chainrule("train", table(tmp_path / "rows.csv"), "--target", "target", *SMALL, "--out", "o")
    (tmp_path / "new.csv").write_text("a,B\n1,2\n")
    ran = chainrule("predict", "o", tmp_path / "new.csv")
    assert ran.code == 2
    assert ran.err.startswith("error: the data lack columns that the network needs")
    assert "'b', 'colour'" in ran.err


def test_pictures_of_another_size(chainrule: Any, tmp_path: Path) -> None:
    chainrule("train", *SMALL, "--out", "o")
    ran = chainrule("predict", "o", idx(tmp_path / "a.idx", np.zeros((2, 9, 8))))
    assert ran.code == 2
    assert "the pictures do not fit the network" in ran.err


def test_inputs_that_can_not_be_read(chainrule: Any, tmp_path: Path) -> None:
    chainrule("train", *SMALL, "--out", "o")
    for path, text in ((tmp_path / "none.csv", "none.csv"), (tmp_path, "the input is a folder")):
        ran = chainrule("predict", "o", path)
        assert ran.code == 2
        assert text in ran.err
        assert "Traceback" not in ran.err


def test_folders_that_hold_no_run(chainrule: Any, tmp_path: Path) -> None:
    chainrule("train", *SMALL, "--out", "o")
    ran = chainrule("predict", tmp_path / "none", "x.csv")
    assert ran.code == 2
    assert "this folder holds no run" in ran.err
    path = tmp_path / "o" / "preprocessor.json"
    good = path.read_text()
    path.write_text(good[:-20])
    ran = chainrule("predict", "o", "x.csv")
    assert ran.code == 2
    assert "preprocessor.json can't be used" in ran.err
    path.write_text(good)
    model = tmp_path / "o" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    ran = chainrule("predict", "o", "x.csv")
    assert ran.code == 2
    assert "the checkpoint is damaged" in ran.err


def test_a_run_that_has_not_finished_uses_its_checkpoint(chainrule: Any, tmp_path: Path) -> None:
    source = table(tmp_path / "rows.csv")
    chainrule("train", source, "--target", "target", *SMALL, "--out", "o")
    finished = chainrule("predict", "o", source).out
    (tmp_path / "o" / "model.safetensors").unlink()
    ran = chainrule("predict", "o", source)
    assert ran.code == 0
    assert ran.out == finished
    assert "note: the run has not finished: step-" in ran.err
    for path in (tmp_path / "o" / "checkpoints").iterdir():
        path.unlink()
    ran = chainrule("predict", "o", source)
    assert ran.code == 2
    assert "no trained network yet" in ran.err
