"""Metrics as noisy views of a task's column: slope, offsets of the models, noise and scale, learnt.

On a past task t the raw scores of metric k are taken as

    score_ikt = s_kt (a_k x_it + b_ik + noise_ikt) + level_kt,

x the column of normal scores. Slope a, the models' offsets b (what a metric always gives a model
too much or too little) and the noise's covariance over metrics come from the past tasks; so does
how far scales s differ between tasks, which a new task's few scores cannot tell alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .column_prior import ViewModel

Matrix = NDArray[Any]

#: Of a view's variance; no view is exact, since normal scores forget the distances.
LEAST_NOISE = 1e-2
#: Standard deviation of log scale where one past task tells nothing of it.
UNKNOWN_SPREAD = 1.0
LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class Views:
    """K metrics as `learn_views` has found them.

    Attributes
    ----------
    names : tuple of str
    slope : (K,) array
    offsets : (M, K) array
    noise : (K, K) array
        Covariance beside the offsets.
    flat_noise : (K, K) array
        Covariance where the offsets count as noise.
    log_scale, log_scale_spread : (K,) arrays
        Median and standard deviation of ln s over the past tasks.
    """

    names: tuple[str, ...]
    slope: Matrix
    offsets: Matrix
    noise: Matrix
    flat_noise: Matrix
    log_scale: Matrix
    log_scale_spread: Matrix

    def model(self, flat: bool = False) -> ViewModel:
        """Return what conditioning needs to know."""
        return ViewModel(self.slope, self.flat_noise if flat else self.noise)


def learn_views(
    names: Sequence[str], scores: Matrix, columns: Matrix, *, truth: bool = False
) -> Views:
    """Learn how metrics see the columns of past tasks.

    Parameters
    ----------
    names : sequence of str
        Of the K metrics.
    scores : (K, M, T) array
        NaN where a metric was not run or its score is not known.
    columns : (M, T) array
        Normal scores, NaN where they are not known.
    truth : bool
        Whether the scores are the performances that the columns come from: these have no offsets,
        and two models are enough.
    """
    K, M, _ = scores.shape
    slope, offsets = np.zeros(K), np.zeros((M, K))
    log_scale, spread = np.zeros(K), np.zeros(K)
    residuals = np.full(scores.shape, np.nan)
    for k, name in enumerate(names):
        seen, x, log_scales = _standardised(scores[k], columns, 2 if truth else 3)
        if not log_scales:
            raise ValueError(
                f"scores: {name!r} has no past task with three scored models of known performance "
                "and different scores, so that nothing can be learnt of it; leave it out"
            )
        told = np.isfinite(seen)
        slope[k] = float(x[told] @ seen[told]) / float(x[told] @ x[told])
        np.subtract(seen, slope[k] * x, out=residuals[k])
        if not truth:
            offsets[:, k] = _offsets(residuals[k])
        log_scale[k], spread[k] = np.median(log_scales), _spread(log_scales)
    flat_noise = _noise(residuals)
    for k in range(K):
        residuals[k] -= offsets[:, k, None]
    return Views(tuple(names), slope, offsets, _noise(residuals), flat_noise, log_scale, spread)


def _standardised(
    scores: Matrix, columns: Matrix, least: int
) -> tuple[Matrix, Matrix, list[float]]:
    """Scores and columns (M, T) of what both know, centred by task, scores scaled; ln scales."""
    seen, x = np.full(scores.shape, np.nan), np.full(scores.shape, np.nan)
    log_scales = []
    for t in range(scores.shape[1]):
        both = np.isfinite(scores[:, t]) & np.isfinite(columns[:, t])
        if both.sum() < least:
            continue
        raw, truth = scores[both, t], columns[both, t]
        scale = float(raw.std())
        if scale <= 1e-12 * float(np.abs(raw).max()) or truth.min() == truth.max():
            continue
        seen[both, t] = (raw - raw.mean()) / scale
        x[both, t] = truth - truth.mean()
        log_scales.append(float(np.log(scale)))
    return seen, x, log_scales


def joined(first: Views, second: Views) -> Views:
    """Return the views of both, whose noises have nothing to do with one another."""

    def blocks(a: Matrix, b: Matrix) -> Matrix:
        found = np.zeros((len(a) + len(b),) * 2)
        found[: len(a), : len(a)], found[len(a) :, len(a) :] = a, b
        return found

    return Views(
        first.names + second.names,
        np.concatenate([first.slope, second.slope]),
        np.hstack([first.offsets, second.offsets]),
        blocks(first.noise, second.noise),
        blocks(first.flat_noise, second.flat_noise),
        np.concatenate([first.log_scale, second.log_scale]),
        np.concatenate([first.log_scale_spread, second.log_scale_spread]),
    )


def _offsets(residuals: Matrix) -> Matrix:
    """Mean residual of every model over the tasks (M,), drawn to 0 as far as it may be noise."""
    told = np.isfinite(residuals)
    counts = told.sum(axis=1)
    means = np.where(told, residuals, 0.0).sum(axis=1) / np.maximum(counts, 1)
    often = counts > 1
    if not often.any():
        return np.zeros(len(means))
    apart = np.where(told, residuals - means[:, None], 0.0)[often]
    within = float(np.sum(apart**2)) / float(np.sum(counts[often] - 1))
    between = float(np.mean(means[often] ** 2)) - within * float(np.mean(1.0 / counts[often]))
    if between <= 0.0:
        return np.zeros(len(means))
    return np.asarray(means * counts / (counts + within / between))


def _noise(residuals: Matrix) -> Matrix:
    """Covariance (K, K) of the residuals (K, M, T), each pair by what both have."""
    K = len(residuals)
    told = np.isfinite(residuals)
    plain = np.where(told, residuals, 0.0)
    found = np.zeros((K, K))
    for j in range(K):
        for k in range(K):
            common = int((told[j] & told[k]).sum())
            if common:
                found[j, k] = float(np.sum(plain[j] * plain[k])) / common
    # Pairs that differ in what they have may give no covariance; the nearest one is.
    values, vectors = np.linalg.eigh((found + found.T) / 2.0)
    nearest = (vectors * np.maximum(values, LEAST_NOISE)) @ vectors.T
    return np.asarray((nearest + nearest.T) / 2.0)


def _spread(log_scales: Sequence[float]) -> float:
    """Standard deviation of log scales, one unknown task's counted among them."""
    n = len(log_scales)
    deviation = float(np.std(log_scales)) if n > 1 else 0.0
    return max(LEAST_SPREAD, float(np.sqrt((n * deviation**2 + UNKNOWN_SPREAD**2) / (n + 1))))


def stacked_scores(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    models: Sequence[str],
    tasks: Sequence[str],
) -> Matrix:
    """Return scores (K, M, T) of metric, task and model, NaN where there is none."""
    at_model = {model: m for m, model in enumerate(models)}
    found = np.full((len(scores), len(models), len(tasks)), np.nan)
    for k, by_task in enumerate(scores.values()):
        for t, task in enumerate(tasks):
            for model, value in by_task.get(task, {}).items():
                if model in at_model:
                    found[k, at_model[model], t] = value
    found[~np.isfinite(found)] = np.nan
    return found
