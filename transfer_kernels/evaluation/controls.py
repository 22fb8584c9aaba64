"""Recommenders that look at no image: what any other must beat to have learnt something.

Each is called as `transfer_kernels.evaluation.yardstick.leave_one_task_out` calls recommenders:
with the past transfers and the new task, giving scores by model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from ..recommend.history import Task, TransferHistory
from ..text.quoting import shown
from .measures import mean_ranks


def mean_rank(past: TransferHistory, task: Task) -> dict[str, float]:
    """Score every model by its mean rank on the past tasks, whatever the new task is.

    On each past task the models whose performance is known are ranked and their ranks spread
    evenly over (0, 1), so that tasks with gaps count alike; a model's score is the mean over the
    tasks where it is known, 0.5 where there is none.
    """
    total, count = np.zeros(len(past.models)), np.zeros(len(past.models))
    for values, known in zip(past.performance.T, past.known.T, strict=True):
        if known.any():
            total[known] += (mean_ranks(values[known]) - 0.5) / known.sum()
            count += known
    scores = np.divide(total, count, out=np.full(len(total), 0.5), where=count > 0)
    return dict(zip(past.models, scores.tolist(), strict=True))


def mean_performance(past: TransferHistory, task: Task) -> dict[str, float]:
    """Score every model by its mean performance on the past tasks, each centred on its own mean."""
    total, count = np.zeros(len(past.models)), np.zeros(len(past.models))
    for values, known in zip(past.performance.T, past.known.T, strict=True):
        if known.any():
            total[known] += values[known] - values[known].mean()
            count += known
    scores = np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
    return dict(zip(past.models, scores.tolist(), strict=True))


def parameter_count(past: TransferHistory, task: Task) -> dict[str, float]:
    """Score every model by its number of parameters.

    Raises
    ------
    ValueError
        If that is not known of every model.
    """
    counts = past.fact("parameters")
    if missing := [model for model in past.models if model not in counts]:
        raise ValueError(f"the number of parameters of {shown(missing[0])} is not known")
    return counts


def standardised_sum(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Return the sum of two scores of the same models, each of mean 0 and variance 1 before.

    Nothing is fitted. NaN counts as the lowest of its score, as in the yardstick; a constant score
    adds nothing.
    """
    total = np.zeros(len(first))
    for scores in (first, second):
        values = np.array([scores[model] for model in first], dtype=np.float64)
        known = values[np.isfinite(values)]
        if known.size:
            values = np.where(np.isnan(values), known.min(), values)
            spread = values.std()
            total += (values - values.mean()) / spread if spread > 0 else 0.0
    return dict(zip(first, total.tolist(), strict=True))


def random_order(draws: int = 50, seed: int = 0) -> Callable[..., list[dict[str, float]]]:
    """Return a recommender that scores at random, several times."""
    return partial(_random_order, draws, seed)


def _random_order(
    draws: int, seed: int, past: TransferHistory, task: Task
) -> list[dict[str, float]]:
    generator = np.random.default_rng([seed, *task.name.encode("utf-8", "surrogatepass")])
    return [
        dict(zip(past.models, generator.random(len(past.models)).tolist(), strict=True))
        for _ in range(draws)
    ]
