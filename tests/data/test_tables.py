from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chainrule.base.errors import ChainruleError, DataError, OptionError
from chainrule.data import Preprocessor, TablePreprocessor, describe_rows, read_table, summary, table


def write(tmp_path: Path, columns: dict[str, list[object]], name: str = "t.csv") -> Path:
    file = tmp_path / name
    rows = zip(*columns.values(), strict=True)
    file.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return file


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """100 rows: a number with gaps, a constant, a category with gaps, a heavy tail, an identifier, nothing at all."""
    rng = np.random.default_rng(0)
    a = [*rng.normal(50, 10, 100).round(3)]
    a[::9] = ["NA", "", "?", "nan", "NULL", "n/a", "None", " ", "missing", "NaN", "#N/A", "<NA>"]
    columns = {
        "a": a,
        "k": [7] * 100,
        "c": [["red", "green", "blue", ""][i % 4] for i in range(100)],
        "tail": rng.lognormal(8, 1.5, 100).round(3),
        "id": [f"row {i}" for i in range(100)],
        "void": [""] * 100,
        "t": rng.normal(1000, 100, 100).round(3),
    }
    return write(tmp_path, columns)


def test_features_of_a_mixed_table(mixed: Path) -> None:
    s = table(mixed, "t")
    assert s.train.feature_names == (
        "a", "a is missing", "k", "c=(missing)", "c=blue", "c=green", "c=red", "tail",
    )
    assert (len(s.train), len(s.validation), len(s.test)) == (72, 8, 20)
    assert s.train.task == "regression"
    assert (s.train.x.dtype, s.train.y.dtype, s.train.y.shape) == (np.float32, np.float32, (72,))
    for part in (s.train, s.validation, s.test):
        assert np.isfinite(part.x).all()
        assert (part.x[:, 2] == 0).all(), "a constant column is 0"
        assert (part.x[:, 3:7].sum(axis=1) == 1).all()
    assert {"column 'void' was left out: it has no values", "column 'id' was left out: 72 different texts in 72 rows",
            "column 'tail' enters by its logarithm: it has a heavy tail"} == set(s.preprocessor.notes)
    gaps = sum(int(p.x[:, 1].sum()) for p in (s.train, s.validation, s.test))
    assert gaps == 12


def test_everything_is_fitted_on_the_train_rows_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = {"a": list(rng.normal(5, 2, 50)), "c": ["u", "v"] * 25, "t": list(rng.normal(0, 1, 50))}
    columns["a"][3] = ""
    before = table(write(tmp_path, columns), "t")
    train = before.train.x
    # Which rows are outside? Those whose value is not in the train rows; change them beyond all bounds.
    raw = read_table(tmp_path / "t.csv")
    x = before.preprocessor.transform(raw)
    outside = [i for i in range(50) if not (x[i] == train).all(axis=1).any()]
    assert len(outside) == 10 + 4
    for i in outside:
        columns["a"][i], columns["c"][i], columns["t"][i] = 1e6 * (i + 1), "unseen", -1e9 * i
    after = table(write(tmp_path, columns), "t")
    np.testing.assert_array_equal(after.train.x, train)
    np.testing.assert_array_equal(after.train.y, before.train.y)
    assert after.preprocessor.to_dict() == before.preprocessor.to_dict()
    assert (after.test.x[:, 1:].sum(axis=1) == 0).all(), "an unseen category is all zeros"
    # And the statistics are those of the train rows.
    assert abs(train[:, 0].mean()) < 1e-6
    assert train[:, 0].std() == pytest.approx(1, abs=1e-6)
    assert before.train.y.mean() == pytest.approx(0, abs=1e-6)
    assert before.train.y.std() == pytest.approx(1, abs=1e-6)


def test_missing_numbers_become_the_median_of_the_train_rows(tmp_path: Path) -> None:
    values = list(range(40))
    columns: dict[str, list[object]] = {"a": list(values), "t": [v * 1.5 + 0.25 for v in values]}
    columns["a"][5] = ""
    s = table(write(tmp_path, columns), "t", test=0, validation=0)
    assert isinstance(s.preprocessor, TablePreprocessor)
    assert s.preprocessor.encoders[0].median == 20  # of 0..39 without 5
    x = s.preprocessor.transform({"a": ["20", ""]})
    assert x[0, 0] == x[1, 0]
    assert x[:, 1].tolist() == [0, 1]


