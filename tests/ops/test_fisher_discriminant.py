"""fisher_discriminant: every version against the definition, and that against exact arithmetic."""

import mpmath
import numpy as np
import pytest
from example_arrays import ANCHORS, MEANS, ORIGIN, TEXT, WITHIN, D, N, X

import transfer_kernels as tk
from transfer_kernels.kernels.fisher_discriminant import SingularScatter, reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 1, 4), (2, 3, 9), (13, 2, 40), (64, 10, 200), (129, 70, 150)]  # d, C, n


@pytest.fixture
def op(backend):
    return implementation("fisher_discriminant", backend)


def problem(d, n_classes, n, seed=0):
    """A Gram matrix of which only the upper triangle means anything, and two (C, d) matrices."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(2.0, 0.2, d)
    gram = X.T @ X
    gram[np.tril_indices(d, -1)] = np.nan
    return gram, rng.normal(size=(n_classes, d)), rng.normal(size=(n_classes, d)), n


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_within_scatter(op, shape):
    gram, left, right, n = problem(*shape)
    before = gram.copy()
    expected = reference.within_scatter(gram, left, right, n)
    for layout in (gram, np.asfortranarray(gram)):
        layout.flags.writeable = False
        found = np.triu(op.within_scatter(layout, left, right, n))
        np.testing.assert_allclose(found, np.triu(expected), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(gram, before)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dominant_eigenvalue(op, shape):
    within = problem(*shape)[0]
    ones = np.ones(len(within))
    expected = reference.dominant_eigenvalue(within, ones)
    assert op.dominant_eigenvalue(within, ones) == pytest.approx(expected, rel=1e-12)
    assert op.dominant_eigenvalue(np.zeros_like(within), ones) == 0.0


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("shrinkage", [1e-10, 0.3, 1.0])
def test_discriminant(op, shape, shrinkage):
    gram, means, _, n = problem(*shape)
    expected = reference.fisher_discriminant(gram / n, means, shrinkage, len(gram))
    given = means.copy()
    found = op.fisher_discriminant(gram / n, means, shrinkage, len(gram))
    np.testing.assert_array_equal(means, given)
    for ours, definition in zip(found, expected, strict=True):
        assert ours.shape == definition.shape and ours.dtype == np.float64
        np.testing.assert_allclose(ours, definition, rtol=1e-9, atol=1e-9 * abs(definition).max())
    again = op.fisher_discriminant(gram / n, means, shrinkage, len(gram))
    np.testing.assert_array_equal(found[0], again[0])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_the_public_function_leaves_its_arguments_alone(backend, dtype, order):
    rng = np.random.default_rng(4)
    X = rng.integers(-5, 6, size=(60, 7))
    within = np.asarray(X.T @ X, dtype=dtype, order=order)
    within.flags.writeable = False
    means = rng.normal(size=(3, 7))
    means.flags.writeable = False
    found = tk.ops.fisher_discriminant(within, means, 0.1, 7, backend=backend)
    expected = reference.fisher_discriminant(within.astype(np.float64), means, 0.1, 7)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-10)
    np.testing.assert_array_equal(within, X.T @ X)
    writable = within.astype(np.float64)
    tk.ops.fisher_discriminant(writable, means, 0.1, 7, backend=backend)
    np.testing.assert_array_equal(writable, within)


def test_more_features_than_dimensions_share_the_trace(op):
    """In rotated features of fewer dimensions the ridge is that of the original ones."""
    gram, means, _, n = problem(5, 3, 20)
    found = op.fisher_discriminant(gram / n, means, 0.5, 40)
    expected = reference.fisher_discriminant(gram / n, means, 0.5, 40)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)


def test_singular_scatter_is_refused(op):
    with pytest.raises(SingularScatter):
        op.fisher_discriminant(np.zeros((3, 3)), np.ones((2, 3)), 0.5, 3)


def test_the_definition_against_exact_arithmetic():
    gram, left, right, n = problem(4, 3, 12)
    with mpmath.workdps(50):
        upper = mpmath.matrix(np.triu(gram).tolist())
        full = upper + upper.T - mpmath.diag([upper[i, i] for i in range(4)])
        L, R = (mpmath.matrix(m.tolist()) for m in (left, right))
        within = (full + (L.T * R + R.T * L) / 2) / n
        found = reference.within_scatter(gram, left, right, n)
        np.testing.assert_allclose(found, np.array(within.tolist(), dtype=float), rtol=1e-14)

        share = mpmath.mpf("0.25")
        ridge = share * sum(full[i, i] for i in range(4)) / 4
        shrunk = (1 - share) * full + ridge * mpmath.eye(4)
        coef = (mpmath.inverse(shrunk) * L.T).T
        offset = [(coef[c, :] * L[c, :].T)[0] / 2 for c in range(3)]
        found = reference.fisher_discriminant(gram, left, 0.25, 4)
        np.testing.assert_allclose(found[0], np.array(coef.tolist(), dtype=float), rtol=1e-11)
        np.testing.assert_allclose(found[1], np.array(offset, dtype=float), rtol=1e-11)


@pytest.mark.parametrize("d", [63, 64, 65, 200])
def test_large_matrices_are_factored_in_pieces(monkeypatch, d):
    """So that an interrupt is heard between them."""
    from transfer_kernels.kernels import blas_blocks

    gram, means, *_ = problem(d, 70, 2 * d)
    gram[np.tril_indices(d, -1)] = 0.0
    full = gram + np.triu(gram, 1).T
    whole = blas_blocks.cholesky(gram.copy())
    monkeypatch.setattr(blas_blocks, "WHOLE", 40)
    monkeypatch.setattr(blas_blocks, "BLOCK_ROWS", 16)
    monkeypatch.setattr(blas_blocks, "SOLVE_FLOPS", 2.0 * d * d * 9)
    gram[np.tril_indices(d, -1)] = np.nan
    factor = blas_blocks.cholesky(gram)
    np.testing.assert_allclose(np.tril(factor), np.tril(whole), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(full @ blas_blocks.solve(factor, means.T), means.T, atol=1e-10)
    indefinite = full.copy()
    indefinite[-1, -1] = -1.0
    assert blas_blocks.cholesky(indefinite) is None


COLUMNS, OVERWRITE = np.asfortranarray(WITHIN + np.arange(D)), {"overwrite_within": True}

#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "within_scatter": [(WITHIN, MEANS, ANCHORS, N)],
    "dominant_eigenvalue": [(WITHIN, np.ones(D))],
    "fisher_discriminant": [(WITHIN, MEANS, 0.2, D)],
}
REFUSED = [
    ("within_scatter", (X, MEANS, MEANS, N), ValueError, r"gram .*\(d, d\), not \(90, 13\)"),
    ("within_scatter", (WITHIN, MEANS, MEANS[1:], N), ValueError, r"right .*\(4, 13\)"),
    ("within_scatter", (WITHIN, MEANS, MEANS, 0), ValueError, "n_samples=0"),
    ("within_scatter", (WITHIN, TEXT, MEANS, N), TypeError, "left has dtype <U1"),
    ("dominant_eigenvalue", (WITHIN, ORIGIN[1:]), ValueError, r"ones .*\(13,\)"),
    ("fisher_discriminant", (WITHIN, MEANS[:, 1:], 0.1, D), ValueError, r"means .*C, 13"),
    ("fisher_discriminant", (WITHIN, MEANS, 1.5, D), ValueError, "shrinkage=1.5 is out of"),
    ("fisher_discriminant", (WITHIN, MEANS, "a", D), TypeError, "shrinkage must be a number"),
    ("fisher_discriminant", (WITHIN, MEANS, 0.1, 0), ValueError, "n_features=0 is out of"),
    ("fisher_discriminant", (COLUMNS, MEANS, 0.1, D), ValueError, "C-ordered", OVERWRITE),
    ("fisher_discriminant", (WITHIN.tolist(), MEANS, 0.1, D), ValueError, "C-ordered", OVERWRITE),
]
