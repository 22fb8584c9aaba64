"""positive_definite: every version against the definition, and that against exact arithmetic."""

import mpmath
import numpy as np
import pytest
from example_arrays import MEANS, TEXT, WITHIN, F, X, Y

from transfer_kernels.kernels.positive_definite import reference, shared_from_rows
from transfer_kernels.ops.backends import implementation

SHAPES = [(9, 1, 1), (5, 3, 2), (60, 20, 7), (300, 129, 4)]  # n, m, K


@pytest.fixture
def op(backend):
    return implementation("positive_definite", backend)


def gram_and_columns(n, m, k, kind="plain", seed=0):
    """The upper triangle of a Gram matrix, NaN below, and vectors in its range."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, m))
    if kind == "units":
        Z *= 10.0 ** rng.uniform(-30, 30, m)
    if kind == "zero columns":
        Z[:, ::3] = 0.0
    if kind == "dependent":
        Z[:, m // 2 :] = Z[:, : m - m // 2] @ rng.normal(size=(m - m // 2,) * 2)
    gram = Z.T @ Z
    gram[np.tril_indices(m, -1)] = np.nan
    return Z, gram, Z.T @ rng.normal(size=(n, k))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["plain", "units", "zero columns", "dependent"])
def test_quadratic_forms(op, shape, kind):
    Z, gram, columns = gram_and_columns(*shape, kind)
    gram.flags.writeable = columns.flags.writeable = False
    forms, rank = op.quadratic_forms(gram, columns)
    expected, expected_rank = reference.quadratic_forms(gram, columns)
    scaled = Z / np.where(Z.any(axis=0), np.linalg.norm(Z, axis=0), 1.0)
    assert rank == expected_rank == np.linalg.matrix_rank(scaled)
    np.testing.assert_allclose(forms, expected, rtol=1e-9)
    for layout in (np.asfortranarray(columns), np.repeat(columns, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(op.quadratic_forms(gram, layout)[0], forms, rtol=1e-12)
    again, _ = op.quadratic_forms(np.asfortranarray(gram), columns)
    np.testing.assert_allclose(again, forms, rtol=1e-9)


def test_the_form_is_a_projection(op):
    """With columns Z^T y the form is |P y|^2, P the projection on the columns of Z."""
    Z, gram, _ = gram_and_columns(40, 12, 1, "dependent")
    Y = np.random.default_rng(1).normal(size=(40, 3))
    left, singular, _ = np.linalg.svd(Z, full_matrices=False)
    basis = left[:, singular > 1e-12 * singular[0]]
    forms, rank = op.quadratic_forms(gram, Z.T @ Y)
    assert rank == basis.shape[1]
    np.testing.assert_allclose(forms, ((basis.T @ Y) ** 2).sum(axis=0), rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["plain", "units", "zero columns", "dependent"])
def test_solutions(op, shape, kind):
    """All solve the equations in the matrix's own units, and give the same products."""
    _, gram, columns = gram_and_columns(*shape, kind)
    gram.flags.writeable = columns.flags.writeable = False
    solutions, rank = op.semidefinite_solve(gram, columns)
    expected, expected_rank = reference.semidefinite_solve(gram, columns)
    whole = np.triu(gram) + np.triu(gram, 1).T
    roots = np.sqrt(whole.diagonal())[:, None]
    units = np.where(roots > 0.0, roots, 1.0)
    assert rank == expected_rank
    size = np.abs(solutions * roots).max()
    for found in (solutions, expected):
        residual = (whole / units / units.T) @ (found * units) - columns / units
        np.testing.assert_allclose(residual, 0.0, atol=1e-11 * size)
    products = columns.T @ expected
    scale = np.abs(products).max()
    np.testing.assert_allclose(columns.T @ solutions, products, rtol=1e-9, atol=1e-9 * scale)


def test_nothing_is_of_rank_zero(op):
    solutions, rank = op.semidefinite_solve(np.zeros((4, 4)), np.zeros((4, 2)))
    assert rank == 0 and not solutions.any()
    forms, rank = op.quadratic_forms(np.zeros((4, 4)), np.zeros((4, 2)))
    assert rank == 0 and forms.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0, 1e8])
def test_log_determinant(op, shape, scale):
    _, gram, _ = gram_and_columns(*shape)
    gram.flags.writeable = False
    expected = reference.log_determinant(gram, scale)
    found = op.log_determinant(gram, scale)
    assert isinstance(found, float) and found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert op.log_determinant(np.asfortranarray(gram), scale) == pytest.approx(found, rel=1e-13)


def test_lost_digits_are_told(op):
    Z = np.random.default_rng(3).normal(size=(90, 6))
    Z[7] *= 1e9
    gram = Z.T @ Z
    assert np.isnan(op.log_determinant(gram, 100.0)) and np.isnan(
        reference.log_determinant(gram, 100.0)
    )
    with mpmath.workdps(60):
        exact = mpmath.matrix(Z.tolist())
        determinant = mpmath.log(mpmath.det(mpmath.eye(6) + 100 * (exact.T * exact)))
    found = shared_from_rows.log_determinant(Z, 100.0)
    assert found == pytest.approx(float(determinant), rel=1e-13)


def test_definitions_against_exact_arithmetic():
    Z, gram, columns = gram_and_columns(12, 5, 2)
    with mpmath.workdps(50):
        exact = mpmath.matrix((np.triu(gram) + np.triu(gram, 1).T).tolist())
        determinant = mpmath.log(mpmath.det(mpmath.eye(5) + mpmath.mpf(3) * exact))
        forms = [
            (mpmath.matrix(x.tolist()).T * mpmath.lu_solve(exact, mpmath.matrix(x.tolist())))[0]
            for x in columns.T
        ]
    assert reference.log_determinant(gram, 3.0) == pytest.approx(float(determinant), rel=1e-14)
    found, rank = reference.quadratic_forms(gram, columns)
    assert rank == 5
    np.testing.assert_allclose(found, [float(form) for form in forms], rtol=1e-11)


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "quadratic_forms": [(WITHIN, F.T @ Y)],
    "log_determinant": [(WITHIN, 2.0)],
    "semidefinite_solve": [(WITHIN, F.T @ Y)],
}
REFUSED = [
    ("quadratic_forms", (X, MEANS), ValueError, r"gram must be of shape \(m, m\)"),
    ("quadratic_forms", (WITHIN, MEANS), ValueError, r"columns .*\(13, K\)"),
    ("semidefinite_solve", (WITHIN, MEANS), ValueError, r"columns .*\(13, K\)"),
    ("log_determinant", (WITHIN, -1.0), ValueError, "scale=-1.0 is out of range"),
    ("log_determinant", (WITHIN, np.inf), ValueError, "must be finite and not negative"),
    ("log_determinant", (TEXT, 1.0), TypeError, "gram has dtype <U1"),
]