def test_a_constant_column_is_zero_whatever_it_rounds_to(tmp_path: Path) -> None:
    numbers: list[object] = [i / 3 for i in range(97)]
    columns: dict[str, list[object]] = {"a": [0.1] * 97, "b": [123456.7] * 97, "c": numbers, "t": numbers}
    s = table(write(tmp_path, columns), "t")
    assert np.full(70, 0.1).std() > 0, "a deviation of rounding errors"
    assert (s.train.x[:, :2] == 0).all()
    assert s.preprocessor.transform({"a": [5], "b": [-1], "c": [3]})[0, :2].tolist() == [0, 0]


def test_no_logarithm_of_numbers_too_far_apart(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"a": [1e-310] * 30 + [1e30], "t": [i / 3 for i in range(31)]}
    s = table(write(tmp_path, columns), "t", test=0, validation=0)
    assert s.preprocessor.notes == ()
    assert np.isfinite(s.train.x).all()


def test_targets_go_back_to_raw_units(mixed: Path) -> None:
    s = table(mixed, "t")
    raw = read_table(mixed)
    y = s.preprocessor.target_transform(raw)
    np.testing.assert_allclose(s.preprocessor.target_inverse(y), np.array(raw["t"], dtype=float), rtol=1e-6)
    error = s.preprocessor.target_inverse(y + 1) - s.preprocessor.target_inverse(y)
    np.testing.assert_allclose(error, s.preprocessor.target_scale, rtol=1e-5)


def test_splits_depend_on_the_seed_and_nothing_else(mixed: Path) -> None:
    one, two, other = (table(mixed, "t", seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.train.x, two.train.x)
    np.testing.assert_array_equal(one.test.y, two.test.y)
    a, b = (s.preprocessor.target_inverse(s.test.y) for s in (one, other))
    assert not np.allclose(a, b)


def test_no_test_and_no_validation_rows(mixed: Path) -> None:
    s = table(mixed, "t", test=0, validation=0)
    assert (len(s.train), len(s.validation), len(s.test)) == (100, 0, 0)
    assert s.test.x.shape == (0, 8)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["no", "yes"] * 20, "classification", ("no", "yes")),
        ([3, 1, 2, 10] * 10, "classification", ("1", "2", "3", "10")),
        (["1.0", "2.0"] * 20, "classification", ("1", "2")),
        ([0, 1] * 3, "classification", ("0", "1")),
        (list(range(40)), "regression", ()),
        ([0.5, 1] * 20, "regression", ()),
        ([1, 2, 3, 4, 5] * 2, "regression", ()),
    ],
    ids=range(7),
)
def test_the_task_is_inferred(tmp_path: Path, values, task: str, classes: tuple[str, ...]) -> None:
    s = table(write(tmp_path, {"a": list(range(len(values))), "t": values}), "t")
    assert (s.train.task, s.train.classes) == (task, classes)


def test_the_task_can_be_given(tmp_path: Path) -> None:
    file = write(tmp_path, {"a": list(range(40)), "t": [0, 1] * 20})
    assert table(file, "t", task="regression").train.y.dtype == np.float32
    half = write(tmp_path, {"a": list(range(40)), "t": [0.5, 1.25] * 20})
    s = table(half, "t", task="classification")
    assert s.train.classes == ("0.5", "1.25")
    assert s.preprocessor.target_transform({"t": ["1.250", "0.5"]}).tolist() == [1, 0]


