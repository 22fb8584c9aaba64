"""Definition of `parc_correlation` in NumPy float64: all pairs at once, O(n^2) memory."""

import numpy as np
from scipy.stats import rankdata

from ..array_namespace import Array
from . import RESOLUTION


def distance_matrix(rows: np.ndarray) -> np.ndarray:
    """1 - Pearson correlation of all rows, in multiples of the resolution."""
    noise = 1e-14 * np.sqrt(rows.shape[1]) * np.abs(rows).max(initial=0.0)
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    # A constant row leaves rounding noise of its values and centring, not variance.
    constant = norms <= noise
    rows = np.where(constant[:, None], 0.0, rows / np.where(norms > 0, norms, 1.0)[:, None])
    return np.rint((1.0 - rows @ rows.T) / RESOLUTION)


def _pair_distances(rows: np.ndarray) -> np.ndarray:
    return distance_matrix(rows)[np.triu_indices(len(rows), 1)]


def _standardised(X: Array) -> np.ndarray:
    X = np.asarray(X, dtype=np.float64)
    Z = X - X.mean(axis=0)
    deviations = Z.std(axis=0)
    # As scikit-learn's StandardScaler: a spread that is rounding noise of the mean is none.
    epsilon = np.finfo(np.float64).eps
    noise = len(X) * epsilon * (X.var(axis=0) + len(X) * epsilon * X.mean(axis=0) ** 2)
    varies = deviations**2 > noise
    return np.where(varies, Z / np.where(varies, deviations, 1.0), 0.0)


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    first = rankdata(first)
    second = rankdata(second)
    first -= first.mean()
    second -= second.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / scale) if scale > 0 else float("nan")


def parc_correlation(X: Array, codes: np.ndarray) -> float:
    """See the contract in the package's docstring."""
    codes = np.asarray(codes)
    i, j = np.triu_indices(len(codes), 1)
    return _spearman(_pair_distances(_standardised(X)), codes[i] != codes[j])


def parc_correlation_vectors(X: Array, Y: np.ndarray) -> float:
    """See the contract in the package's docstring."""
    Y = np.asarray(Y, dtype=np.float64)
    return _spearman(_pair_distances(_standardised(X)), _pair_distances(Y))
