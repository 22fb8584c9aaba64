"""row_space: every version gives the definition's space, and loses nothing of the features."""

import numpy as np
import pytest
from example_arrays import X

from transfer_kernels.kernels.row_space import reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 2), (2, 5), (7, 8), (30, 200), (65, 129)]


@pytest.fixture
def row_space(backend):
    return implementation("row_space", backend).row_space


def check(X, Z, basis, origin):
    """What the contract promises, against NumPy's SVD of the centred features."""
    X = np.asarray(X, dtype=np.float64)
    n = len(X)
    assert Z.dtype == basis.dtype == origin.dtype == np.float64
    assert Z.shape == (n, n) and basis.shape == X.shape and origin.shape == X.shape[1:]
    size = abs(X).max()
    np.testing.assert_allclose(origin, X.mean(axis=0), rtol=1e-13, atol=1e-15 * size)
    np.testing.assert_allclose(basis @ basis.T, np.eye(n), atol=1e-13)
    np.testing.assert_allclose(Z @ basis + origin, X, rtol=1e-12, atol=1e-13 * size)
    exact = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(
        np.linalg.svd(Z, compute_uv=False), exact, atol=1e-13 * max(exact[0], size)
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_promises(row_space, shape, dtype):
    X = np.random.default_rng(0).normal(size=shape).astype(dtype)
    check(X, *row_space(X))
    check(X, *reference.row_space(X))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_distances_are_the_definitions(row_space, shape):
    """A basis is unique up to rotation; the inner products of the rows are not up to anything."""
    X = np.random.default_rng(1).normal(size=shape) + 3.0
    ours, definition = row_space(X)[0], reference.row_space(X)[0]
    np.testing.assert_allclose(ours @ ours.T, definition @ definition.T, rtol=1e-9, atol=1e-11)


def test_layouts_and_the_callers_array(row_space):
    X = np.random.default_rng(2).normal(size=(9, 24))
    X.flags.writeable = False
    expected = row_space(X)
    wide = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for ours, again in zip(row_space(X), expected, strict=True):
        np.testing.assert_array_equal(ours, again)
    for layout in (np.asfortranarray(X), wide, X[::-1][::-1]):
        layout.flags.writeable = False
        check(X, *row_space(layout))


def test_dependent_rows(row_space):
    X = np.random.default_rng(3).normal(size=(4, 30))
    X = np.concatenate([X, X[:3], X[:1] * 0.0 + 1.0])
    check(X, *row_space(X))


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "row_space": [(X[:9],)],
}
REFUSED = [
    ("row_space", (X,), ValueError, r"fewer rows than columns, not shape \(90, 13\)"),
    ("row_space", (X[:9].astype(str),), TypeError, "X has dtype <U"),
]
