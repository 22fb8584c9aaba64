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


LOGDETS = (X, CODES, C, ORIGIN)

#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "class_logdets": [(X, CODES, C, F.mean(axis=0), np.full(C, 3.0))],
}
REFUSED = [
    ("class_logdets", (*LOGDETS, np.ones(C - 1)), ValueError, r"scales .*\(4,\)"),
    ("class_logdets", (*LOGDETS, -np.ones(C)), ValueError, "scales must be finite and not"),
    ("class_logdets", (X, CODES, C, X, np.ones(C)), ValueError, r"shift .*\(13,\)"),
]