def test_classes_keep_their_shares_and_come_back_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, {"a": list(range(100)), "t": ["rare" if i % 10 == 0 else "often" for i in range(100)]})
    s = table(file, "t")
    assert [int((part.y == 1).sum()) for part in (s.train, s.validation, s.test)] == [7, 1, 2]
    assert s.preprocessor.target_inverse(np.array([1, 0])).tolist() == ["rare", "often"]
    assert s.preprocessor.target_inverse(np.array([[0.2, 0.8]], dtype=np.float32)).tolist() == ["rare"]
    assert s.preprocessor.target_scale == 1.0
    with pytest.raises(DataError, match=r"ids from 0 to 1\n  got: ids from 0 to 2"):
        s.preprocessor.target_inverse(np.array([0, 2]))
    with pytest.raises(DataError, match="got: 'seldom'\n  where: row 1, column 't'"):
        s.preprocessor.target_transform({"t": ["rare", "seldom"]})


def test_rows_without_a_target_are_dropped_and_counted(tmp_path: Path) -> None:
    values: list[object] = [i / 3 for i in range(30)]
    values[4], values[9] = "", "NA"
    s = table(write(tmp_path, {"a": list(range(30)), "t": values}), "t")
    assert len(s.train) + len(s.validation) + len(s.test) == 28
    assert s.preprocessor.dropped_rows == 2
    assert s.preprocessor.notes == ("2 rows without a target were left out",)


def test_many_categories_are_cut_at_the_most_frequent(tmp_path: Path) -> None:
    cities = [f"c{i % 200:03d}" if i % 2 else "big" for i in range(1000)]
    s = table(write(tmp_path, {"city": cities, "t": [i / 7 for i in range(1000)]}), "t")
    assert s.train.x.shape[1] == 64
    assert "city=big" in s.train.feature_names
    assert (s.train.x.sum(axis=1) == 0).any()


def test_types_override(tmp_path: Path) -> None:
    file = write(tmp_path, {"zip": ["01", "02"] * 20, "a": list(range(40)), "t": [i / 3 for i in range(40)]})
    s = table(file, "t", types={"zip": "categorical", "a": "ignore"})
    assert s.train.feature_names == ("zip=01", "zip=02")
    assert s.preprocessor.notes == ("column 'a' was left out: as declared",)


@pytest.mark.parametrize("where", ["csv", "npz"])
def test_new_rows_get_the_same_features(mixed: Path, tmp_path: Path, where: str) -> None:
    s = table(mixed, "t")
    raw = read_table(mixed)
    rows: dict[str, object] = {name: raw[name] for name in ("tail", "c", "a", "k")}  # another order, no target
    if where == "npz":
        rows["tail"] = np.array(raw["tail"], dtype=np.float64)
        rows["c"] = np.array(raw["c"])
    x = s.preprocessor.transform(rows)
    assert x.dtype == np.float32
    for row in s.test.x:
        assert (x == row).all(axis=1).any()


def test_a_preprocessor_survives_json(mixed: Path) -> None:
    s = table(mixed, "t")
    again = Preprocessor.from_dict(json.loads(json.dumps(s.preprocessor.to_dict())))
    raw = read_table(mixed)
    np.testing.assert_array_equal(again.transform(raw), s.preprocessor.transform(raw))
    np.testing.assert_array_equal(again.target_transform(raw), s.preprocessor.target_transform(raw))
    assert again.to_dict() == s.preprocessor.to_dict()
    assert again.feature_names == s.preprocessor.feature_names


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["kind"], "tree", "one of: table, image"),
        (["kind"], None, "expected: text in kind\n  got: nothing"),
        (["target"], 3, "an object in target"),
        (["target", "task"], "ranking", "one of: classification, regression"),
        (["target", "scale"], [], "as many means and scales as names"),
        (["target", "scale"], [float("nan")], "a list of finite numbers in target.scale"),
        (["columns"], [], "at least one column"),
        (["columns", 0, "type"], "text", "one of: numeric, categorical"),
        (["columns", 0, "mean"], "5", "a finite number in columns[0].mean"),
        (["columns", 0, "indicator"], 1, "true or false in columns[0].indicator"),
        (["columns", 2, "categories"], [1], "a list of text in columns[2].categories"),
        (["dropped_rows"], -1, "a whole number from 0 up"),
    ],
    ids=range(12),
)
def test_a_damaged_preprocessor_is_refused(mixed: Path, path, value, message: str) -> None:
    content = table(mixed, "t").preprocessor.to_dict()
    inner = content
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(ChainruleError) as caught:
        Preprocessor.from_dict(content)
    assert message in str(caught.value)


