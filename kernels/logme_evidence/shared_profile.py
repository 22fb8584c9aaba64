"""For every version: the largest evidence over alpha and beta, by its profile over alpha / beta.

For a given t the best beta is closed-form: with the singular values' squares s of F, the squared
coordinates p of y along its left singular vectors and `rest` = y.y - sum of p,

    q(t) = sum of p t / (s + t) + rest,    beta = n / q,
    evidence = -(sum of ln(1 + s / t) + n ln(q / n) + n + n ln 2 pi) / (2 n),

a function of one variable. All its local maxima on a grid of ln t are refined, the largest is kept.
"""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..array_namespace import Array, array_namespace, beside, on_host
from . import GRAM_ERROR, Evidence, Known

#: Grid of ln t, in steps: factors s / (s + t) change over some four units of ln t.
STEP = 1.0
#: The grid ends so far beyond where the profile is at its limits.
MARGIN = np.log(1e6)
#: A relative residual norm below this is rounding: the fit is exact.
EXACT = 100.0 * np.finfo(np.float64).eps
MAX_ROUNDS = 100
#: Units of ln t below the trace at which directions count as absent.
DEPTH = 80.0
LN_2_PI = np.log(2.0 * np.pi)


def largest_evidence(s: Array, p: Array, rest: Array, n_samples: int) -> Evidence:
    """Evidence of targets with squared coordinates p (r, K) and residuals rest (K,); s (r,) > 0.

    At the ends: t = infinity is the null model, y ~ N(0, I / beta), alpha infinite. t = 0, where
    the features span y, is a model without noise, beta infinite: its evidence is finite where
    r = n; where r < n and the fit is exact no maximum exists, and the evidence is infinite.
    """
    n, r = n_samples, len(s)
    n_targets = len(rest)
    total = p.sum(axis=0) + rest
    exact = rest <= EXACT**2 * total
    rest = np.where(exact, 0.0, rest)
    unbounded = (total == 0.0) | (exact & (r < n))
    scale = np.where(unbounded, 1.0, total)
    p, rest = p / scale, np.where(unbounded, 1.0, rest / scale)
    best = np.full(n_targets, n * np.log(1.0 / n))  # the null model, y.y = 1
    where = np.full(n_targets, np.inf)
    quadratic = np.ones(n_targets)
    if r > 0:
        if r == n:
            inverse = p.T @ (1.0 / s)
            with np.errstate(divide="ignore"):
                limit = np.log(s).sum() + n * np.log(inverse / n)
            noiseless = exact & (limit < best)
            best = np.where(noiseless, limit, best)
            where = np.where(noiseless, 0.0, where)
            quadratic = np.where(noiseless, inverse, quadratic)
        first, last = np.log(s.min()) - MARGIN, np.log(s.max()) + MARGIN
        if r < n:  # and below, where a close fit has its maximum: n t / (t + knee) = r
            knee = (rest / (p / s[:, None]).sum(axis=0))[~unbounded & (rest > 0.0)]
            first = min(first, np.log(knee.min(initial=np.inf)) - MARGIN)
        grid = np.linspace(first, last, int(np.ceil((last - first) / STEP)) + 1)
        slopes = _on_grid(grid, s, p, rest, n)
        at, k = np.nonzero((slopes[:-1] < 0.0) & (slopes[1:] >= 0.0))
        low, high = grid[at], grid[at + 1]
        found = _refine(low, high, s, p[:, k], rest[k], n)
        value, q = _profile(found, s, p[:, k], rest[k], n)[:2]
        for i in np.argsort(-value, kind="stable"):  # the smallest comes last
            if value[i] < best[k[i]]:
                best[k[i]], where[k[i]] = value[i], np.exp(found[i])
                quadratic[k[i]] = q[i]
    evidence = -0.5 * (best / n + np.log(scale) + 1.0 + LN_2_PI)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        betas = np.where(where == 0.0, np.inf, n / (quadratic * scale))
        alphas = np.where(where == 0.0, n / (quadratic * scale), where * betas)
    evidence = np.where(unbounded, np.inf, evidence)
    betas = np.where(unbounded, np.inf, betas)
    alphas = np.where(unbounded, np.nan, alphas)
    return Evidence(evidence, alphas, betas, np.where(unbounded, 0.0, where))


