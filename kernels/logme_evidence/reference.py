"""Definition of `logme_evidence` in NumPy float64, by an eigendecomposition."""

from typing import Any

import numpy as np

from . import SMALLEST_PRECISION, Evidence, EvidenceRule, Known, LargestEvidence
from .shared_profile import from_gram


def logme_evidence(
    gram: np.ndarray,
    moments: np.ndarray,
    squares: np.ndarray,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool = False,
    known: Known | None = None,
) -> Evidence:
    """See the contract in the package's docstring."""
    if isinstance(rule, LargestEvidence):
        return from_gram(np.asarray(gram), moments, squares, n_samples, dual, known)
    eigenvalues, vectors = np.linalg.eigh(gram, UPLO="U")
    s = np.maximum(eigenvalues, 0.0)
    projections = (vectors.T @ moments) ** 2  # (r, K)
    return from_spectrum(s, projections, squares, n_samples, n_features, rule, dual)


def from_spectrum(
    s: np.ndarray,
    projections: np.ndarray,
    squares: np.ndarray,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule,
    dual: bool,
) -> Evidence:
    """The fixed points from eigenvalues (r,) and squared projections (r, K) of the moments."""
    zeros = n_features - len(s) if rule.full_spectrum else 0
    columns = []
    alpha = beta = 1.0
    for p, square in zip(projections.T, squares, strict=True):
        if not rule.warm_start:
            alpha = beta = 1.0
        columns.append(
            _fixed_point(s, p, square, n_samples, n_features, zeros, rule, dual, alpha, beta)
        )
        _, alpha, beta, _ = columns[-1]
    return Evidence(*np.array(columns).reshape(-1, 4).T)


def fixed_points(
    s: np.ndarray,
    p: np.ndarray,
    rest: np.ndarray,
    n: int,
    d: int,
    rule: EvidenceRule,
) -> Any:
    """The published fixed points from coordinates of the targets themselves: shared_factored.py."""
    zeros = (d if rule.full_spectrum else min(n, d)) - len(s)
    columns = []
    alpha = beta = 1.0
    for column, left in zip(p.T, rest, strict=True):
        if not rule.warm_start:
            alpha = beta = 1.0
        columns.append(_fixed_point(s, column, None, n, d, zeros, rule, True, alpha, beta, left))
        _, alpha, beta, _ = columns[-1]
    return Evidence(*np.array(columns).reshape(-1, 4).T)


def _fixed_point(
    s: np.ndarray,
    p: np.ndarray,
    square: Any,
    n: int,
    d: int,
    zeros: int,
    rule: EvidenceRule,
    dual: bool,
    alpha: float,
    beta: float,
    rest: float = 0.0,
) -> tuple[float, float, float, float]:
    """Evidence, alpha, beta and t of one target with squared projections p."""
    for _ in range(rule.max_rounds):
        t = alpha / beta
        gamma = np.sum(s / (s + t))
        noise = n - len(s) + np.sum(t / (s + t))  # n - gamma without its cancellation
        if dual:  # p are projections of y itself
            weight_norm = np.sum(s * p / (s + t) ** 2)
            residual = np.sum(p * (t / (s + t)) ** 2) + rest
        else:  # p are projections of F^T y
            weight_norm = np.sum(p / (s + t) ** 2)
            residual = max(square - np.sum(p / (s + t)) - t * weight_norm, 0.0)
        alpha = _precision(gamma, weight_norm + rule.epsilon)
        beta = _precision(noise, residual + rule.epsilon)
        if abs(alpha / beta - t) <= rule.tolerance * t:
            break
    if rule.epsilon_in_evidence:
        weight_norm += rule.epsilon
        residual += rule.epsilon
    log_determinant = np.sum(np.log(alpha + beta * s)) + zeros * np.log(alpha)
    evidence = 0.5 * (
        d * np.log(alpha)
        + n * np.log(beta)
        - log_determinant
        - beta * residual
        - alpha * weight_norm
        - n * np.log(2.0 * np.pi)
    )
    return evidence / n, alpha, beta, t


def _precision(degrees: float, energy: float) -> float:
    """Degrees of freedom over energy, kept in the range of precisions."""
    quotient = degrees / max(energy, SMALLEST_PRECISION**2)
    return min(max(quotient, SMALLEST_PRECISION), 1.0 / SMALLEST_PRECISION)
