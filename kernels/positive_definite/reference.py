"""Definition of `positive_definite` in NumPy: by eigenvalues, by LU factors."""

import math

import numpy as np

from . import RANK_EPS, SAFE_PIVOT, unit_roots


def _full(upper: np.ndarray) -> np.ndarray:
    return np.triu(upper) + np.triu(upper, 1).T


def quadratic_forms(gram: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """See the contract in the package's docstring."""
    roots = unit_roots(np.diagonal(gram))
    values, vectors = np.linalg.eigh(roots[:, None] * _full(gram) * roots)
    kept = values > len(gram) * RANK_EPS
    coordinates = vectors[:, kept].T @ (roots[:, None] * columns)
    return (coordinates**2 / values[kept, None]).sum(axis=0), int(kept.sum())


def semidefinite_solve(gram: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """See the contract in the package's docstring."""
    roots = unit_roots(np.diagonal(gram))
    values, vectors = np.linalg.eigh(roots[:, None] * _full(gram) * roots)
    kept = values > len(gram) * RANK_EPS
    coordinates = vectors[:, kept].T @ (roots[:, None] * columns)
    solutions = vectors[:, kept] @ (coordinates / values[kept, None])
    return roots[:, None] * solutions, int(kept.sum())


def log_determinant(gram: np.ndarray, scale: float) -> float:
    """See the contract in the package's docstring."""
    shifted = np.eye(len(gram)) + scale * _full(gram)
    try:
        pivots = np.linalg.cholesky(shifted).diagonal() ** 2
    except np.linalg.LinAlgError:
        return math.nan
    if not (pivots > SAFE_PIVOT * shifted.diagonal()).all():
        return math.nan
    return float(np.linalg.slogdet(shifted)[1])
