"""Definition of `fisher_discriminant` in NumPy float64, on full matrices."""

import numpy as np

from . import POWER_ROUNDS, SingularScatter


def _full(upper: np.ndarray) -> np.ndarray:
    return np.triu(upper) + np.triu(upper, 1).T


def within_scatter(
    gram: np.ndarray, left: np.ndarray, right: np.ndarray, n_samples: int
) -> np.ndarray:
    """See the contract in the package's docstring."""
    return (_full(gram) + 0.5 * (left.T @ right + right.T @ left)) / n_samples


def dominant_eigenvalue(within: np.ndarray, ones: np.ndarray) -> float:
    """See the contract in the package's docstring."""
    A = _full(within)
    x = A @ ones
    if not x.any():
        return 0.0
    for _ in range(POWER_ROUNDS):
        y = A @ x
        y /= np.linalg.norm(y)
        x = A @ y
        x /= np.linalg.norm(x)
    return float(x @ A @ y)


def fisher_discriminant(
    within: np.ndarray, means: np.ndarray, shrinkage: float, n_features: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """See the contract in the package's docstring."""
    A = _full(within)
    S = (1.0 - shrinkage) * A
    S[np.diag_indices_from(S)] += shrinkage * np.trace(A) / n_features
    try:
        np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        raise SingularScatter("the shrunk within-class scatter is singular") from None
    coef = np.linalg.solve(S, means.T).T
    return coef, 0.5 * np.einsum("cd,cd->c", coef, means)
