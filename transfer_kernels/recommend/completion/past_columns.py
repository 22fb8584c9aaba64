"""What past columns say of a new one: their mean and shrunk covariance, gaps filled by EM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .column_prior import ColumnPrior, Conditioner, Posterior, ViewModel
from .shrinkage import compressed, leading_factors, ledoit_wolf_weight

Matrix = NDArray[Any]

MAX_SWEEPS = 30
#: Of the change of the gaps' expectations in a sweep, root mean square; the columns' is 1.
TOLERANCE = 5e-3
#: Of an entry's own variance, so that no entry is ever taken for certain.
LEAST_NOISE = 1e-3
#: Up to so many models the M-step sums (M, M) matrices; beyond, it takes of what each column leaves
#: open only so many factors, and their diagonal whole.
DENSE = 500
KEPT_OPEN = 4
#: Variance between the models' means that is always thought possible.
LEAST_BETWEEN = 0.05


@dataclass(frozen=True)
class PastColumns:
    """Past columns without gaps, and the prior of a new column but for its mean.

    Attributes
    ----------
    columns : (M, T) array
        Normal scores; gaps hold their expectations.
    counts : (M,) array
        In how many columns each model is known.
    factors, noise : (M, r) and (M,) arrays
        Of the covariance, as in `ColumnPrior`.
    n_sweeps : int
        Of the EM; 0 where there were no gaps.
    """

    columns: Matrix
    counts: Matrix
    factors: Matrix
    noise: Matrix
    n_sweeps: int

    def prior(self, weights: Matrix) -> ColumnPrior:
        """Return the prior whose mean weighs the past columns (T,)."""
        within = mean_variance(self.factors, self.noise)
        mean, unsure = shrunk_mean(self.columns, self.counts, within, weights)
        return ColumnPrior(mean, self.factors, self.noise + unsure)


def mean_variance(factors: Matrix, noise: Matrix) -> float:
    """Return the mean variance of an entry around its mean."""
    return float(np.mean(np.einsum("mr,mr->m", factors, factors) + noise))


def even_weights(n_tasks: int) -> Matrix:
    """Return the weights (T, T) of the other columns in each column's mean, all alike."""
    if n_tasks < 2:
        return np.zeros((n_tasks, n_tasks))
    return (1.0 - np.eye(n_tasks)) / (n_tasks - 1)


def learn_columns(
    columns: Matrix,
    rank: int,
    left_out_weights: Callable[[Matrix], Matrix],
    max_sweeps: int = MAX_SWEEPS,
) -> PastColumns:
    """Fill the gaps of past columns and learn the covariance of a column around its mean.

    Every sweep fills the gaps with their expectations given what is known of the same column (the
    E-step) and learns the covariance anew from the columns, their distances to the mean of the
    *other* columns, and what the expectations leave open (the M-step, shrunk).

    Parameters
    ----------
    columns : (M, T) array
        Normal scores of what is known, NaN elsewhere; each column with at least two known.
    rank : int
        Factors kept, at most.
    left_out_weights : callable
        From columns without gaps to weights (T, T) whose column t makes the mean of column t from
        the others.
    max_sweeps : int
    """
    M, T = columns.shape
    known = np.isfinite(columns)
    counts = known.sum(axis=1)
    filled = np.where(known, columns, 0.0)
    gapped = [t for t in range(T) if not known[:, t].all()]
    if gapped:
        filled = np.where(known, columns, _mean_of_known(filled, counts)[:, None])
    factors, noise = _covariance(filled, counts, rank, left_out_weights(filled), [])
    sweeps = 0
    while gapped and sweeps < max_sweeps:
        sweeps += 1
        before = filled[:, gapped]
        weights = left_out_weights(filled)
        open_parts: list[Posterior] = []
        within = mean_variance(factors, noise)
        means = [shrunk_mean(filled, counts, within, weights[:, t])[0] for t in gapped]
        for t, mean in zip(gapped, means, strict=True):
            found = _expectation(ColumnPrior(mean, factors, noise), columns[:, t], known[:, t])
            filled[:, t] = found.mean
            open_parts.append(found)
        factors, noise = _covariance(filled, counts, rank, left_out_weights(filled), open_parts)
        if np.sqrt(np.mean((filled[:, gapped] - before) ** 2)) < TOLERANCE:
            break
    return PastColumns(filled, counts, factors, noise, sweeps)


def shrunk_mean(
    columns: Matrix, counts: Matrix, within: float, weights: Matrix
) -> tuple[Matrix, Matrix]:
    """Return the weighted mean (M,) of columns, drawn to 0 where a model is known from few.

    By how much is told by the spread of the means over the models beside ``within``, the variance
    of an entry around its mean (empirical Bayes). Also the variance that each mean has beyond that
    of a model known from all columns, which the covariance of the columns holds already.
    """
    mean = columns @ weights
    # A mean weighed unevenly comes from fewer columns than there are.
    share = 1.0 / max(1.0, float(np.sum(weights**2)) * columns.shape[1])
    effective = counts * share
    told = effective > 0
    if not told.any():
        return np.zeros(len(mean)), np.zeros(len(mean))
    over_models = float(np.mean(mean[told] ** 2)) - within * float(np.mean(1.0 / effective[told]))
    ratio = within / max(over_models, LEAST_BETWEEN)
    unsure = within / (effective + ratio) - within / (share * columns.shape[1] + ratio)
    return np.where(told, mean * effective / (effective + ratio), 0.0), np.maximum(unsure, 0.0)


def _mean_of_known(filled: Matrix, counts: Matrix) -> Matrix:
    return np.asarray(filled.sum(axis=1) / (counts + 1.0))


def _expectation(prior: ColumnPrior, column: Matrix, known: Matrix) -> Posterior:
    """The whole column given what is known of it, whose level among all models is not known."""
    rows = np.flatnonzero(known)
    # The fewer are known, and so were chosen, the further their mean may lie from that of all.
    level = max(1.0 - len(rows) / len(column), 1e-9)
    view = ViewModel(np.ones(1), np.zeros((1, 1)), 1.0 / level)
    seen = np.ones((len(rows), 1), dtype=bool)
    return Conditioner(prior, view, rows, seen).posterior(column[rows, None])


def _covariance(
    filled: Matrix, counts: Matrix, rank: int, weights: Matrix, open_parts: list[Posterior]
) -> tuple[Matrix, Matrix]:
    M, T = filled.shape
    if T < 2:
        return np.zeros((M, 0)), np.ones(M)
    residuals = filled - filled @ weights
    weight = ledoit_wolf_weight(residuals)
    if open_parts and M <= DENSE:
        products = residuals @ residuals.T
        for part in open_parts:
            moved = np.concatenate([block for _, block in part.chunks()])
            products += moved @ moved.T
            products[np.diag_indices(M)] += part.own
        factors, diagonal = leading_factors(products / T, rank)
    else:
        stack, diagonal = [residuals], np.zeros(M)
        for part in open_parts:
            moved = np.concatenate([block for _, block in part.chunks()])
            leading, lacking = compressed(moved, KEPT_OPEN)
            stack.append(leading)
            diagonal += (part.own + lacking) / T
        factors, lacking = compressed(np.hstack(stack) / np.sqrt(T), rank)
        diagonal += lacking
    variance = np.einsum("mr,mr->m", factors, factors) + diagonal
    level = float(np.mean(variance[counts > 0])) if (counts > 0).any() else 1.0
    noise = (1.0 - weight) * diagonal + weight * level
    return np.sqrt(1.0 - weight) * factors, np.maximum(noise, LEAST_NOISE * max(level, 1e-6))
