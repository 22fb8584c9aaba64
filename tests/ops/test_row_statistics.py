"""row_statistics: every version against the definition, and that against exact sums."""

from math import fsum

import numpy as np
import pytest
from example_arrays import ORIGIN, F, X
from scipy.special import logsumexp

from transfer_kernels.kernels.row_statistics import reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 1), (3, 5), (17, 64), (1000, 67), (5, 3000)]


@pytest.fixture
def row_statistics(backend):
    return implementation("row_statistics", backend).row_statistics


def problem(n, d, dtype=np.float64, scale=3.0):
    rng = np.random.default_rng(n + d)
    return (scale * rng.normal(size=(n, d)) + 0.5).astype(dtype), rng.normal(size=d)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float64 and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_definition(row_statistics, shape, dtype):
    X, shift = problem(*shape, dtype)
    expected = reference.row_statistics(X, shift)
    wide = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for layout in (X, np.asfortranarray(X), wide, X[::-1, ::-1].copy()[::-1, ::-1]):
        layout.flags.writeable = False
        assert_same(row_statistics(layout, shift), expected)


def test_same_bits_whatever_the_threads(row_statistics, monkeypatch):
    X, shift = problem(1300, 71, np.float32)
    expected = row_statistics(X, shift)
    for n_threads in ("1", "2", "5"):
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        for found, value in zip(row_statistics(X, shift), expected, strict=True):
            np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("level", [-1e4, 700.0, 1e4, 1e300])
def test_exponentials_neither_overflow_nor_vanish(row_statistics, level):
    X = np.full((4, 9), level)
    X[1, 3:] = -np.finfo(np.float64).max if level > 0 else level - 1e6
    _, logsums = row_statistics(X, X[0])
    expected = level + np.log([9.0, 3.0, 9.0, 9.0])
    np.testing.assert_allclose(logsums, expected, rtol=1e-15)


def test_the_definition_against_exact_sums():
    X, shift = problem(30, 40)
    squares, logsums = reference.row_statistics(X, shift)
    exact = [fsum((a - b) ** 2 for a, b in zip(row, shift, strict=True)) for row in X.tolist()]
    np.testing.assert_allclose(squares, exact, rtol=1e-14)
    np.testing.assert_allclose(logsums, logsumexp(X, axis=1), rtol=1e-14)


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "row_statistics": [(X, F.mean(axis=0))],
}
REFUSED = [
    ("row_statistics", (X, ORIGIN[1:]), ValueError, r"shift must be of shape \(13,\)"),
    ("row_statistics", (X,), TypeError, r"row_statistics\(\) .* argument: 'shift'"),
]
