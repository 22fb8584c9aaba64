"""LogME's evidence from a factorisation of the features themselves: the definition.

Slower than from the Gram matrix, which squares the condition number of the features, and needs a
float64 copy of them; for features of which the Gram matrix has lost the digits that matter.
"""

import numpy as np

from ..array_namespace import array_namespace, as_float64, beside, on_host
from . import Evidence, LargestEvidence
from .profile import largest_evidence
from .reference import fixed_points


def evidence(features, targets, rule):
    """Evidence of targets (n, K), on the host, by the singular values of features (n, d)."""
    n, d = features.shape
    exponents = np.where(targets.any(axis=0), np.frexp(abs(targets).max(axis=0))[1], 0)
    scaled = np.ldexp(targets, -exponents)
    s, p, rest, exponent = coordinates(features, scaled)
    if isinstance(rule, LargestEvidence):
        found = largest_evidence(s, p, rest, n)
        # Units of features and targets are powers of two: beta and alpha take them back exactly.
        return Evidence(
            found.evidences - exponents * np.log(2.0),
            np.ldexp(found.alphas, 2 * (exponent - exponents)),
            np.ldexp(found.betas, -2 * exponents),
            np.ldexp(found.ratios, 2 * exponent),
        )
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
    return fixed_points(s, p, rest, n, d, rule)


def coordinates(features, targets):
    """Squares s of the singular values, p (r, K) of the targets' coordinates, rest, unit of F.

    With s times 4^unit those of the features. Directions at rounding level count as absent.
    """
    n, d = features.shape
    xp = array_namespace(features)
    X, exponent = _in_own_unit(features)
    # Loud rows first: Householder's QR then leaves the quiet ones their digits.
    order = on_host((-(X * X).sum(axis=1)).argsort())
    X, Y = X[beside(X, order)], beside(X, targets[order])
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
    return sigma[kept] ** 2, p[kept], rest + p[~kept].sum(axis=0), exponent


def weights(features, targets, ratios):
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


def _in_own_unit(features):
    """float64 features over 2^exponent, the largest below one, and the exponent."""
    X = as_float64(features)
    exponent = int(np.frexp(float(abs(X).max()))[1])
    # Twice half the power: the power itself may leave the range of float64.
    half = exponent // 2
    return X * 2.0**-half * 2.0 ** (half - exponent), exponent