def test_a_preprocessor_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="an object in the whole"):
        Preprocessor.from_dict([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": [1], "c": ["red"], "tail": [1]}, "lack a column that the network needs\n  expected: 'k'"),
        ({"A": [1], "k": [1], "c": ["red"], "tail": [1]}, "(did you mean 'A'?)"),
        ({"a": [1, 2], "k": [1], "c": ["red"], "tail": [1]}, "expected: 2 values, as in 'a'\n  got: 1 in 'k'"),
        ({"a": ["x"], "k": [1], "c": ["red"], "tail": [1]}, "got: 'x'\n  where: row 0, column 'a'"),
        ({"a": [np.inf], "k": [1], "c": ["red"], "tail": [1]}, "is not a finite number"),
    ],
    ids=range(5),
)
def test_new_rows_that_do_not_fit(mixed: Path, rows, message: str) -> None:
    with pytest.raises(DataError) as caught:
        table(mixed, "t").preprocessor.transform(rows)
    assert message in str(caught.value)


def test_rows_can_be_shown_as_they_were(mixed: Path) -> None:
    s = table(mixed, "t")
    raw = read_table(mixed)
    shown = describe_rows(s.test, range(len(s.test)), s.preprocessor)
    tails = {f"{float(v):.4g}" for v in raw["tail"]}
    assert {f"{float(row['tail']):.4g}" for row in shown} <= tails
    assert {row["c"] for row in shown} <= {"red", "green", "blue", "(missing)"}
    assert {row["k"] for row in shown} == {"7"}


def test_summary_is_jsonable(mixed: Path) -> None:
    facts = json.loads(json.dumps(summary(table(mixed, "t"))))
    assert facts["rows"] == {"train": 72, "validation": 8, "test": 20}
    assert facts["features"] == 8
    low, high = facts["range"]
    assert 600 < low < 900 < 1100 < high < 1400


BASE: dict[str, list[object]] = {"age": list(range(30)), "size": [i / 3 for i in range(30)]}


def changed(name: str, at: int, value: object) -> dict[str, list[object]]:
    columns = {key: list(values) for key, values in BASE.items()}
    columns[name][at] = value
    return columns


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (BASE, {"target": "sizes"}, "expected: one of: age, size\n  got: 'sizes' (did you mean 'size'?)"),
        (BASE, {}, "the target column is not named\n  expected: one of: age, size"),
        (changed("age", 7, "x12"), {"target": "size", "types": {"age": "numeric"}},
         "column 'age' is declared numeric, but a value is not a finite number"),
        (changed("age", 7, "x12"), {"target": "size", "types": {"age": "numeric"}},
         "got: 'x12'\n  where: line 9, column 'age'"),
        (changed("age", 7, "x12"), {"target": "size"}, "column 'age' is numeric in 29 of 30 rows"),
        (changed("age", 7, "1_0"), {"target": "size"}, "got: '1_0'"),
        (changed("age", 7, "inf"), {"target": "size"}, "got: 'inf'"),
        ({"a": ['"1,5"'] * 30, "t": list(range(30))}, {"target": "t"}, "looks like numbers with a decimal comma"),
        ({"a": list(range(5)), "t": ["x"] * 5}, {"target": "t"}, "the target has one value only"),
        ({"a": list(range(5)), "t": [1.5] * 5}, {"target": "t"}, "the target has one value only"),
        ({"a": list(range(50)), "t": [f"n{i}" for i in range(50)]}, {"target": "t"}, "50 classes in 50 rows"),
        ({"a": list(range(5)), "t": ["", "", "", "", 1]}, {"target": "t"}, "1 of 5 rows"),
        ({"a": list(range(40)), "t": ["u", "v"] * 20}, {"target": "t", "task": "regression"},
         "is the target of a regression"),
        ({"t": ["u", "v"] * 20}, {"target": "t"}, "there is no column to predict from"),
        ({"a": [f"n{i}" for i in range(100)], "t": [0, 1] * 50}, {"target": "t"}, "no column is left to predict from"),
        (BASE, {"target": "size", "types": {"ages": "numeric"}}, "unknown column 'ages'"),
        (BASE, {"target": "size", "types": {"age": "number"}}, "one of: numeric, categorical, ignore"),
        (BASE, {"target": "size", "task": "rank"}, "one of: classification, regression"),
        (BASE, {"target": "size", "test": 1.0}, "test is not a fraction"),
        (BASE, {"target": "size", "validation": -0.1}, "validation is not a fraction"),
        (BASE, {"target": "size", "seed": -1}, "the seed is not valid"),
    ],
    ids=range(21),
)
def test_bad_tables(tmp_path: Path, columns, options, message: str) -> None:
    with pytest.raises((DataError, OptionError)) as caught:
        table(write(tmp_path, columns), **options)
    assert message in str(caught.value)


