"""class_scatter: every version against the definition, in both forms of the matrix."""

import numpy as np
import pytest
from example_arrays import CODES, ORIGIN, C, F, X

from transfer_kernels.kernels.class_scatter import reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 1, 1), (7, 3, 2), (60, 90, 5), (400, 30, 6), (300, 65, 40)]  # n, d, C


@pytest.fixture
def class_logdets(backend):
    return implementation("class_scatter", backend).class_logdets


def problem(n, d, n_classes, dtype=np.float64, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * np.linspace(2.0, 0.1, d) + offset).astype(dtype)
    codes = rng.integers(0, n_classes, n)
    shift = X.astype(np.float64).mean(axis=0)
    return X, codes, n_classes, shift, rng.uniform(1.0, 1e4, n_classes)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_definition(class_logdets, shape, dtype):
    X, *others = problem(*shape, dtype=dtype)
    expected = reference.class_logdets(X, *others)
    wide = np.repeat(X, 3, axis=1)[:, ::3]
    for layout in (X, np.asfortranarray(X), wide, X[::-1].copy()[::-1]):
        layout.flags.writeable = False
        found = class_logdets(layout, *others)
        assert found.dtype == np.float64 and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(class_logdets(X, *others), class_logdets(X, *others))


@pytest.mark.parametrize("shape", [(60, 90, 5), (400, 30, 6)], ids=str)
def test_a_large_offset_costs_no_digits(class_logdets, shape):
    X, *others = problem(*shape, offset=1e6)
    still, *same = problem(*shape)
    np.testing.assert_allclose(class_logdets(X, *others), class_logdets(still, *same), rtol=1e-7)


def test_classes_without_samples_and_without_scale(class_logdets):
    X, codes, _, shift, _ = problem(50, 8, 3)
    found = class_logdets(X, codes, 5, shift, np.array([1.0, 0.0, 2.0, 3.0, 4.0]))
    assert found[1] == pytest.approx(0.0, abs=1e-14) and found[3] == found[4] == 0.0
    assert found[0] > 0.0 and found[2] > 0.0


def test_the_definition_by_determinants():
    X, codes, n_classes, shift, scales = problem(40, 6, 3)
    for c, found in enumerate(reference.class_logdets(X, codes, n_classes, shift, scales)):
        Z = X[codes == c] - shift
        exact = np.linalg.slogdet(np.eye(6) + scales[c] * Z.T @ Z)[1]
        assert found == pytest.approx(exact, rel=1e-12)


MOMENTS = [("class_variances", ()), ("class_covariances", ()), ("class_covariances", (True,))]


@pytest.mark.parametrize(("name", "options"), MOMENTS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 3, 4), (90, 13, 5), (300, 530, 2)], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_moments_equal_the_definition(backend, name, options, shape, dtype):
    n, d, n_classes = shape
    if name == "class_covariances":
        d = min(d, 100)  # it is for few features
    op = getattr(implementation("class_scatter", backend), name)
    rng = np.random.default_rng(n)
    X = (rng.normal(size=(n, d)) + 5.0).astype(dtype)
    codes = rng.integers(0, n_classes, n)  # some with few samples or none
    expected = getattr(reference, name)(X, codes, n_classes, *options)
    wide = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for layout in (X, np.asfortranarray(X), wide, X[::-1, ::-1].copy()[::-1, ::-1]):
        layout.flags.writeable = False
        found = op(layout, codes, n_classes, *options)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("name", "options"), MOMENTS)
def test_moments_around_a_large_offset(backend, name, options):
    op = getattr(implementation("class_scatter", backend), name)
    rng = np.random.default_rng(5)
    Z = rng.integers(-8, 9, size=(60, 7)).astype(np.float64)
    codes = np.arange(60) % 3
    near, far = (op(X, codes, 3, *options) for X in (Z, Z + 2.0**40))
    np.testing.assert_allclose(far, near, rtol=1e-4)


def test_classes_of_one_sample_and_none(backend):
    op = implementation("class_scatter", backend)
    X, codes = np.arange(10.0).reshape(5, 2), np.array([0, 0, 1, 3, 3])
    variances = op.class_variances(X, codes, 4)
    np.testing.assert_array_equal(variances, [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    found = op.class_covariances(X, codes, 4, True)
    np.testing.assert_array_equal(found[[1, 2]], np.zeros((2, 2, 2)))
    np.testing.assert_array_equal(found[0], [[2.0, 2.0], [2.0, 2.0]])


def test_variances_have_the_same_bits_whatever_the_threads(backend, monkeypatch):
    op = implementation("class_scatter", backend).class_variances
    X = np.random.default_rng(6).normal(size=(500, 700)).astype(np.float32)
    codes = np.arange(500) % 7
    expected = op(X, codes, 7)
    for n_threads in ("1", "2", "5"):
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        np.testing.assert_array_equal(op(X, codes, 7), expected)


LOGDETS = (X, CODES, C, ORIGIN)

#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "class_covariances": [(X, CODES, C + 1)],
    "class_logdets": [(X, CODES, C, F.mean(axis=0), np.full(C, 3.0))],
    "class_variances": [(X, CODES, C + 1)],
}
REFUSED = [
    ("class_logdets", (*LOGDETS, np.ones(C - 1)), ValueError, r"scales .*\(4,\)"),
    ("class_logdets", (*LOGDETS, -np.ones(C)), ValueError, "scales must be finite and not"),
    ("class_logdets", (X, CODES, C, X, np.ones(C)), ValueError, r"shift .*\(13,\)"),
    ("class_covariances", (X, CODES, C - 1), ValueError, "codes"),
    ("class_variances", (X, CODES, 0), ValueError, "n_classes=0 is out of range"),
]
