"""For every version: LogME's evidence from a factorisation of the features, the definition.

Slower than from the Gram matrix, which squares the condition number of the features, and needs a
float64 copy of them; for features of which the Gram matrix has lost the digits that matter.
"""

from typing import Any

import numpy as np

from ..array_namespace import Array, array_namespace, as_float64, beside, on_host
from . import Evidence, EvidenceRule, LargestEvidence
from .reference import fixed_points
from .shared_profile import DEPTH, LN_2_PI, largest_evidence

#: Estimated error above which an evidence may lack digits: nine are left in practice.
LOST_DIGITS = 3e-8


def evidence(features: Array, targets: Array, rule: EvidenceRule | LargestEvidence) -> Any:
    """Evidence of targets (n, K), on the host, by the singular values of features (n, d)."""
    return evidence_and_error(features, targets, rule)[0]


def evidence_and_error(
    features: Array, targets: Array, rule: EvidenceRule | LargestEvidence
) -> tuple[Evidence, Array]:
    """The same, and for each target an upper estimate of the evidence's error, (K,)."""
    n, d = features.shape
    exponents = np.where(targets.any(axis=0), np.frexp(abs(targets).max(axis=0))[1], 0)
    scaled = np.ldexp(targets, -exponents)
    s, p, rest, exponent, upper, absent = coordinates(features, scaled)
    if isinstance(rule, LargestEvidence):
        found = largest_evidence(s, p, rest, n)
        errors = _errors(s, upper, found, p.sum(axis=0) + rest, n)
        errors = np.where(_could_hide(s, rest, absent, found, n, d), 1.0, errors)
        # Units of features and targets are powers of two: beta and alpha take them back exactly.
        found = Evidence(
            found.evidences - exponents * np.log(2.0),
            np.ldexp(found.alphas, 2 * (exponent - exponents)),
            np.ldexp(found.betas, -2 * exponents),
            np.ldexp(found.ratios, 2 * exponent),
        )
        return found, errors
    s, p, rest = (
        np.ldexp(s, 2 * exponent),
        np.ldexp(p, 2 * exponents),
        np.ldexp(rest, 2 * exponents),
    )
    if not (np.isfinite(s).all() and np.isfinite(p).all()):
        raise ValueError(
            "the squares of the features or targets leave the range of float64, and published "
            'variants depend on their unit; scale them, or use variant="evidence"'
        )
    found = fixed_points(s, p, rest, n, d, rule)
    return found, _errors(s, np.ldexp(1.0, exponent) * upper, found, p.sum(axis=0) + rest, n)


def _errors(s: Array, upper: Array, found: Evidence, squares: Array, n: int) -> Array:
    """Estimates of what an error of eps in each column of `upper` is worth in the evidences.

    It turns the fitted part of a target by eps times the condition number of the features with the
    prior, and by as much relative to the residual changes that. In practice it is some hundredths.
    """
    eps = np.finfo(np.float64).eps
    ratios = np.where(np.isfinite(found.ratios), found.ratios, np.finfo(np.float64).max)
    with np.errstate(all="ignore"):
        condition = (s.max(initial=0.0) / (s.min(initial=np.inf) + ratios)) ** 0.5
        close = (
            np.where(found.ratios == 0.0, 1.0, np.maximum(squares * found.betas / n, 1.0)) ** 0.5
        )
        errors = np.where(np.isfinite(found.evidences), eps * condition * close, 0.0)
        if not errors.max(initial=0.0) > LOST_DIGITS:
            return errors
        # Columns of different size do not count: each keeps its own digits.
        upper = on_host(upper)
        scale = 1.0 / np.sqrt((upper * upper).sum(axis=0))
        scale = np.where(np.isfinite(scale), scale, 0.0)
        worst = int(errors.argmax())
        prior = np.diag(scale * ratios[worst] ** 0.5)
        sigma = np.linalg.svd(np.vstack([upper * scale, prior]), compute_uv=False)
        sigma = sigma[sigma > 0.0]
        return errors * min(1.0, sigma.max() / sigma.min() / condition[worst])


