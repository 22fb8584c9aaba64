"""Figures of recommenders side by side: means, clustered intervals, differences, costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..files.csv_cells import csv_text
from ..files.score_files import json_text, write_atomically
from ..text.quoting import several, shown
from ..text.tables import MISSING, html_table, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEAN_RANK = "mean rank (control)"
LEVEL = 0.95
#: What a ranking costs: models of the zoo run on the new task, and time.
COSTS = ("models_run", "seconds")


class Comparison:
    """Figures of every recommender on every task that was held out.

    Printing it gives a table of means over the tasks, with the 95 % interval of the weighted
    Kendall tau and of how much it is above that of the mean-rank control; `table` compares with
    any other row.

    Parameters
    ----------
    figures : mapping
        Recommender to task to figure to value.
    skipped : sequence of str
        Tasks that say nothing: fewer than two different known performances.
    resamples, seed : int
        Of the bootstrap.
    clusters : mapping of str to str, optional
        Task to the cluster it belongs to, such as its images' source: the bootstrap draws whole
        clusters, since tasks of one are no independent evidence. By default each task is its own.
    costs : mapping, optional
        Recommender to task to "models_run" and "seconds".

    Attributes
    ----------
    recommenders, tasks, figures, skipped : tuple of str
    clusters : tuple of str
        Of each task.
    """

    def __init__(
        self,
        figures: Mapping[str, Mapping[str, Mapping[str, float]]],
        skipped: Sequence[str] = (),
        *,
        resamples: int = 2000,
        seed: int = 0,
        clusters: Mapping[str, str] | None = None,
        costs: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    ) -> None:
        self._figures = figures
        self.skipped = tuple(skipped)
        self.recommenders = tuple(figures)
        self.tasks = tuple(next(iter(figures.values())))
        self.figures = tuple(next(iter(next(iter(figures.values())).values())))
        self._costs = costs or {}
        if clusters is not None:
            if missing := [task for task in self.tasks if task not in clusters]:
                raise ValueError(
                    f"clusters: have none of task {shown(missing[0])}; give those of all tasks"
                )
        # Numbered, since a task may be called as another's cluster.
        names = [("task", t) if clusters is None else ("", clusters[t]) for t in self.tasks]
        self.clusters = tuple(name for _, name in names)
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        member = np.array([number[name] for name in names])
        generator = np.random.default_rng(seed)
        # One set of resamples serves all, so that differences are paired.
        drawn = generator.integers(len(number), size=(resamples, len(number)))
        times = np.zeros((resamples, len(number)))
        np.add.at(times, (np.arange(resamples)[:, None], drawn), 1.0)
        self._times = times[:, member]

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
        """Return the bootstrap confidence interval of the mean, by percentiles over clusters.

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

    def cost(self, recommender: str, what: str = "models_run") -> float:
        """Return the mean cost of a ranking over the tasks, NaN where it is not known.

        Parameters
        ----------
        recommender : str
            One of ``recommenders``.
        what : {"models_run", "seconds"}
            Models of the zoo that were run on the new task; or the time the ranking took, what was
            learnt from the past for it included.
        """
        self.values(recommender, self.figures[0])
        if what not in COSTS:
            raise ValueError(f"what: {shown(what)} is unknown; it is one of {', '.join(COSTS)}")
        by_task = self._costs.get(recommender, {})
        return _mean(np.array([by_task.get(task, {}).get(what, math.nan) for task in self.tasks]))

    def by_task(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return all figures by recommender, task and figure, as the constructor takes them."""
        return _copied(self._figures)

    def costs_by_task(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return all costs by recommender, task and kind, as the constructor takes them."""
        return _copied(self._costs)

    def plot(self, figure: str = "weighted_kendall") -> Figure:
        """Draw the mean and interval of every recommender over the values of the tasks."""
        from ..display.plots import plot_comparison

        return plot_comparison(self, figure)

    def plot_frontier(self, figure: str = "weighted_kendall", cost: str = "models_run") -> Figure:
        """Draw quality against cost, with the frontier of what nothing beats at its cost."""
        from ..display.plots import plot_frontier

        return plot_frontier(self, figure, cost)

    def frontier(self, figure: str = "weighted_kendall", cost: str = "models_run") -> list[str]:
        """Return the recommenders than which none cheaper or as cheap is better, cheapest first.

        Where less is better, as of "regret@1", better is less.
        """
        known = []
        for name in self.recommenders:
            price, value = self.cost(name, cost), self.mean(name, figure)
            if math.isfinite(price) and math.isfinite(value):
                known.append((price, value if figure.startswith("regret") else -value, name))
        kept: list[tuple[float, float, str]] = []
        for one in sorted(known):
            if not kept or one[1] < kept[-1][1]:
                kept.append(one)
        return [name for *_, name in kept]

    def to_csv(self, path: str | Path) -> None:
        """Write one line for each recommender and task, with all figures and the costs."""
        rows: list[list[Any]] = [["recommender", "task", "cluster", *self.figures, *COSTS]]
        for name in self.recommenders:
            costs = self._costs.get(name, {})
            rows += [
                [
                    name,
                    task,
                    cluster,
                    *self._figures[name][task].values(),
                    *(costs.get(task, {}).get(what, math.nan) for what in COSTS),
                ]
                for task, cluster in zip(self.tasks, self.clusters, strict=True)
            ]
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
                "cost": {what: _or_none(self.cost(name, what)) for what in COSTS},
                "tasks": {
                    task: {f: _or_none(v) for f, v in self._figures[name][task].items()}
                    for task in self.tasks
                },
            }
            for name in self.recommenders
        }
        write_atomically(path, json_text(content, indent=1))

    def table(self, baseline: str = MEAN_RANK) -> str:
        """Return the report as text, every row's difference measured against any row."""
        return text_table(*self._table(baseline))

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self._table())

    def _vector(self, recommender: str, figure: str) -> NDArray[np.float64]:
        return np.array(list(self.values(recommender, figure).values()))

    def _bootstrap(self, values: NDArray[np.float64], level: float) -> tuple[float, float]:
        if not 0.0 < level < 1.0:
            raise ValueError(f"level: {level} given; it lies between 0 and 1")
        defined = ~np.isnan(values)
        counts = self._times @ defined
        if not counts.any():
            return math.nan, math.nan
        sums = (self._times @ np.where(defined, values, 0.0))[counts > 0]
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(sums / counts[counts > 0], [tail, 1.0 - tail])
        return float(low), float(high)

    def _table(self, baseline: str = MEAN_RANK) -> tuple[list[str], list[list[str]], str]:
        titles = {
            "weighted_kendall_by_accuracy": "by accuracy",
            "kendall": "τ",
            "pearson": "Pearson",
        }
        others = [f for f in self.figures if f not in ("weighted_kendall", "spearman")]
        if baseline not in self.recommenders and self.recommenders:
            self.values(baseline)
        above = "above mean rank" if baseline == MEAN_RANK else f"above {baseline}"
        header = ["recommender", "tasks", "models run", "seconds", "weighted τ", "95 %"]
        header += [above, "95 %"]
        header += [titles.get(figure, figure) for figure in others]
        rows = []
        for name in sorted(self.recommenders, key=lambda name: -_low_if_nan(self.mean(name))):
            gap, low, high = self.difference(name, baseline)
            is_baseline = name == baseline
            rows.append(
                [
                    name,
                    str(len(self.tasks)),
                    _priced(self.cost(name, "models_run")),
                    _priced(self.cost(name, "seconds")),
                    _shown(self.mean(name)),
                    _span(*self.interval(name)),
                    "" if is_baseline else f"{gap:+.3f}",
                    "" if is_baseline else _span(low, high, "+"),
                    *(_shown(self.mean(name, figure)) for figure in others),
                ]
            )
        return header, rows, "l" + "r" * (len(header) - 1)


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan


def _shown(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3f}"


def _copied(
    content: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {task: dict(row) for task, row in of.items()} for name, of in content.items()}


def _priced(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3g}"


def _span(low: float, high: float, sign: str = "") -> str:
    return MISSING if math.isnan(low) else f"{low:{sign}.3f} … {high:{sign}.3f}"


def _low_if_nan(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
