"""The yardstick of recommenders: every task in turn is new, the others are the past.

A recommender is any callable that takes the past transfers (a
`transfer_kernels.recommend.TransferHistory` without the new task) and the new task (a
`transfer_kernels.recommend.Task`: its name, facts, features and proxy features, but no performance)
and returns a score for every model, higher is better.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..recommend.history import Task, TransferHistory
from ..text.quoting import shown
from ..text.terminal import progress_bar
from . import controls as _controls
from .comparison import LEVEL, MEAN_RANK, Comparison, _mean
from .measures import Evaluation, evaluate
from .ranked import Ranked

if TYPE_CHECKING:
    from ..metrics import MetricCall, Spec

Scores = Mapping[str, float]
Recommender = Callable[[TransferHistory, Task], Scores | Sequence[Scores]]

PARAMETERS = "parameter count (control)"
RANDOM = "random (control)"

__all__ = [
    "LEVEL",
    "MEAN_RANK",
    "PARAMETERS",
    "RANDOM",
    "Comparison",
    "by_metric",
    "by_table",
    "leave_one_task_out",
    "with_mean_rank",
]


def leave_one_task_out(
    history: TransferHistory,
    recommenders: Mapping[str, Recommender] | None = None,
    *,
    tasks: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    clusters: Mapping[str, str] | None = None,
    ks: Sequence[int] = (1, 3),
    resamples: int = 2000,
    seed: int = 0,
    progress: bool | None = None,
) -> Comparison:
    """Let recommenders rank the models for each task as if it were new, and compare with the truth.

    The controls are always beside them: the mean rank on the other tasks, the number of parameters
    where the history tells it of every model, and the mean of 50 random orders. Beside every metric
    (`by_metric`, or `by_table` of one) stands its sum with the mean rank, both standardised: a
    recommender that sees a metric and does not beat this has learnt nothing useful.

    Parameters
    ----------
    history : TransferHistory
        Its performance is the truth. Models whose performance on a task is a gap are left out
        there.
    recommenders : mapping of str to callable, optional
        Name to ``recommender(past, task)``, which returns a mapping from every model of
        ``past.models`` to its score; NaN, for a model that it cannot score, counts as the lowest
        score. A sequence of such mappings is taken as several draws, over which the figures are
        averaged.
    tasks : sequence of str, optional
        Tasks to hold out, by default all; the others are only ever past.
    groups : mapping of str to str, optional
        Task to its kind, domain or source of data: with a task all tasks of its group are held out,
        so that nothing of the kind is past.
    clusters : mapping of str to str, optional
        Task to the cluster that the bootstrap draws whole, see `Comparison`; by default the groups,
        else each task on its own. Tasks made from one source are no independent evidence: without
        clusters their interval is too narrow.
    ks : sequence of int, default (1, 3)
        The ``k`` of recall@k, rel@k and regret@k.
    resamples : int, default 2000
        Bootstrap resamples of the tasks.
    seed : int, default 0
        Of the random control and the bootstrap.
    progress : bool, optional
        Show a progress bar on stderr; the default is to show it on a terminal only.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there are fewer than two tasks, no task has two models of different known performance, a
        task is unknown or without group or cluster, a group holds all tasks, or a recommender
        leaves a model without a score.
    """
    held_out = list(history.tasks if tasks is None else tasks)
    if len(history.tasks) < 2:
        raise ValueError(
            f"history: {len(history.tasks)} task given; at least two are needed, one to hold out "
            "and one past"
        )
    candidates: dict[str, Recommender] = {**(recommenders or {}), **_control_set(history, seed)}
    figures: dict[str, dict[str, dict[str, float]]] = {name: {} for name in candidates}
    skipped = [task for task in held_out if len(set(history.column(task).values())) < 2]
    measured = [task for task in held_out if task not in skipped]
    if not measured:
        raise ValueError("history: no task has two models of different known performance")
    pasts = _pasts(history, measured, groups)
    costs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in candidates}
    sums = {with_mean_rank(name): name for name, one in candidates.items() if _is_metric(one)}
    for name in sums:
        figures[name], costs[name] = {}, {}
    n_rankings = len(measured) * len(candidates)
    with progress_bar(n_rankings, progress, unit="ranking") as bar:
        for task in measured:
            past, truth = history.subset(tasks=pasts[task]), history.column(task)
            given: dict[str, Any] = {}
            for name, recommender in candidates.items():
                given[name], costs[name][task] = _timed(recommender, past, history.task(task))
                figures[name][task] = _figures(name, given[name], truth, task, ks)
                bar.update()
            for name, metric in sums.items():
                summed = _controls.standardised_sum(given[MEAN_RANK], given[metric])
                figures[name][task] = _figures(name, summed, truth, task, ks)
                parts = (costs[MEAN_RANK][task], costs[metric][task])
                costs[name][task] = {what: sum(part[what] for part in parts) for what in parts[0]}
    return Comparison(
        figures,
        skipped,
        resamples=resamples,
        seed=seed,
        clusters=groups if clusters is None else clusters,
        costs=costs,
    )


def with_mean_rank(metric: str) -> str:
    """Return the name of the control that adds the mean rank to a metric."""
    return f"mean rank + {metric} (control)"


def by_metric(spec: Spec, *, backend: str | None = None) -> Recommender:
    """Return a recommender that scores every model's features of the new task by a metric.

    It learns nothing from the past, and needs every model run on the new task.

    Parameters
    ----------
    spec : str, Metric or callable
        Of the metric, such as ``"parc(n_components=32)"``.
    backend : str, optional
        Force a backend.

    Raises
    ------
    TypeError, ValueError
        If the metric or one of its options is unknown, or an option of the wrong type.
    """
    from ..metrics import metric_call

    return _Metric(partial(_by_metric, metric_call(spec), backend))


def _by_metric(
    call: MetricCall, backend: str | None, past: TransferHistory, task: Task
) -> dict[str, float]:
    from ..metrics import score_models

    models = ((model, *task.labelled_features(model)) for model in past.models)
    return score_models(models, call, backend=backend)


def by_table(scores: Mapping[str, Mapping[str, float]], *, metric: bool = False) -> Recommender:
    """Return a recommender of scores that are at hand.

    Parameters
    ----------
    scores : mapping of str to mapping of str to float
        Task to model to score; a model without one has none (NaN), a task without scores is a
        ValueError when it is held out.
    metric : bool, default False
        Whether they are a metric's, for which every scored model was run.
    """
    found = partial(_by_table, scores, metric)
    return _Metric(found) if metric else found


def _by_table(
    scores: Mapping[str, Mapping[str, float]], metric: bool, past: TransferHistory, task: Task
) -> Ranked:
    if task.name not in scores:
        raise ValueError(f"scores: hold none of task {shown(task.name)}")
    found = {model: scores[task.name].get(model, math.nan) for model in past.models}
    run = sum(math.isfinite(score) for score in found.values())
    return Ranked(found, models_run=run if metric else None, seconds=math.nan)


class _Metric:
    """A recommender that is a metric, so that the mean rank is added to it beside."""

    def __init__(self, score: Recommender) -> None:
        self._score = score

    def __call__(self, past: TransferHistory, task: Task) -> Scores | Sequence[Scores]:
        return self._score(past, task)


def _is_metric(recommender: Recommender) -> bool:
    return isinstance(recommender, _Metric)


def _pasts(
    history: TransferHistory, held_out: Sequence[str], groups: Mapping[str, str] | None
) -> dict[str, list[str]]:
    """The tasks that are past while each is held out."""
    if groups is None:
        return {task: [name for name in history.tasks if name != task] for task in held_out}
    if missing := [task for task in history.tasks if task not in groups]:
        raise ValueError(f"groups: have none of task {shown(missing[0])}; give those of all tasks")
    pasts = {
        task: [name for name in history.tasks if groups[name] != groups[task]] for task in held_out
    }
    if alone := [task for task, past in pasts.items() if not past]:
        raise ValueError(
            f"groups: {shown(groups[alone[0]])} holds all tasks, so that nothing is past; give at "
            "least two groups"
        )
    return pasts


def _timed(
    recommender: Recommender, past: TransferHistory, task: Task
) -> tuple[Any, dict[str, float]]:
    """What a recommender gives, and what that cost: models whose features it asked for, seconds."""
    run: set[str] = set()

    if (source := task.feature_source) is not None:

        def counted(model: str) -> Any:
            run.add(model)
            return source(model)

        task = replace(task, feature_source=counted)
    start = time.perf_counter()
    given = recommender(past, task)
    seconds = time.perf_counter() - start
    models_run: float = len(run)
    if isinstance(given, Ranked):
        models_run = models_run if given.models_run is None else given.models_run
        seconds = seconds if given.seconds is None else given.seconds
    return given, {"models_run": float(models_run), "seconds": seconds}


def _control_set(history: TransferHistory, seed: int) -> dict[str, Recommender]:
    chosen: dict[str, Recommender] = {MEAN_RANK: _controls.mean_rank}
    if len(history.fact("parameters")) == len(history.models):
        chosen[PARAMETERS] = _controls.parameter_count
    return {**chosen, RANDOM: _controls.random_order(seed=seed)}


def _figures(
    name: str, given: Any, truth: Mapping[str, float], task: str, ks: Sequence[int]
) -> dict[str, float]:
    """Figures of one recommender on one task, averaged over its draws."""
    draws = [given] if isinstance(given, Mapping) else list(given)
    evaluations: list[Evaluation] = []
    for scores in draws:
        if missing := [model for model in truth if model not in scores]:
            raise ValueError(
                f"recommender {shown(name)} gives no score of model {shown(missing[0])} on task "
                f"{shown(task)}; it must give one of every model, NaN where it has none"
            )
        evaluations.append(evaluate(_nan_lowest([scores[m] for m in truth]), [*truth.values()], ks))
    return {
        figure: _mean(np.array([one[figure] for one in evaluations])) for figure in evaluations[0]
    }


def _nan_lowest(scores: Sequence[float]) -> NDArray[np.float64]:
    vector = np.array(scores, dtype=np.float64)
    if np.isinf(vector).any():
        raise ValueError("scores: contain infinite values; give NaN where there is no score")
    known = vector[~np.isnan(vector)]
    return np.where(np.isnan(vector), known.min() if known.size else 0.0, vector)
