"""Sets of small grey pictures: scikit-learn's packaged digits, and folders in the format of MNIST.

Sources: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998), the 1,797 test pictures of
8 x 8 pixels from 0 to 16; Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
Pixels are standardised with one mean and one deviation of the train rows.  Does not do: colour, augmentation.
"""

from __future__ import annotations

import importlib
import importlib.util
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError
from chainrule.data import idx
from chainrule.data.dataset import (
    TEST_STREAM,
    VALIDATION_STREAM,
    Dataset,
    Splits,
    check_fraction,
    check_seed,
    hold_out,
)
from chainrule.data.download import FILES, Progress, download_mnist
from chainrule.data.preprocess import ImagePreprocessor, Target

_TEN = tuple(str(digit) for digit in range(10))
_DIGITS_TEST_SEED = 0  # the test rows are the same for every seed of a training run


def digits(*, seed: int = 0, validation: float = 0.1) -> Splits:
    """1,797 handwritten digits, x float32 (n, 64), y int64 (n,), split 80/20 into train and test rows by class.

    The test rows are always the same 359; ``seed`` draws the validation rows, a share ``validation`` of the others.
    Raises :class:`DataError` when scikit-learn, which carries the pictures, is not installed.
    """
    check_seed(seed, "digits")
    check_fraction("validation", validation, "digits")
    images, labels = _packaged_digits()
    rest, test_rows = hold_out(len(images), 0.2, _DIGITS_TEST_SEED, TEST_STREAM, labels)
    kept, held = hold_out(len(rest), validation, seed, VALIDATION_STREAM, labels[rest])
    return _splits("digits", images, labels, rest[kept], rest[held], images[test_rows], labels[test_rows], white=16.0)


def _packaged_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("the digits need scikit-learn, which carries the pictures", expected="scikit-learn installed",
                        got="no module named sklearn", where="digits", fix="pip install 'chainrule[train]'")
    # Its file, read directly, saves the second and a half that importing sklearn.datasets takes.
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    else:
        bunch: Any = importlib.import_module("sklearn.datasets").load_digits()
        table = np.column_stack([bunch.data, bunch.target]).astype(np.int64)
    if table.shape != (1797, 65) or table.min() < 0 or table.max() > 16 or table[:, 64].max() > 9:
        raise DataError("scikit-learn's digits are not as expected",
                        expected="1797 rows of 64 pixels 0..16 and a label",
                        got=f"shape {table.shape}", where=file, fix="reinstall scikit-learn")
    return table[:, :64].reshape(-1, 8, 8).astype(np.uint8), table[:, 64]


def mnist(
    folder: str | PathLike[str],
    *,
    validation: float = 0.1,
    seed: int = 0,
    download: bool = False,
    progress: Progress | None = None,
) -> Splits:
    """The four IDX files of MNIST (or of a set in its format) in ``folder``, each plain or .gz, as datasets.

    x is float32 (n, height*width), y int64 (n,); the test rows are those of the ``t10k`` files; ``seed`` draws the
    validation rows, a share ``validation`` of the others, by class.  With ``download``, missing files are fetched first
    (see :func:`download_mnist`).

    Raises :class:`DataError` for files that are missing or damaged, for pictures that are not bytes of shape
    (n, height, width), and for as many labels as there are not pictures.
    """
    check_seed(seed, "mnist")
    check_fraction("validation", validation, "mnist")
    root = Path(folder)
    if download and any(_find(root, name) is None for name in FILES):
        download_mnist(root, progress=progress)
    absent = [name for name in FILES if _find(root, name) is None]
    if absent:
        raise DataError("the folder lacks files of MNIST", expected=", ".join(f"{name}[.gz]" for name in FILES),
                        got=f"no {', '.join(absent)}" if root.is_dir() else "no such folder", where=root,
                        fix="check the folder, or fetch the files with chainrule.data.download_mnist(folder)")
    images, labels = _pair(root, "train")
    test_images, test_labels = _pair(root, "t10k")
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError("train and test pictures have different sizes", expected=f"test pictures {images.shape[1:]}",
                        got=str(test_images.shape[1:]), where=root, fix="put files of one set into the folder")
    count = int(max(labels.max(), test_labels.max())) + 1
    kept, held = hold_out(len(images), validation, seed, VALIDATION_STREAM, labels)
    classes = tuple(str(i) for i in range(max(count, 10)))
    return _splits("mnist", images, labels, kept, held, test_images, test_labels, white=255.0, classes=classes)


def _find(root: Path, name: str) -> Path | None:
    """The file of that name in ``root``, plain before .gz; some copies write ``-images.idx3`` for ``-images-idx3``."""
    names = (name, name.replace("-idx", ".idx"))
    return next((root / f"{n}{end}" for end in ("", ".gz") for n in names if (root / f"{n}{end}").is_file()), None)


def _pair(root: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    image_file, label_file = (_find(root, name) for name in FILES if name.startswith(part))
    assert image_file is not None
    assert label_file is not None
    images, labels = idx.read(image_file), idx.read(label_file)
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape:
        raise DataError("the file of pictures holds something else", expected="bytes of shape (n, height, width)",
                        got=f"{images.dtype} of shape {images.shape}", where=image_file, fix="check the file's name")
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError("the file of labels holds something else", expected="bytes of shape (n,)",
                        got=f"{labels.dtype} of shape {labels.shape}", where=label_file, fix="check the file's name")
    if len(images) != len(labels):
        raise DataError("there are not as many labels as pictures",
                        expected=f"{len(images)} labels, as in {image_file}",
                        got=f"{len(labels)} labels", where=label_file, fix="put files of one set into the folder")
    return images, labels.astype(np.int64)


def _splits(
    name: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train: NDArray[np.intp],
    validation: NDArray[np.intp],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.int64],
    *,
    white: float,
    classes: tuple[str, ...] = _TEN,
) -> Splits:
    target = Target(("digit",), "classification", classes)
    preprocessor = ImagePreprocessor.fit(target, images[train], white=white)

    def dataset(pictures: NDArray[np.uint8], ids: NDArray[np.int64]) -> Dataset:
        x = preprocessor.transform(pictures)
        return Dataset(x, ids, "classification", preprocessor.feature_names, classes, preprocessor.image_shape, name)

    return Splits(
        dataset(images[train], labels[train]),
        dataset(images[validation], labels[validation]),
        dataset(test_images, test_labels),
        preprocessor,
        name,
    )
