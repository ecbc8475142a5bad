"""Data: digits, MNIST folders, CSV and NPZ tables, their preprocessing fitted on train rows, and seeded batches.

>>> from chainrule import data
>>> splits = data.digits()
>>> splits
Splits('digits', 1294 train, 144 validation, 359 test)
>>> x, y = next(data.batches(splits.train, 32, order=data.permutation(len(splits.train), seed=0, epoch=0)))
>>> x.shape, y.shape, str(x.dtype)
((32, 64), (32,), 'float32')
"""

from chainrule.data import idx
from chainrule.data.batching import Batch, batch_count, batches
from chainrule.data.columns import RawTable
from chainrule.data.dataset import Dataset, Splits, Task, permutation
from chainrule.data.download import download_mnist
from chainrule.data.images import digits, mnist
from chainrule.data.preprocess import ImagePreprocessor, Preprocessor, TablePreprocessor
from chainrule.data.preview import describe_rows, pictures, summary
from chainrule.data.reading import read_table
from chainrule.data.tables import table

__all__ = [
    "Batch",
    "Dataset",
    "ImagePreprocessor",
    "Preprocessor",
    "RawTable",
    "Splits",
    "TablePreprocessor",
    "Task",
    "batch_count",
    "batches",
    "describe_rows",
    "digits",
    "download_mnist",
    "idx",
    "mnist",
    "permutation",
    "pictures",
    "read_table",
    "summary",
    "table",
]
