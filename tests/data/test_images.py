from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chainrule.base.errors import DataError, OptionError
from chainrule.data import (
    Dataset,
    ImagePreprocessor,
    Preprocessor,
    describe_rows,
    digits,
    mnist,
    pictures,
    summary,
)
from chainrule.data.images import _packaged_digits


def test_digits() -> None:
    s = digits()
    assert (len(s.train), len(s.validation), len(s.test)) == (1294, 144, 359)
    assert (s.train.x.dtype, s.train.y.dtype, s.train.x.shape[1]) == (np.float32, np.int64, 64)
    assert s.train.classes == tuple("0123456789")
    assert s.train.image_shape == (8, 8)
    assert s.train.x.mean() == pytest.approx(0, abs=1e-5)
    assert s.train.x.std() == pytest.approx(1, abs=1e-5)
    shares = np.bincount(s.test.y) / np.bincount(np.concatenate([s.train.y, s.validation.y, s.test.y]))
    assert abs(shares - 0.2).max() < 0.01
    # Pinned: an accuracy measured on these test rows can be compared with one measured later.
    assert s.test.y[:20].tolist() == [1, 4, 5, 0, 3, 8, 6, 0, 9, 8, 1, 3, 9, 2, 1, 4, 1, 9, 4, 7]


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.load_digits()
    images, labels = _packaged_digits()
    np.testing.assert_array_equal(images, bunch.images)
    np.testing.assert_array_equal(labels, bunch.target)


def test_the_test_digits_do_not_depend_on_the_seed() -> None:
    a, b, again = digits(seed=1), digits(seed=2), digits(seed=1)
    shown = [pictures(s.test, None, s.preprocessor) for s in (a, b)]
    np.testing.assert_array_equal(*shown)
    np.testing.assert_array_equal(a.test.y, b.test.y)
    np.testing.assert_array_equal(a.validation.x, again.validation.x)
    assert not np.array_equal(a.validation.y, b.validation.y)
    assert len(digits(validation=0).validation) == 0


def test_no_row_is_in_two_parts() -> None:
    s = digits()
    images, _ = _packaged_digits()
    seen = [row.tobytes() for part in (s.train, s.validation, s.test) for row in pictures(part, None, s.preprocessor)]
    grey = np.rint(images / 16 * 255).astype(np.uint8)
    assert sorted(seen) == sorted(row.tobytes() for row in grey)


def test_a_nearest_neighbour_reads_the_digits() -> None:
    s = digits()
    distance = (s.test.x**2).sum(1)[:, None] - 2 * s.test.x @ s.train.x.T + (s.train.x**2).sum(1)
    assert (s.train.y[distance.argmin(1)] == s.test.y).mean() > 0.97


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError) as caught:
        digits()
    assert "pip install 'chainrule[train]'" in str(caught.value)


def test_digits_options() -> None:
    with pytest.raises(OptionError, match="validation is not a fraction"):
        digits(validation=1)
    with pytest.raises(OptionError, match="the seed is not valid"):
        digits(seed=-3)


def test_a_folder_in_the_format_of_mnist(tmp_path: Path, mnist_like) -> None:
    s = mnist(mnist_like(tmp_path), validation=0.2)
    assert (len(s.train), len(s.validation), len(s.test)) == (40, 10, 10)
    assert s.train.image_shape == (6, 4)
    assert np.bincount(s.validation.y).tolist() == [1] * 10
    assert len(mnist(tmp_path, validation=0).validation) == 0
    (tmp_path / "t10k-labels-idx1-ubyte").rename(tmp_path / "t10k-labels.idx1-ubyte")
    np.testing.assert_array_equal(mnist(tmp_path).test.y, s.test.y)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08")
    with pytest.raises(DataError, match="the IDX file is truncated"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"train_labels": np.zeros(49, "u1")}, "not as many labels as pictures\n  expected: 50 labels"),
        ({"train_images": np.zeros(50, "u1")}, "the file of pictures holds something else"),
        ({"t10k_labels": np.zeros((10, 2), "u1")}, "the file of labels holds something else"),
        ({"t10k_images": np.zeros((10, 4, 6), "u1")}, "train and test pictures have different sizes"),
    ],
    ids=range(4),
)
def test_bad_folders(tmp_path: Path, mnist_like, replace, message: str) -> None:
    with pytest.raises(DataError) as caught:
        mnist(mnist_like(tmp_path, **replace))
    assert message in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path, mnist_like) -> None:
    mnist_like(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="got: no t10k-labels-idx1-ubyte") as caught:
        mnist(tmp_path)
    assert "download_mnist" in str(caught.value)
    with pytest.raises(DataError, match="no such folder"):
        mnist(tmp_path / "none")


