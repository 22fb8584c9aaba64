"""target_moments: every version against the definition, and that against exact sums."""

from math import fsum

import numpy as np
import pytest
from example_arrays import F, X, Y

from transfer_kernels.kernels.target_moments import reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 1, 1), (3, 2, 1), (97, 13, 4), (5000, 31, 7), (40, 300, 2)]


@pytest.fixture
def target_moments(backend):
    return implementation("target_moments", backend).target_moments


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_definition(target_moments, shape, dtype):
    n, d, k = shape
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, d)) + 0.5).astype(dtype)
    Y = rng.normal(size=(n, k)) + 0.5
    X.flags.writeable = Y.flags.writeable = False
    expected = reference.target_moments(X, Y)
    size = abs(np.asarray(X, dtype=np.float64)).T @ abs(Y)
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[:, ::-1][:, ::-1]):
        found = target_moments(layout, Y)
        assert found.dtype == np.float64 and found.shape == (d, k)
        assert (abs(found - expected) <= 1e-13 * size).all()
    np.testing.assert_array_equal(target_moments(X, Y), target_moments(X, Y))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_around_an_origin(target_moments, dtype):
    rng = np.random.default_rng(2)
    X = (rng.normal(size=(3000, 5)) + [0.0, 1.0, 60.0, 1e3, 1e4]).astype(dtype)
    Y, origin = rng.normal(size=(3000, 3)), np.array([0.1, 1.0, 60.0, 1e3, 1e4])
    expected = [[fsum((X[:, j] - origin[j]) * y) for y in Y.T] for j in range(5)]
    found = target_moments(X, Y, origin)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    assert (found == target_moments(X, Y, origin)).all()


def test_layouts_of_the_targets(target_moments):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(50, 6)), rng.normal(size=(50, 8))
    for layout in (np.asfortranarray(Y), np.repeat(Y, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(
            target_moments(X, layout), reference.target_moments(X, Y), rtol=1e-12, atol=1e-13
        )


def test_the_definition_against_exact_sums():
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(200, 3)).astype(np.float32), rng.normal(size=(200, 2))
    exact = [[fsum(float(x) * y for x, y in zip(u, v, strict=True)) for v in Y.T] for u in X.T]
    np.testing.assert_allclose(reference.target_moments(X, Y), exact, rtol=1e-12, atol=1e-13)


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "target_moments": [(X, Y), (X, Y, F[0])],
}
REFUSED = [
    ("target_moments", (X, Y[1:]), ValueError, r"Y must be of shape \(90, K\)"),
    ("target_moments", (X, Y[:, 0]), ValueError, r"Y must be of shape \(90, K\)"),
]