def _could_hide(s: Array, rest: Array, absent: Array, found: Evidence, n: int, d: int) -> Array:
    """(K,) mask of targets that directions which count as absent could fit better than the others.

    At best these have all the size that an absent direction can have, least, and `absent` of the
    rest: then -2 n times the evidence is this, for some t = x least. The smaller they are, the more
    it costs to fit them.
    """
    if len(s) == 0:  # all features are zero, exactly
        return np.zeros(len(rest), dtype=bool)
    with np.errstate(all="ignore"):
        least = (max(n, d) * np.finfo(np.float64).eps) ** 2 * s.max(initial=0.0)
        x = np.exp(np.arange(-DEPTH, 5.0))[:, None]
        fitted = np.log1p(s / (x * least)).sum(axis=1, keepdims=True)
        fitted = fitted + (min(n, d) - len(s)) * np.log1p(1.0 / x)
        value = fitted + n * np.log((rest - absent + absent * x / (1.0 + x)) / n)
        best = -2.0 * n * found.evidences - n * (1.0 + LN_2_PI)
        return (absent > 0.0) & ~(value.min(axis=0) > best) & np.isfinite(found.evidences)


def coordinates(features: Array, targets: Array) -> tuple[Array, Array, Array, int, Array, Array]:
    """Squares s of the singular values, p (r, K) of the targets' coordinates, rest, unit of F, R.

    With s times 4^unit those of the features, and R the triangular factor, times 2^unit. Directions
    at rounding level count as absent; their share of the rest comes last.
    """
    n, d = features.shape
    xp = array_namespace(features)
    X, exponent = _in_own_unit(features)
    # Loud rows and columns first: Householder's QR then leaves the quiet ones their digits.
    order, columns = (on_host((-(X * X).sum(axis=axis)).argsort()) for axis in (1, 0))
    X, Y = X[beside(X, order)][:, beside(X, columns)], beside(X, targets[order])
    if n >= d:
        basis, upper = xp.linalg.qr(X)
        inside = basis.T @ Y
        outside = Y - basis @ inside
        left, sigma, _ = xp.linalg.svd(upper, full_matrices=False)
        rest = (outside**2).sum(axis=0)
    else:
        _, upper = xp.linalg.qr(X.T)
        left, sigma, _ = xp.linalg.svd(upper.T, full_matrices=False)
        inside, rest = Y, 0.0 * Y.sum(axis=0)
    p, sigma, rest = on_host((left.T @ inside) ** 2), on_host(sigma), on_host(rest)
    kept = sigma > max(n, d) * np.finfo(np.float64).eps * sigma.max(initial=0.0)
    absent = p[~kept].sum(axis=0)
    return sigma[kept] ** 2, p[kept], rest + absent, exponent, upper, absent


def weights(features: Array, targets: Array, ratios: Array) -> Any:
    """(K, d) posterior means of the linear models at ratios t, beside the features."""
    xp = array_namespace(features)
    X, exponent = _in_own_unit(features)
    left, sigma, right = xp.linalg.svd(X, full_matrices=False)
    sigma = on_host(sigma)
    kept = sigma > max(X.shape) * np.finfo(np.float64).eps * sigma.max(initial=0.0)
    shifts = np.ldexp(on_host(ratios), -2 * exponent)
    with np.errstate(all="ignore"):
        gains = np.where(kept, sigma / (sigma**2 + shifts[:, None]), 0.0)  # (K, r)
    coordinates_of_targets = (left.T @ beside(X, targets)).T
    return (beside(X, np.ldexp(gains, -exponent)) * coordinates_of_targets) @ right


def _in_own_unit(features: Array) -> tuple[Array, int]:
    """float64 features over 2^exponent, the largest below one, and the exponent."""
    X = as_float64(features)
    exponent = int(np.frexp(float(abs(X).max()))[1])
    # Twice half the power: the power itself may leave the range of float64.
    half = exponent // 2
    return X * 2.0**-half * 2.0 ** (half - exponent), exponent
