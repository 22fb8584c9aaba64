"""softmax_regression: every version against the definition, and that against differences."""

import numpy as np
import pytest
from example_arrays import CODES, MEANS, ORIGIN, F, X

from transfer_kernels.kernels.softmax_regression import reference
from transfer_kernels.ops.backends import implementation

#: n, d, C.
SHAPES = [(1, 1, 2), (5, 3, 2), (300, 40, 7), (1000, 500, 130), (1600, 97, 13), (100, 2100, 4)]


@pytest.fixture
def softmax_regression(backend):
    return implementation("softmax_regression", backend).softmax_regression


def problem(n, d, n_classes, dtype=np.float32, size=1.0):
    rng = np.random.default_rng(n + d)
    X = (rng.normal(size=(n, d)) + 2.0).astype(dtype)
    coef = size * rng.normal(size=(n_classes, d)) / d**0.5
    return X, rng.integers(0, n_classes, n), coef, rng.normal(size=n_classes), rng.normal(size=d)


def assert_same(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    largest = np.abs(expected[1]).max()
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-12 * largest)
    assert found[2] == pytest.approx(expected[2], rel=1e-11)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_definition(softmax_regression, shape, dtype):
    X, *rest = problem(*shape, dtype)
    expected = reference.softmax_regression(X, *rest)
    wide = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for layout in (X, np.asfortranarray(X), wide, X[::-1, ::-1].copy()[::-1, ::-1]):
        layout.flags.writeable = False
        assert_same(softmax_regression(layout, *rest), expected)


def test_scores_neither_overflow_nor_vanish(softmax_regression):
    arguments = problem(200, 9, 5, size=1e4)
    found = softmax_regression(*arguments)
    assert np.isfinite(found[0]) and np.isfinite(found[1]).all()
    assert_same(found, reference.softmax_regression(*arguments))


def test_same_bits_whatever_the_threads(softmax_regression, backend, monkeypatch):
    arguments = problem(2500, 71, 9)
    # Numba's version has BLAS's products, which are summed as the blocks lie.
    counts = ("2", "2") if backend == "numba" else ("1", "2", "9")
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "2")
    expected = softmax_regression(*arguments)
    for n_threads in counts:
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        for found, value in zip(softmax_regression(*arguments), expected, strict=True):
            np.testing.assert_array_equal(found, value)


def test_the_definition_by_differences():
    X, codes, coef, intercept, shift = problem(60, 4, 3, np.float64)

    def loss(parameters):
        return reference.softmax_regression(X, codes, parameters[:-1].T, parameters[-1], shift)[0]

    at = np.vstack([coef.T, intercept])
    _, gradient, curvature = reference.softmax_regression(X, codes, coef, intercept, shift)
    trace, step = 0.0, 1e-4
    for place in np.ndindex(at.shape):
        moved = np.zeros_like(at)
        moved[place] = step
        up, down = loss(at + moved), loss(at - moved)
        assert (up - down) / (2 * step) == pytest.approx(gradient[place], rel=1e-5, abs=1e-6)
        trace += (up + down - 2.0 * loss(at)) / step**2
    assert curvature == pytest.approx(trace, rel=1e-5)


EXAMPLES = {"softmax_regression": [(X, CODES, MEANS, MEANS[:, 0], F.mean(axis=0))]}

_GOOD = (X, CODES, MEANS, ORIGIN[:4], ORIGIN)
REFUSED = [
    ("softmax_regression", (X, CODES, X.T, *_GOOD[3:]), ValueError, r"coef .*C, 13"),
    ("softmax_regression", (*_GOOD[:3], ORIGIN, ORIGIN), ValueError, r"intercept .*\(4,\)"),
    ("softmax_regression", (*_GOOD[:4], MEANS), ValueError, r"shift .*\(13,\)"),
    ("softmax_regression", (X, CODES + 1, *_GOOD[2:]), ValueError, r"codes .* \[0, 4\)"),
]


def _probe(*shape, dtype=np.float32):
    arguments = problem(*shape, dtype)
    return lambda op: op.softmax_regression(*arguments)


SAME_BITS = {
    "wide": _probe(900, 400, 11),
    "many classes": _probe(5000, 30, 130, dtype=np.float16),
    "few": _probe(50, 30, 3),
}