def from_gram(
    gram: Array,
    moments: Array,
    squares: Array,
    n_samples: int,
    dual: bool,
    known: Known | None = None,
) -> Evidence:
    """`largest_evidence` by an eigendecomposition of the op's Gram matrix, on the matrix's device.

    The search itself is over O(r K) numbers and runs on the CPU.
    """
    xp = array_namespace(gram)
    eigenvalues, vectors = xp.linalg.eigh(gram, UPLO="U")
    projections = on_host((vectors.T @ moments) ** 2)
    s, squares = on_host(eigenvalues), on_host(squares)
    kept = s > len(s) * np.finfo(np.float64).eps * max(s.max(initial=0.0), 0.0)
    if dual:
        rest = projections[~kept].sum(axis=0)
        p = projections[kept]
    else:
        p = projections[kept] / s[kept, None]
        rest = np.maximum(squares - p.sum(axis=0), 0.0)
    resolved = s[kept]
    if known is not None:
        resolved = np.append(resolved, known.eigenvalues)
        p, rest = np.concatenate([p, known.parts]), rest + known.rest
    found = largest_evidence(resolved, p, rest, n_samples)
    diagonal = on_host(gram.diagonal())
    error = rounding_error((s**2).sum() ** 0.5, diagonal)
    n_empty = int(np.count_nonzero(diagonal == 0.0))
    told = certain(found.ratios, np.where(kept, s, 0.0), n_empty, error)
    if np.count_nonzero(~kept) > n_empty:
        told &= settled(found, resolved, p, rest, n_samples, diagonal.sum(), len(s) * error)
    found = replace(found, evidences=np.where(told, found.evidences, np.nan))
    return Evidence(*(beside(gram, getattr(found, f.name)) for f in fields(found)))


def rounding_error(norm: float, diagonal: Array) -> float:
    """Estimate of the spectral norm of the rounding error of a Gram matrix.

    An element's error is some eps of the roots of its two diagonal elements, with either sign: in
    the spectral norm that is eps times the root of the trace and the largest. What a decomposition
    adds is eps of the (Frobenius) norm.
    """
    peak = diagonal.max(initial=0.0)
    spread = np.sqrt(peak) * np.sqrt(diagonal.sum())
    return np.finfo(np.float64).eps * max(norm, spread)


def certain(ratios: Array, s: Array, n_empty: int, error: float) -> Array:
    """(K,) mask of the ratios t at which an error of the Gram matrix with eigenvalues s is small.

    Of the eigenvalues, n_empty are zeros of empty rows, which have no error.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inverses = (1.0 / (s + ratios[:, None])).sum(axis=1)
        inverses = np.where(ratios > 0.0, inverses - n_empty / ratios, inverses)
        largest = np.where(ratios > 0.0, np.minimum(inverses, 1.0 / ratios), inverses)
        return np.isinf(ratios) | (error * largest <= GRAM_ERROR)


def settled(
    found: Evidence,
    s: Array,
    p: Array,
    rest: Array,
    n_samples: int,
    trace: Any,
    noise: Any,
) -> Any:
    """(K,) mask of targets of which directions below `noise`, not among the s, hide no maximum.

    As t falls, the logarithms' sum gains at least `fitted` a unit of ln t and n ln q loses n at
    most, down to the t of directions that the definition counts as absent.
    """
    n = n_samples
    least = np.log(trace) - DEPTH
    place = np.log(16.0 * noise)
    fitted = (1.0 / (1.0 + 16.0 * noise / s)).sum()
    q = (p / (1.0 + s / (16.0 * noise))[:, None]).sum(axis=0) + 0.9 * rest
    best = -2.0 * n * found.evidences - n * (1.0 + LN_2_PI)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log1p(s / (16.0 * noise)).sum() + n * np.log(q / n)
        return value - (n - fitted) * (place - least) > best + 1.0


def _on_grid(grid: Array, s: Array, p: Array, rest: Array, n: int) -> Array:
    """(G, K) derivatives by ln t of -2 n times the evidence."""
    fitted = 1.0 / (1.0 + np.exp(grid)[:, None] / s)
    left = 1.0 / (1.0 + s / np.exp(grid)[:, None])
    q = left @ p + rest
    return n * ((left * fitted) @ p) / q - fitted.sum(axis=1)[:, None]


def _profile(
    x: Array, s: Array, p: Array, rest: Array, n: int
) -> tuple[Array, Array, Array, Array]:
    """Value at ln t = x (M,), less its constants, q, slope and curvature."""
    ratio = s[:, None] * np.exp(-x)
    left = 1.0 / (1.0 + ratio)
    fitted = ratio * left
    both = left * fitted
    q = (p * left).sum(axis=0) + rest
    weight = (p * both).sum(axis=0)
    value = np.log1p(ratio).sum(axis=0) + n * np.log(q / n)
    slope = n * weight / q - fitted.sum(axis=0)
    bend = (p * both * (fitted - left)).sum(axis=0)
    return value, q, slope, both.sum(axis=0) + n * (bend / q - (weight / q) ** 2)


def _refine(low: Array, high: Array, s: Array, p: Array, rest: Array, n: int) -> Array:
    """Roots of the slope between low (negative) and high, by Newton steps inside the bracket."""
    x = 0.5 * (low + high)
    for _ in range(MAX_ROUNDS):
        if len(x) == 0:
            break
        _, _, slope, curvature = _profile(x, s, p, rest, n)
        low, high = np.where(slope < 0.0, x, low), np.where(slope < 0.0, high, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = x - slope / curvature
        inside = (step >= low) & (step <= high)
        step = np.where(inside, step, 0.5 * (low + high))
        # The evidence is flat at its maximum: an error e in ln t costs the square of e.
        done = np.max(np.abs(step - x)) <= 1e-9
        x = step
        if done:
            break
    return x
