"""The yardstick of recommenders: every task in turn is new, the others are the past.

A recommender is any callable that takes the past transfers (a
`transfer_kernels.recommend.TransferHistory` without the new task) and the new task (a
`transfer_kernels.recommend.Task`: its name, facts, features and proxy features, but no performance)
and returns a score for every model, higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files.csv_cells import csv_text
from ..files.score_files import json_text, write_atomically
from ..recommend.history import Task, TransferHistory
from ..text.quoting import several, shown
from ..text.tables import MISSING, html_table, text_table
from ..text.terminal import progress_bar
from . import controls as _controls
from .measures import Evaluation, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..metrics import MetricCall, Spec

Scores = Mapping[str, float]
Recommender = Callable[[TransferHistory, Task], Scores | Sequence[Scores]]

MEAN_RANK = "mean rank (control)"
PARAMETERS = "parameter count (control)"
RANDOM = "random (control)"
LEVEL = 0.95


def leave_one_task_out(
    history: TransferHistory,
    recommenders: Mapping[str, Recommender] | None = None,
    *,
    tasks: Sequence[str] | None = None,
    ks: Sequence[int] = (1, 3),
    resamples: int = 2000,
    seed: int = 0,
    progress: bool | None = None,
) -> Comparison:
    """Let recommenders rank the models for each task as if it were new, and compare with the truth.

    The controls are always beside them: the mean rank on the other tasks, the number of parameters
    where the history tells it of every model, and the mean of 50 random orders.

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
        task is unknown, or a recommender leaves a model without a score.
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
    n_rankings = len(measured) * len(candidates)
    with progress_bar(n_rankings, progress, unit="ranking") as bar:
        for task in measured:
            past, new, truth = history.without_task(task), history.task(task), history.column(task)
            for name, recommender in candidates.items():
                figures[name][task] = _figures(name, recommender(past, new), truth, task, ks)
                bar.update()
    return Comparison(figures, skipped, resamples=resamples, seed=seed)


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

    return partial(_by_metric, metric_call(spec), backend)


def _by_metric(
    call: MetricCall, backend: str | None, past: TransferHistory, task: Task
) -> dict[str, float]:
    from ..metrics import score_models

    models = ((model, *task.labelled_features(model)) for model in past.models)
    return score_models(models, call, backend=backend)


def by_table(scores: Mapping[str, Mapping[str, float]]) -> Recommender:
    """Return a recommender of scores that are at hand.

    Parameters
    ----------
    scores : mapping of str to mapping of str to float
        Task to model to score; a model without one has none (NaN), a task without scores is a
        ValueError when it is held out.
    """
    return partial(_by_table, scores)


def _by_table(
    scores: Mapping[str, Mapping[str, float]], past: TransferHistory, task: Task
) -> dict[str, float]:
    if task.name not in scores:
        raise ValueError(f"scores: hold none of task {shown(task.name)}")
    return {model: scores[task.name].get(model, math.nan) for model in past.models}


