"""Contract of `positive_definite`: quadratic forms, solutions and determinants.

    quadratic_forms(gram, columns) -> (forms, rank)
    semidefinite_solve(gram, columns) -> (solutions, rank)
    log_determinant(gram, scale) -> float

``gram`` is (m, m) float64, positive semidefinite; only its upper triangle is read, and it is not
changed.

`quadratic_forms`
    forms[k] = columns[:, k]^T gram^+ columns[:, k] for ``columns`` (m, K) float64 in the range of
    gram, and the rank of gram. It is scaled to a unit diagonal first, so that the units of the
    features do not matter; what is below m `RANK_EPS` of it then counts as absent.
`semidefinite_solve`
    ``solutions`` (m, K) with gram solutions = columns, and the rank of gram, by the same rule;
    where there are several, any of them: columns^T solutions is the same for all.
`log_determinant`
    ln det(I + scale gram) for ``scale`` >= 0, in nats; NaN where the matrix has lost the digits
    that it depends on, beside a sample that drowns all others, as its smallest pivot tells.
    ``shared_from_rows.py`` is the same from the samples themselves.

Bits are those of LAPACK, and may change with its number of threads.
"""

import numpy as np

#: Rounding of a unit diagonal, a row's worth of which is told from rank.
RANK_EPS = float(np.finfo(np.float64).eps)
#: Pivots of a plain Cholesky factor above this are far from where rounding decides the rank.
SAFE_PIVOT = 1e-8


def unit_roots(diagonal: np.ndarray) -> np.ndarray:
    """1 / sqrt of a Gram matrix's diagonal, and 0 where a column is zero."""
    with np.errstate(divide="ignore"):
        return np.where(diagonal > 0.0, 1.0 / np.sqrt(diagonal), 0.0)