def test_npz_with_x_and_y(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (50, 4))
    np.savez(tmp_path / "r.npz", x=x, y=np.stack([x @ [1, 2, 3, 4], x[:, 0]], 1))
    s = table(tmp_path / "r.npz")
    assert s.train.y.shape == (36, 2)
    np.testing.assert_allclose(s.train.y.std(axis=0), 1, rtol=1e-5)
    raw = read_table(tmp_path / "r.npz")
    back = s.preprocessor.target_inverse(s.preprocessor.target_transform(raw))
    np.testing.assert_allclose(back[:, 1], x[:, 0], rtol=1e-5, atol=1e-6)
    assert np.shape(s.preprocessor.target_scale) == (2,)
    np.savez(tmp_path / "c.npz", x=x.astype("f4"), y=rng.integers(0, 3, 50))
    c = table(tmp_path / "c.npz", "y")
    assert c.train.classes == ("0", "1", "2")
    assert c.train.feature_names == ("x_0", "x_1", "x_2", "x_3")


def test_npz_with_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 5, 3), dtype=np.uint8), rng.integers(0, 2, 60)
    np.savez(tmp_path / "p.npz", x=images, y=labels)
    s = table(tmp_path / "p.npz")
    assert (s.train.image_shape, s.train.x.shape[1]) == ((5, 3), 15)
    assert s.train.x.mean() == pytest.approx(0, abs=1e-5)
    assert s.train.x.std() == pytest.approx(1, abs=1e-5)
    raw = read_table(tmp_path / "p.npz")
    np.testing.assert_array_equal(s.preprocessor.transform(images), s.preprocessor.transform(raw))
    np.savez(tmp_path / "m.npz", x=images, z=labels, y=labels)
    with pytest.raises(DataError, match="pictures can't be mixed with other columns"):
        table(tmp_path / "m.npz")


def test_california_housing(shared_data: Callable[[str], Path]) -> None:
    s = table(shared_data("california_housing") / "housing.csv", "median_house_value")
    assert (len(s.train), len(s.validation), len(s.test)) == (14861, 1651, 4128)
    assert s.train.task == "regression"
    assert "total_bedrooms is missing" in s.train.feature_names
    assert sum(name.startswith("ocean_proximity=") for name in s.train.feature_names) == 5
    # Pinned, so that a number measured on this split can be compared with one measured later.
    assert s.preprocessor.target_inverse(s.test.y[:4]).round(1).tolist() == [358500.0, 342200.0, 281500.0, 191300.0]
    # A linear model on these features: the target is learnable, and test rows are like train rows.
    a = np.c_[s.train.x, np.ones(len(s.train))].astype(float)
    w = np.linalg.lstsq(a, s.train.y.astype(float))[0]
    error = np.c_[s.test.x, np.ones(len(s.test))] @ w - s.test.y
    assert np.sqrt(np.mean(error**2)) * float(s.preprocessor.target_scale) < 72_000


def test_wine_quality(shared_data: Callable[[str], Path]) -> None:
    s = table(shared_data("wine_quality") / "winequality-red.csv", "quality")
    assert (s.train.classes, len(s.train.feature_names)) == (("3", "4", "5", "6", "7", "8"), 11)
    assert len(s.test) == 320

