"""randomized_pca: the blocked version and its definition against scikit-learn."""

import numpy as np
import pytest
from example_arrays import X

from transfer_kernels.kernels.randomized_pca import lapack_cpu, reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(300, 64, 32), (64, 300, 32), (100, 20, 20), (20, 100, 20), (50, 50, 7), (2, 5, 1),
          (9, 3, 1), (700, 90, 5)]  # fmt: skip


@pytest.fixture
def project(backend):
    return implementation("randomized_pca", backend).randomized_pca


def problem(n, d):
    rng = np.random.default_rng(n + d)
    return rng.normal(size=(n, d)) * np.linspace(1.0, 0.1, d) + 5.0


def assert_close(actual, expected, tolerance):
    assert actual.dtype == np.float64 and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-10), (np.float32, 1e-3)])
def test_against_scikit_learn(project, shape, dtype, tolerance):
    decomposition = pytest.importorskip("sklearn.decomposition")
    *shape, n_components = shape
    X = problem(*shape).astype(dtype)
    pca = decomposition.PCA(
        n_components, svd_solver="randomized", iterated_power=1, random_state=1919
    )
    assert_close(project(X, n_components), pca.fit_transform(X), tolerance)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(600, 40), (40, 600)], ids=str)
def test_types_and_layouts(project, shape, dtype):
    X = problem(*shape).astype(dtype)
    wide = np.zeros((2 * shape[0], 3 * shape[1]), dtype)
    wide[::2, ::3] = X
    for layout in (X, np.asfortranarray(X), wide[::2, ::3], X[::-1, ::-1]):
        before = layout.tobytes()
        layout.flags.writeable = False
        assert_close(project(layout, 6), reference.randomized_pca(layout, 6), 1e-11)
        assert layout.tobytes() == before


@pytest.mark.parametrize("shape", [(500, 30), (30, 500)], ids=str)
def test_large_offset(project, shape):
    """Centring loses no more than the rounding of the input does."""
    X = problem(*shape)
    shifted = X + 1e4
    assert_close(project(shifted, 5), reference.randomized_pca(shifted, 5), 1e-10)
    assert_close(project(shifted, 5), project(X, 5), 1e-9)


def test_blocks_do_not_change_the_result(monkeypatch):
    X = problem(530, 40)
    expected = lapack_cpu.randomized_pca(X, 8)
    monkeypatch.setattr(lapack_cpu, "BLOCK_ROWS", 37)
    assert_close(lapack_cpu.randomized_pca(X, 8), expected, 1e-12)


def test_constant_columns_and_duplicate_rows(project):
    X = problem(80, 6)
    X[:, 2] = 3.0
    X[40:] = X[:40]
    scores = project(X, 3)
    assert np.isfinite(scores).all()
    assert_close(scores[40:], scores[:40].copy(), 1e-12)


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "randomized_pca": [(X, 5)],
}
REFUSED = [
    ("randomized_pca", (X, 14), ValueError, "n_components=14 is out of range"),
]
