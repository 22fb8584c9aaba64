"""Contract of `fisher_discriminant`: the dense d x d algebra of a regularised linear discriminant.

    within_scatter(gram, left, right, n_samples) -> within
    dominant_eigenvalue(within, ones) -> float
    fisher_discriminant(within, means, shrinkage, n_features) -> (coef, offset)

All matrices are float64. Of ``gram`` and ``within``, both (d, d), only the upper triangle is read
or meant. ``gram`` is not changed; ``within`` is C-ordered and consumed by `fisher_discriminant`
(it may be overwritten by the factor; the public function passes a copy).

`within_scatter`
    (gram + (left^T right + right^T left) / 2) / n_samples, for ``left`` and ``right`` (m, d). With
    left = -(class sums) and right = class means this is the within-class scatter.
`dominant_eigenvalue`
    The estimate of the largest eigenvalue in SFDA (Shao et al., ECCV 2022): from x = A 1, three
    rounds of y = A x / |A x|, x = A y / |A y|; then x . A y. ``ones`` (d,) is the vector of ones,
    or its image where the features were rotated. Zero for a zero matrix.
`fisher_discriminant`
    With S = (1 - shrinkage) within + shrinkage trace(within) / n_features I and ``means`` (C, d):
    coef = means S^-1, (C, d), and offset = diag(coef means^T) / 2, (C,). Raises `SingularScatter`
    when S is not positive definite to working precision.

Bits are those of BLAS and LAPACK, and may change with their number of threads.
"""

POWER_ROUNDS = 3


class SingularScatter(ValueError):
    """The shrunk within-class scatter is singular, so that it defines no discriminant."""
