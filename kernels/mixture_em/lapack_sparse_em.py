"""For the CPU versions: EM over the responsibilities that are not negligible, by BLAS and LAPACK.

With fewer samples a component than axes, the usual case, nearly all responsibilities vanish. Which
do is found by lower bounds: the Mahalanobis distance in the leading axes, whose Cholesky factor is
the corner of the whole one, is at most that in all axes. `survivors`, of each machine, applies it.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from ..blas_blocks import cholesky
from . import NEGLIGIBLE, Responsibilities, singular_component

#: Axes of the bound: its factors stay in the innermost cache.
LEADING = 32
#: Share of a bound that is trusted: its rounding must not drop what counts.
TRUSTED = 1.0 - 1e-6
#: Entries of the table of surviving pairs that is made at once.
TABLE_ENTRIES = 1 << 24


@dataclass
class _Component:
    """One normal distribution, in the smaller of the two forms of its covariance D^T D + reg I.

    ``constant`` is the logarithm of its density, times its share, at its mean. Where the m rows of
    D are fewer than the p axes, ``whitening`` is the inverse Cholesky factor of D D^T + reg I, else
    of the covariance: products with it, unlike solutions with the factor, are of one thread where
    they are small.
    """

    mean: np.ndarray
    constant: float
    whitening: np.ndarray
    rows: np.ndarray | None
    corner: np.ndarray
    reg: float

    def logs(self, samples):
        """Logarithm of share times density of each sample."""
        residuals = samples - self.mean
        if self.rows is None:
            white = residuals @ self.whitening.T
            squares = np.einsum("ij,ij->i", white, white)
        elif not len(self.rows):
            squares = np.einsum("ij,ij->i", residuals, residuals) / self.reg
        else:
            # The minimum over a of |v - D^T a|^2 / reg + |a|^2: a sum of squares, without the
            # cancellation of |v|^2 - |L^-1 D v|^2, and flat around the a that rounding moves.
            coordinates = (residuals @ self.rows.T) @ self.whitening.T @ self.whitening
            residuals -= coordinates @ self.rows
            squares = np.einsum("ij,ij->i", residuals, residuals) / self.reg
            squares += np.einsum("ij,ij->i", coordinates, coordinates)
        return self.constant - 0.5 * squares


def _component(k, samples, weights, total, reg):
    """The k-th distribution: its M-step over the samples that it keeps."""
    m, p = samples.shape
    size = weights.sum() + 10.0 * np.finfo(np.float64).eps
    mean = weights @ samples / size
    rows = np.sqrt(weights / size)[:, None] * (samples - mean)
    leading = rows[:, :LEADING]
    corner = _factor(leading.T @ leading, reg, k)
    in_dual = m < p and reg > 0.0
    if in_dual:
        factor = _factor(rows @ rows.T, reg, k) if m else np.zeros((0, 0))
        log_determinant = (p - m) * math.log(reg)
    else:
        factor = corner if p <= LEADING else _factor(rows.T @ rows, reg, k)
        log_determinant = 0.0
    log_determinant += 2.0 * float(np.log(factor.diagonal()).sum())
    constant = math.log(size / total) - 0.5 * (log_determinant + p * math.log(2.0 * math.pi))
    whitening = np.tril(lapack.dtrtri(factor, lower=1)[0]) if len(factor) else factor
    return _Component(mean, constant, whitening, rows if in_dual else None, corner, reg)


def _factor(gram, reg, k):
    gram = np.ascontiguousarray(gram)
    gram.reshape(-1)[:: len(gram) + 1] += reg
    factor = cholesky(gram)
    if factor is None or not np.isfinite(factor.diagonal()).all():
        raise singular_component(k, reg)
    return factor


class _Pairs:
    """Responsibilities by component: sample and weight of each, runs of components in a row."""

    def __init__(self, samples, starts, weights):
        self.samples, self.starts, self.weights = samples, starts, weights

    def of(self, k):
        run = slice(self.starts[k], self.starts[k + 1])
        return self.samples[run], self.weights[run]


def _runs(components, n_components):
    return np.concatenate([[0], np.cumsum(np.bincount(components, minlength=n_components))])


def _initial(labels, n_components):
    order = np.argsort(labels, kind="stable")
    return _Pairs(order, _runs(labels, n_components), np.ones(len(labels)))


def _maximization(Z, pairs, n_components, reg):
    total = len(Z) + 10.0 * np.finfo(np.float64).eps * n_components
    model = []
    for k in range(n_components):
        samples, weights = pairs.of(k)
        model.append(_component(k, Z[samples], weights, total, reg))
    return model


def _logs_of(Z, model, samples, starts):
    """Logarithms of pairs that stand component by component."""
    logs = np.empty(len(samples))
    for k, component in enumerate(model):
        run = slice(starts[k], starts[k + 1])
        if run.start < run.stop:
            logs[run] = component.logs(Z[samples[run]])
    return logs


def _expectation(Z, leading, model, own, survivors):
    """The pairs that count, each sample's largest logarithm, and the mean log-likelihood."""
    n, n_components = len(Z), len(model)
    order = np.argsort(own, kind="stable")
    own_logs = np.empty(n)
    own_logs[order] = _logs_of(Z, model, order, _runs(own, n_components))
    corners = np.array([component.corner for component in model])
    means = np.array([component.mean[: len(leading)] for component in model])
    constants = np.array([component.constant for component in model])
    found_samples, counts = [], []
    step = max(1, TABLE_ENTRIES // n)
    for start in range(0, n_components, step):
        block = slice(start, min(start + step, n_components))
        table = survivors(
            leading, means[block], corners[block], constants[block], own_logs - NEGLIGIBLE
        )
        here = np.flatnonzero((own >= block.start) & (own < block.stop))
        table[own[here] - start, here] = True  # a bound of rounding must not lose it
        rows, samples = np.nonzero(table)
        counts.append(np.bincount(rows, minlength=block.stop - start))
        found_samples.append(samples)
    samples, sizes = np.concatenate(found_samples), np.concatenate(counts)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    logs = _logs_of(Z, model, samples, starts)
    highest = np.full(n, -math.inf)
    np.maximum.at(highest, samples, logs)
    weights = np.exp(logs - highest[samples])
    kept = weights > math.exp(-NEGLIGIBLE)
    components = np.repeat(np.arange(n_components), sizes)[kept]
    samples, weights = samples[kept], weights[kept]
    best = np.empty(n, dtype=np.int64)
    largest = weights == 1.0  # exp(0), of one at least of each sample
    best[samples[largest]] = components[largest]
    sums = np.bincount(samples, weights, minlength=n)
    weights /= sums[samples]
    level = float((highest + np.log(sums)).mean())
    return _Pairs(samples, _runs(components, n_components), weights), components, best, level


def gaussian_mixture(survivors, Z, labels, n_components, reg, tol, max_iter):
    """See the contract in the package's docstring.

    ``survivors(leading, means, corners, constants, floors)`` gives the table (K, n), bool, of pairs
    whose logarithm may be above the sample's floor: constants[k] - |y|^2 / 2 with corners[k] y =
    leading[:, i] - means[k]; ``leading`` (q, n), the lower triangles of ``corners`` (K, q, q).
    """
    leading = np.ascontiguousarray(Z[:, :LEADING].T)
    pairs, own, level = (
        _initial(labels, n_components),
        np.asarray(labels, dtype=np.int64),
        -math.inf,
    )
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        before = level
        model = _maximization(Z, pairs, n_components, reg)
        pairs, _, own, level = _expectation(Z, leading, model, own, survivors)
        if abs(level - before) < tol:
            break
    model = _maximization(Z, pairs, n_components, reg)
    pairs, components, _, level = _expectation(Z, leading, model, own, survivors)
    order = np.argsort(pairs.samples, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pairs.samples, minlength=len(Z)))])
    return Responsibilities(indptr, components[order], pairs.weights[order], level, n_iter)
