"""Keys and distributions: Random123's known answers, exact properties of the bits, and statistics of the numbers."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import chainrule as cr
from bad_input import check_parts
from chainrule import nn, optim, random
from chainrule.base.errors import DtypeError, OptionError, ShapeError
from chainrule.ops.philox import philox4x32, random_bits

stats = pytest.importorskip("scipy.stats")
special = pytest.importorskip("scipy.special")

U32 = np.uint32


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_random123s_known_answers(counter, key, answer):
    result = philox4x32(np.array(counter, U32), np.array(key, U32))
    assert result.dtype == U32
    np.testing.assert_array_equal(result, np.array(answer, U32))


def test_philox_broadcasts_counters_against_keys():
    counters = np.arange(12, dtype=U32).reshape(3, 1, 4)
    keys = np.arange(4, dtype=U32).reshape(2, 2)
    result = philox4x32(counters, keys)
    assert result.shape == (3, 2, 4)
    np.testing.assert_array_equal(result[2, 1], philox4x32(counters[2, 0], keys[1]))


def test_bits_are_philox_of_the_word_number():
    key = random.key(2**40 + 5)
    np.testing.assert_array_equal(key, np.array([5, 2**8], U32))
    words = random_bits(key, shape=(3, 5), stream=9)
    assert words.shape == (3, 5)
    for n, word in enumerate(words.ravel()):
        counter = np.array([n // 4, 0, 0, 9], U32)
        assert word == philox4x32(counter, key)[n % 4]


def test_bits_do_not_depend_on_how_many_are_drawn():
    key = random.key(3)
    long = random.bits(key, 100_001)  # crosses the blocks the generator works in
    np.testing.assert_array_equal(random.bits(key, 40_000), long[:40_000])
    assert random.bits(key).shape == ()
    assert random.bits(key, (0, 3)).shape == (0, 3)


def test_a_batch_of_keys_gives_the_rows():
    keys = random.split(random.key(1), 5)
    batch = random_bits(keys, shape=(2, 3))
    assert batch.shape == (5, 2, 3)
    for key, row in zip(keys, batch, strict=True):
        np.testing.assert_array_equal(row, random.bits(key, (2, 3)))


def test_derived_keys_all_differ():
    root = random.key(0)
    words = {tuple(row) for row in random.bits(root, (400, 2)).tolist()}
    derived = [tuple(k.tolist()) for k in random.split(root, 200)]
    derived += [tuple(random.fold_in(root, n).tolist()) for n in range(200)]
    derived += [tuple(random.fold_in(random.key(1), n).tolist()) for n in range(200)]
    assert len(set(derived)) == 600
    assert not words & set(derived)


def test_fold_in_does_not_confuse_key_and_data():
    assert not np.array_equal(random.fold_in(random.key(0), 1), random.fold_in(random.key(1), 0))


def test_integers_and_integer_arrays_make_the_same_keys():
    for value in (0, 7, -1, -5, 2**40 + 3):
        np.testing.assert_array_equal(random.key(value), random.key(np.array(value)))
        np.testing.assert_array_equal(
            random.fold_in(random.key(1), value), random.fold_in(random.key(1), np.array(value))
        )
    np.testing.assert_array_equal(random.key(2**64 - 1), random.key(-1))
    np.testing.assert_array_equal(random.key(np.array(9, np.uint8)), random.key(9))
    np.testing.assert_array_equal(random.key(np.array(-9, np.int16)), random.key(-9))


CONTINUOUS = [
    ("uniform", random.uniform, stats.uniform()),
    ("normal", random.normal, stats.norm()),
    ("exponential", random.exponential, stats.expon()),
    ("gumbel", random.gumbel, stats.gumbel_r()),
    ("logistic", random.logistic, stats.logistic()),
    ("laplace", random.laplace, stats.laplace()),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "draw", "law"), CONTINUOUS, ids=[row[0] for row in CONTINUOUS])
def test_continuous_distributions(name, draw, law, dtype):
    numbers = draw(random.key(11), (500, 401), dtype)
    assert numbers.shape == (500, 401)
    assert numbers.dtype == dtype
    assert np.all(np.isfinite(numbers))
    assert stats.kstest(numbers.ravel().astype(float), law.cdf).pvalue > 1e-3
    # Neighbours are independent.
    ranks = stats.rankdata(numbers.ravel())
    assert abs(np.corrcoef(ranks[:-1], ranks[1:])[0, 1]) < 0.02
    np.testing.assert_array_equal(numbers, draw(random.key(11), (500, 401), dtype))
    assert not np.array_equal(numbers, draw(random.key(12), (500, 401), dtype))
    assert draw(random.key(1), (), dtype).shape == ()
    assert draw(random.key(1), (0, 2), dtype).shape == (0, 2)


def test_the_two_halves_of_a_normal_draw_are_independent():
    numbers = random.normal(random.key(5), 40_000, np.float64)
    assert abs(np.corrcoef(numbers[:20_000], numbers[20_000:])[0, 1]) < 0.03
    assert abs(np.corrcoef(numbers[:20_000] ** 2, numbers[20_000:] ** 2)[0, 1]) < 0.03


def test_uniform_stays_below_high():
    numbers = random.uniform(random.key(0), 1_000_000, np.float32, 1.0, 1.0 + 2**-22)
    assert set(numbers.tolist()) <= {float(np.float32(1 + k * 2**-23)) for k in range(2)}
    spread = random.uniform(random.key(0), 1000, np.float64, -3.0, 5.0)
    assert -3 <= spread.min() < -2.9
    assert 4.9 < spread.max() < 5
    low, high = np.array([0, 10], np.float32), np.array([1, 20], np.float32)
    ends = random.uniform(random.key(0), (4, 2), np.float32, low, high)
    assert ends.dtype == np.float32
    assert np.all((ends[:, 1] >= 10) & (ends[:, 0] <= 1))


@pytest.mark.parametrize(("lower", "upper"), [(-2.0, 2.0), (1.0, 3.0), (-np.inf, -1.0), (5.0, 6.0), (-8.0, -7.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_truncated_normal(lower, upper, dtype):
    numbers = random.truncated_normal(random.key(4), lower, upper, 20_000, dtype)
    assert numbers.dtype == dtype
    assert lower <= numbers.min()
    assert numbers.max() <= upper
    assert stats.kstest(numbers.astype(float), stats.truncnorm(lower, upper).cdf).pvalue > 1e-3


def test_the_normal_quantile_is_exact():
    p = np.concatenate([np.logspace(-300, -1, 500), np.linspace(0.01, 0.49, 500), 1 - np.logspace(-15, -1, 100)])
    np.testing.assert_allclose(random._normal_quantile(p), special.ndtri(p), rtol=2e-15)


def test_bernoulli():
    coins = random.bernoulli(random.key(1), 0.3, (40_000,))
    assert coins.dtype == bool
    assert abs(coins.mean() - 0.3) < 0.01
    assert not random.bernoulli(random.key(1), 0.0, 1000).any()
    assert random.bernoulli(random.key(1), 1.0, 1000).all()
    each = random.bernoulli(random.key(1), np.array([0.0, 1.0]))
    assert each.tolist() == [False, True]


def test_rademacher():
    signs = random.rademacher(random.key(2), 10_000)
    assert signs.dtype == np.float32
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.03


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 4), (0, 2**32), (-(2**31), 2**31)])
def test_randint(low, high):
    numbers = random.randint(random.key(7), low, high, (20_000,))
    assert numbers.dtype == np.int64
    assert low <= numbers.min()
    assert numbers.max() < high
    span = high - low
    bins = np.bincount((numbers - low) * min(span, 7) // span, minlength=min(span, 7))
    if span > 1:
        assert stats.chisquare(bins).pvalue > 1e-3
    assert random.randint(random.key(7), low, high).shape == ()


def test_randint_takes_arrays():
    numbers = random.randint(random.key(7), np.array([0, 100]), np.array([2, 200]), (500, 2), np.int32)
    assert numbers.dtype == np.int32
    assert set(numbers[:, 0].tolist()) == {0, 1}
    assert numbers[:, 1].min() >= 100


def test_permutation():
    order = random.permutation(random.key(1), 1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.1
    table = np.arange(12).reshape(3, 4)
    shuffled = random.permutation(random.key(1), table, axis=1)
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), table)
    np.testing.assert_array_equal(shuffled, table[:, random.permutation(random.key(1), 4)])
    assert random.permutation(random.key(1), 0).shape == (0,)


def test_every_permutation_is_as_likely():
    counts = {}
    for key in random.split(random.key(3), 3000):
        order = tuple(random.permutation(key, 3).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_choice():
    key = random.key(5)
    letters = np.array([10, 20, 30, 40])
    drawn = random.choice(key, letters, (50, 40))
    assert drawn.shape == (50, 40)
    assert set(drawn.ravel().tolist()) == set(letters.tolist())
    without = random.choice(key, 10, (10,), replace=False)
    assert sorted(without.tolist()) == list(range(10))
    p = np.array([0.1, 0.0, 0.6, 0.3])
    counts = np.bincount(random.choice(key, 4, 20_000, p=p), minlength=4) / 20_000
    np.testing.assert_allclose(counts, p, atol=0.012)
    assert counts[1] == 0
    some = np.array([random.choice(k, 4, 2, replace=False, p=p) for k in random.split(key, 500)])
    assert np.all(some[:, 0] != some[:, 1])
    assert 1 not in some
    np.testing.assert_allclose(np.bincount(some[:, 0], minlength=4) / 500, p, atol=0.07)
    rows = random.choice(key, np.arange(12).reshape(3, 4), (5,), axis=1)
    assert rows.shape == (3, 5)
    np.testing.assert_array_equal(rows[1] - rows[0], np.full(5, 4))


def test_categorical():
    logits = np.log(np.array([[0.2, 0.8, 1e-30], [0.5, 0.25, 0.25]]))
    drawn = random.categorical(random.key(2), logits, shape=(10_000,))
    assert drawn.shape == (10_000, 2)
    np.testing.assert_allclose(np.bincount(drawn[:, 0], minlength=3) / 1e4, [0.2, 0.8, 0], atol=0.02)
    np.testing.assert_allclose(np.bincount(drawn[:, 1], minlength=3) / 1e4, [0.5, 0.25, 0.25], atol=0.02)
    np.testing.assert_array_equal(
        random.categorical(random.key(2), logits.T, axis=0), random.categorical(random.key(2), logits.T, axis=-2)
    )


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda: random.key(1.5), DtypeError, ["seed is not an integer", "got: 1.5", "random.key"]),
        (lambda: random.key(True), DtypeError, ["seed is not an integer"]),
        (lambda: random.key(2**64), OptionError, ["seed does not fit in 64 bits", "seed % 2**64"]),
        (lambda: random.bits(7), DtypeError, ["not a random key", "uint32 array of shape (2,)", "random.key(seed)"]),
        (lambda: random.bits(np.zeros(2)), DtypeError, ["not a random key", "got: float64 of shape (2,)"]),
        (lambda: random.normal(random.split(random.key(0), 3)), ShapeError, ["key.shape == (3, 2)", "vmap"]),
        (lambda: random.bits(random.key(0), (2, -1)), ShapeError, ["not a shape", "got: (2, -1)", "random.bits"]),
        (lambda: random.uniform(random.key(0), 2.5), ShapeError, ["not a shape", "random.uniform"]),
        (lambda: random.normal(random.key(0), 3, np.int64), DtypeError, ["float32 or float64", "got: int64"]),
        (lambda: random.uniform(random.key(0), 3, low=2.0, high=1.0), OptionError, ["low <= high", "low=2.0"]),
        (lambda: random.randint(random.key(0), 3, 3), OptionError, ["no integers", "high is exclusive"]),
        (lambda: random.randint(random.key(0), 0, 2**33), OptionError, ["span is too wide"]),
        (lambda: random.bernoulli(random.key(0), 1.2), OptionError, ["not a probability", "got: 1.2"]),
        (lambda: random.split(random.key(0), -1), OptionError, ["number of keys", "got: -1"]),
        (lambda: random.fold_in(random.key(0), np.ones(2, int)), DtypeError, ["data is not an integer", "shape (2,)"]),
        (lambda: random.truncated_normal(random.key(0), 2, 1), OptionError, ["lower < upper", "lower=2"]),
        (lambda: random.choice(random.key(0), 3, 4, replace=False), OptionError, ["at most 3", "replace=True"]),
        (lambda: random.choice(random.key(0), 3, 4, p=np.ones(2)), ShapeError, ["p.shape == (3,)", "p.shape == (2,)"]),
        (lambda: random.permutation(random.key(0), np.ones(3), axis=1), ShapeError, ["no axis 1", "shape (3,)"]),
        (lambda: random.categorical(random.key(0), np.float64(1)), ShapeError, ["axis of classes", "shape ()"]),
    ],
)
def test_bad_input(call, error, parts):
    check_parts(call, error, parts)


TRACED = {
    "split": lambda key: random.split(key, 3),
    "fold_in": lambda key: random.fold_in(key, 5),
    "bits": lambda key: random.bits(key, (2, 3)),
    "uniform": lambda key: random.uniform(key, (2, 3)),
    "uniform, float64": lambda key: random.uniform(key, (2, 3), np.float64, -1.0, 4.0),
    "normal": lambda key: random.normal(key, 5),
    "truncated_normal": lambda key: random.truncated_normal(key, -1.0, 2.0, 7),
    "exponential": lambda key: random.exponential(key, 3),
    "gumbel": lambda key: random.gumbel(key, 3),
    "logistic": lambda key: random.logistic(key, 3),
    "laplace": lambda key: random.laplace(key, 3),
    "rademacher": lambda key: random.rademacher(key, 3),
    "bernoulli": lambda key: random.bernoulli(key, 0.3, 9),
    "randint": lambda key: random.randint(key, -5, 5, 9),
    "permutation": lambda key: random.permutation(key, 6),
    "permutation of an array": lambda key: random.permutation(key, np.arange(8.0).reshape(2, 4), axis=1),
    "choice": lambda key: random.choice(key, np.arange(5.0), 4),
    "choice with p": lambda key: random.choice(key, 3, 4, p=np.array([0.2, 0.3, 0.5])),
    "choice without replacement": lambda key: random.choice(key, 5, 3, replace=False),
    "choice without replacement, p": lambda key: random.choice(key, 3, 2, replace=False, p=np.array([0.2, 0.3, 0.5])),
    "categorical": lambda key: random.categorical(key, np.arange(3.0), shape=4),
}


THROUGH_MATH = {"normal", "truncated_normal", "exponential", "gumbel", "logistic", "laplace"}


@pytest.mark.parametrize("name", TRACED)
def test_traced_draws_are_the_same_numbers(name):
    draw = TRACED[name]
    keys = random.split(random.key(4), 3)
    expected = np.stack([draw(key) for key in keys])
    batched = cr.vmap(draw)(keys)
    assert batched.dtype == expected.dtype
    np.testing.assert_array_equal(batched, expected)
    np.testing.assert_array_equal(cr.jit(draw, backend="numpy")(keys[1]), expected[1])
    native = cr.jit(draw)(keys[1])
    if name in THROUGH_MATH:  # exp, log, erf⁻¹ are NumPy's or ours: the same bits drawn, a few ulp apart
        np.testing.assert_allclose(native, expected[1], rtol=1e-6)
    else:
        np.testing.assert_array_equal(native, expected[1])


def test_integers_of_keys_may_be_traced():
    numbers = np.arange(-2, 3)
    np.testing.assert_array_equal(cr.vmap(random.key)(numbers), np.stack([random.key(int(n)) for n in numbers]))
    root = random.key(9)
    folded = cr.vmap(lambda n: random.fold_in(root, n))(numbers)
    np.testing.assert_array_equal(folded, np.stack([random.fold_in(root, int(n)) for n in numbers]))


def test_draws_differentiate_in_their_parameters():
    key = random.key(2)
    unit = random.uniform(key, 5, np.float64)
    gradient = cr.grad(lambda low: np.sum(random.uniform(key, 5, np.float64, low, 3.0)))(1.0)
    assert gradient == pytest.approx(np.sum(1 - unit))


def test_a_key_of_the_wrong_shape_is_refused_while_tracing():
    with pytest.raises(ShapeError, match=r"key\.shape == "):
        cr.jit(random.normal)(random.split(random.key(0)))


@pytest.mark.parametrize("module", [random, nn, optim])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