def test_real_mnist(shared_data: Callable[[str], Path]) -> None:
    s = mnist(shared_data("mnist"))
    assert (s.train.x.shape, s.validation.x.shape, s.test.x.shape) == ((54000, 784), (6000, 784), (10000, 784))
    assert s.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert isinstance(s.preprocessor, ImagePreprocessor)
    assert s.preprocessor.mean == pytest.approx(0.1307, abs=5e-4)
    assert s.preprocessor.scale == pytest.approx(0.3081, abs=5e-4)


def test_new_pictures() -> None:
    s = digits()
    p = s.preprocessor
    images, _ = _packaged_digits()
    x = p.transform(images[:5])
    np.testing.assert_array_equal(x, p.transform(images[:5].reshape(5, 64)))
    np.testing.assert_array_equal(x[:1], p.transform(images[0]))
    np.testing.assert_array_equal(x, p.transform({"x": images[:5]}))
    columns = {name: [str(v) for v in images[:5].reshape(5, 64)[:, i]] for i, name in enumerate(p.feature_names)}
    np.testing.assert_array_equal(x, p.transform(columns))
    again = Preprocessor.from_dict(json.loads(json.dumps(p.to_dict())))
    np.testing.assert_array_equal(x, again.transform(images[:5]))
    assert again.target_inverse(np.array([3])).tolist() == ["3"]
    del columns["pixel_7_7"]
    with pytest.raises(DataError, match="expected: 'pixel_7_7'"):
        p.transform(columns)
    columns["pixel_7_7"] = ["0", "", "0", "0", "0"]
    with pytest.raises(DataError, match="where: row 1, column 'pixel_7_7'"):
        p.transform(columns)


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 63), (64,), (2, 3, 8, 8)])
def test_pictures_of_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"numbers of shape \(n, 8, 8\) or \(n, 64\)"):
        digits().preprocessor.transform(np.zeros(shape))


def test_pictures_with_gaps() -> None:
    with pytest.raises(DataError, match="a pixel is not a finite number"):
        digits().preprocessor.transform(np.full((1, 8, 8), np.nan))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("image_shape", [8], "two whole"), ("image_shape", [8, 0.5], "two whole"), ("scale", 0, "numbers above 0")],
)
def test_a_damaged_preprocessor_is_refused(field: str, value: object, message: str) -> None:
    content = digits().preprocessor.to_dict() | {field: value}
    with pytest.raises(DataError, match=message):
        Preprocessor.from_dict(content)


def test_pictures_of_rows() -> None:
    s = digits()
    images, _ = _packaged_digits()
    shown = pictures(s.test, [0, 2], s.preprocessor)
    assert (shown.shape, shown.dtype) == ((2, 8, 8), np.uint8)
    assert (np.rint(images / 16 * 255).astype(np.uint8) == shown[0]).all(axis=(1, 2)).any()
    beyond = Dataset(np.array([[-9.0] * 32 + [9.0] * 32], "f4"), np.array([0]), "classification", image_shape=(8, 8))
    assert pictures(beyond, None, s.preprocessor)[0, 3:5, 0].tolist() == [0, 255]
    plain = pictures(s.test, [0, 2])
    assert (plain.min(), plain.max()) == (0, 255)
    with pytest.raises(DataError, match="the rows are not from a table"):
        describe_rows(s.test, [0], s.preprocessor)
    assert summary(s)["classes"]["0"] == 178


def test_rows_that_are_no_pictures() -> None:
    with pytest.raises(DataError, match="the rows are not pictures"):
        pictures(Dataset.from_arrays([[1.0]], [0.5]))

