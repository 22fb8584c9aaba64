"""What is believed of a new task's column: what the past says, beside beliefs that know less of it.

They are weighed by how likely each makes the scores that were told (marginal likelihoods, levels
vague, scales at their most likely), so that a past that has nothing to do with the new task is
outvoted by the scores themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .best_probability import times_best
from .column_prior import ColumnPrior, Conditioner, Posterior
from .views import Views

Matrix = NDArray[Any]

#: ln of scales that are looked at, in standard deviations around the past's median.
_STEPS = np.linspace(-3.0, 3.0, 61)
_SWEEPS = 4


@dataclass(frozen=True)
class Belief:
    """One hypothesis of the column, its posterior and its log evidence."""

    posterior: Posterior
    log_evidence: float


class Mixture:
    """The beliefs together, each with its weight.

    Parameters
    ----------
    beliefs : sequence of Belief
        The past's first.
    prior_weights : sequence of float
    """

    def __init__(self, beliefs: list[Belief], prior_weights: list[float]) -> None:
        logs = np.array([one.log_evidence for one in beliefs]) + np.log(prior_weights)
        weights = np.exp(logs - logs.max())
        self.weights = weights / weights.sum()
        self._beliefs = beliefs
        self._variances: list[Matrix] | None = None

    @property
    def mean(self) -> Matrix:
        """Mean of every entry (M,)."""
        parts = (w * b.posterior.mean for w, b in zip(self.weights, self._beliefs, strict=True))
        return np.asarray(sum(parts))

    def variance(self) -> Matrix:
        """Variance of every entry (M,), with what the beliefs differ by."""
        mean = self.mean
        parts = zip(self.weights, self._beliefs, self._own_variances(), strict=True)
        return np.asarray(
            sum(w * (variance + (b.posterior.mean - mean) ** 2) for w, b, variance in parts)
        )

    def best_probability(self, draws: int, seed: int) -> Matrix:
        """Return the probability (M,) that each entry is the greatest."""
        generator = np.random.default_rng(seed)
        shares = np.floor(self.weights * draws + 0.5).astype(int)
        shares[0] += draws - shares.sum()
        parts = zip(shares.tolist(), self._beliefs, self._own_variances(), strict=True)
        found = sum(times_best(b.posterior, v, share, generator) for share, b, v in parts)
        return np.asarray(found) / draws

    def _own_variances(self) -> list[Matrix]:
        if self._variances is None:
            self._variances = [one.posterior.variance() for one in self._beliefs]
        return self._variances


def believe(
    prior: ColumnPrior, views: Views, rows: Matrix, values: Matrix, flat: bool = False
) -> Belief:
    """Condition a prior on raw scores of some models.

    Parameters
    ----------
    prior : ColumnPrior
    views : Views
    rows : (n,) int array
        The models that were run.
    values : (n, K) array
        Their raw scores, NaN where a view was not run; n may be 0.
    flat : bool
        Whether the models' offsets of the past count for nothing.
    """
    seen = np.isfinite(values)
    model = views.model(flat)
    conditioner = Conditioner(prior, model, rows, seen)
    counts = seen.sum(axis=0)
    raw = np.where(seen, values, 0.0)
    # Centred first: the levels are vague, and great ones would cost digits.
    raw = np.where(seen, raw - raw.sum(axis=0) / np.maximum(counts, 1), 0.0)
    offsets = np.zeros(values.shape) if flat else views.offsets[rows]
    expected = prior.mean[rows, None] * views.slope + offsets
    K = len(views.names)
    stack = np.concatenate([raw.T[:, :, None] * np.eye(K)[:, None, :], expected[None]])
    form, log_det = conditioner.evidence_form(stack)
    scales, evidence = _most_likely_scales(form, log_det, counts, views)
    return Belief(conditioner.posterior(raw / scales - offsets), evidence)


def _most_likely_scales(
    form: Matrix, log_det: float, counts: Matrix, views: Views
) -> tuple[Matrix, float]:
    """Scales (K,) of the views and the log evidence there, one scale after the other."""
    logs = views.log_scale.copy()

    def evidence(of: Matrix) -> Matrix:
        """Log evidence of each row (J, K) of ln scales, with how likely the past makes them."""
        weights = np.column_stack([np.exp(-of), np.full(len(of), -1.0)])
        fit = np.einsum("jk,kl,jl->j", weights, form, weights) + log_det
        unlike = np.sum(((of - views.log_scale) / views.log_scale_spread) ** 2, axis=1)
        return np.asarray(-0.5 * (fit + unlike) - of @ free)

    # One score of each view goes into its level.
    free = np.maximum(counts - 1, 0)
    told = np.flatnonzero(counts > 1)
    for _ in range(_SWEEPS if len(told) > 1 else 1):
        for k in told:
            trials = np.tile(logs, (len(_STEPS), 1))
            trials[:, k] = views.log_scale[k] + _STEPS * views.log_scale_spread[k]
            logs = trials[int(np.argmax(evidence(trials)))]
    return np.exp(logs), float(evidence(logs[None])[0])