class Comparison:
    """Figures of every recommender on every task that was held out.

    Printing it gives a table of means over the tasks, with the 95 % interval of the weighted
    Kendall tau and of how much it is above that of the mean-rank control.

    Parameters
    ----------
    figures : mapping
        Recommender to task to figure to value.
    skipped : sequence of str
        Tasks that say nothing: fewer than two different known performances.
    resamples, seed : int
        Of the bootstrap.
    """

    def __init__(
        self,
        figures: Mapping[str, Mapping[str, Mapping[str, float]]],
        skipped: Sequence[str] = (),
        *,
        resamples: int = 2000,
        seed: int = 0,
    ) -> None:
        self._figures = figures
        self.skipped = tuple(skipped)
        self.recommenders = tuple(figures)
        self.tasks = tuple(next(iter(figures.values())))
        self.figures = tuple(next(iter(next(iter(figures.values())).values())))
        generator = np.random.default_rng(seed)
        # One set of resamples serves all, so that differences are paired.
        self._resampled = generator.integers(len(self.tasks), size=(resamples, len(self.tasks)))

    def values(self, recommender: str, figure: str = "weighted_kendall") -> dict[str, float]:
        """Return one figure of a recommender by task.

        Parameters
        ----------
        recommender : str
            One of ``recommenders``.
        figure : str
            One of ``figures``: "weighted_kendall", "kendall", "recall@1" and the like.

        Raises
        ------
        ValueError
            If either is unknown.
        """
        if recommender not in self._figures:
            raise ValueError(
                f"recommender {shown(recommender)} is not compared here; there are "
                f"{several(self.recommenders)}"
            )
        if figure not in self.figures:
            raise ValueError(
                f"figure {shown(figure)} is unknown; there are {', '.join(self.figures)}"
            )
        return {task: self._figures[recommender][task][figure] for task in self.tasks}

    def mean(self, recommender: str, figure: str = "weighted_kendall") -> float:
        """Return the mean over the tasks, those where the figure is not defined left out."""
        return _mean(self._vector(recommender, figure))

    def interval(
        self, recommender: str, figure: str = "weighted_kendall", level: float = LEVEL
    ) -> tuple[float, float]:
        """Return the bootstrap confidence interval of the mean, by percentiles over tasks.

        Parameters
        ----------
        recommender, figure : str
            As for `values`.
        level : float, default 0.95
            In (0, 1).

        Returns
        -------
        low, high : float
            NaN where the figure is nowhere defined.
        """
        return self._bootstrap(self._vector(recommender, figure), level)

    def difference(
        self,
        recommender: str,
        baseline: str = MEAN_RANK,
        figure: str = "weighted_kendall",
        level: float = LEVEL,
    ) -> tuple[float, float, float]:
        """Return by how much the mean is above a baseline's, and the paired bootstrap interval.

        Parameters
        ----------
        recommender, baseline : str
            Of ``recommenders``; the baseline is the mean rank by default.
        figure : str
            As for `values`.
        level : float, default 0.95
            In (0, 1).

        Returns
        -------
        gap, low, high : float
        """
        gaps = self._vector(recommender, figure) - self._vector(baseline, figure)
        return (_mean(gaps), *self._bootstrap(gaps, level))

    def plot(self, figure: str = "weighted_kendall") -> Figure:
        """Draw the mean and interval of every recommender over the values of the tasks."""
        from ..display.plots import plot_comparison

        return plot_comparison(self, figure)

    def to_csv(self, path: str | Path) -> None:
        """Write one line for each recommender and task, with all figures."""
        rows: list[list[Any]] = [["recommender", "task", *self.figures]]
        for name in self.recommenders:
            rows += [[name, task, *self._figures[name][task].values()] for task in self.tasks]
        write_atomically(path, csv_text(rows))

    def to_json(self, path: str | Path) -> None:
        """Write the means with their intervals, and all figures by task; NaN becomes null."""
        content = {
            name: {
                "mean": {figure: _or_none(self.mean(name, figure)) for figure in self.figures},
                "interval": {
                    figure: [_or_none(end) for end in self.interval(name, figure)]
                    for figure in self.figures
                },
                "tasks": {
                    task: {f: _or_none(v) for f, v in self._figures[name][task].items()}
                    for task in self.tasks
                },
            }
            for name in self.recommenders
        }
        write_atomically(path, json_text(content, indent=1))

    def __str__(self) -> str:
        return text_table(*self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self._table())

    def _vector(self, recommender: str, figure: str) -> NDArray[np.float64]:
        return np.array(list(self.values(recommender, figure).values()))

    def _bootstrap(self, values: NDArray[np.float64], level: float) -> tuple[float, float]:
        if not 0.0 < level < 1.0:
            raise ValueError(f"level: {level} given; it lies between 0 and 1")
        drawn = values[self._resampled]
        defined = ~np.isnan(drawn)
        counts = defined.sum(axis=1)
        if not counts.any():
            return math.nan, math.nan
        sums = np.where(defined, drawn, 0.0).sum(axis=1)[counts > 0]
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(sums / counts[counts > 0], [tail, 1.0 - tail])
        return float(low), float(high)

    def _table(self) -> tuple[list[str], list[list[str]], str]:
        titles = {
            "weighted_kendall_by_accuracy": "by accuracy",
            "kendall": "τ",
            "pearson": "Pearson",
        }
        others = [f for f in self.figures if f not in ("weighted_kendall", "spearman")]
        header = ["recommender", "tasks", "weighted τ", "95 %", "above mean rank", "95 %"]
        header += [titles.get(figure, figure) for figure in others]
        rows = []
        for name in sorted(self.recommenders, key=lambda name: -_low_if_nan(self.mean(name))):
            gap, low, high = self.difference(name)
            is_baseline = name == MEAN_RANK
            rows.append(
                [
                    name,
                    str(len(self.tasks)),
                    _shown(self.mean(name)),
                    _span(*self.interval(name)),
                    "" if is_baseline else f"{gap:+.3f}",
                    "" if is_baseline else _span(low, high, "+"),
                    *(_shown(self.mean(name, figure)) for figure in others),
                ]
            )
        return header, rows, "l" + "r" * (len(header) - 1)


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


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan


def _shown(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3f}"


def _span(low: float, high: float, sign: str = "") -> str:
    return MISSING if math.isnan(low) else f"{low:{sign}.3f} … {high:{sign}.3f}"


def _low_if_nan(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
