"""A ranker stacked on others: mean rank, metrics, size and proxy prior, weighed by past tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimators import Estimator, NotFittedError
from ..inputs import arrays
from ..text.quoting import several, shown
from .best_scores import best_first
from .completion.normal_scores import normal_scores, score_columns
from .completion.past_columns import even_weights
from .completion.proxy_kernel import ProxyKernel
from .history import Task, TransferHistory

Matrix = NDArray[Any]

#: Of the ridge, relative to the number of rows.
PENALTIES = np.geomspace(1e-4, 10.0, 11)


class Stacked(Estimator):
    """Rank models by a weighted sum of what is known of them, weights learnt on past tasks.

    Columns are the mean of the *other* past tasks (normal scores), each metric's scores, the
    logarithm of the parameters where the history tells it of every model, and, with ``proxies``,
    the mean of the past tasks weighed by how alike their images are. Each is standardised within a
    task, as is the target, the task's normal scores; a ridge regression over all models of all past
    tasks joins them, its penalty chosen by leaving one past task out.

    Parameters
    ----------
    proxies : bool, default False
        Whether the history's proxies make a column.

    Attributes
    ----------
    models_ : tuple of str
    names_ : tuple of str
        Of the columns.
    weights_ : dict of str to float
        Column to weight.
    penalty_ : float

    Examples
    --------
    >>> history = TransferHistory(
    ...     ["a", "b", "c"], ["x", "y", "z"], [[0.9, 0.2, 0.8], [0.5, 0.4, 0.5], [0.1, 0.9, 0.3]]
    ... )
    >>> seen = {"x": {"a": 9.0, "b": 4.0, "c": 1.0}, "y": {"a": 1.0, "b": 5.0, "c": 8.0}}
    >>> seen["z"] = {"a": 7.0, "b": 6.0, "c": 2.0}
    >>> stacked = Stacked().fit(history, {"logme": seen})
    >>> list(stacked.recommend(scores={"logme": {"a": 1.0, "b": 2.0, "c": 3.0}}))
    ['c', 'b', 'a']
    """

    def __init__(self, proxies: bool = False):
        self.proxies = proxies

    def fit(
        self,
        history: TransferHistory,
        scores: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    ) -> Stacked:
        """Learn the weights.

        Parameters
        ----------
        history : TransferHistory
        scores : mapping of str to mapping, optional
            Metric to past task to model to score; a model without one counts as the worst there,
            a task without any as one of which the metric says nothing.

        Raises
        ------
        ValueError
            If fewer than two tasks order two models, or proxies are asked for and missing.
        """
        columns = score_columns(history.performance)
        useful = np.flatnonzero(np.isfinite(columns).any(axis=0))
        if len(useful) < 2:
            raise ValueError(
                f"history: {len(useful)} task orders two models; at least two are needed, to learn "
                "on one what the other tells"
            )
        tasks = [history.tasks[t] for t in useful.tolist()]
        columns = columns[:, useful]
        filled = np.where(np.isfinite(columns), columns, 0.0)
        self.models_ = history.models
        self._metrics = tuple(scores or {})
        self._kernel = None
        if self.proxies:
            self._kernel = ProxyKernel.of_history(history, tasks).fitted(filled)
        sizes = history.fact("parameters")
        self._size = None
        if len(sizes) == len(history.models):
            self._size = _standard(np.log(np.maximum([sizes[m] for m in history.models], 1.0)))
        self._columns = filled
        even = filled @ even_weights(len(tasks))
        alike = None if self._kernel is None else filled @ self._kernel.left_out_weights()
        blocks, targets = [], []
        for t, task in enumerate(tasks):
            known = np.isfinite(columns[:, t])
            seen = {name: of.get(task, {}) for name, of in (scores or {}).items()}
            design = self._design(even[:, t], seen, None if alike is None else alike[:, t])
            blocks.append(design[known])
            targets.append(columns[known, t])
        self.names_ = self._names()
        self.penalty_ = _left_out_penalty(blocks, targets)
        weights = _ridge(_summed(blocks, targets), self.penalty_)
        self.weights_ = dict(zip(self.names_, weights.tolist(), strict=True))
        return self

    def score(
        self, task: Task | None = None, scores: Mapping[str, Mapping[str, float]] | None = None
    ) -> Matrix:
        """Return the scores of all models (M,), in the order of ``models_``.

        Parameters
        ----------
        task : Task, optional
            With proxy features; needed with ``proxies``.
        scores : mapping of str to mapping of str to float, optional
            Metric to model to score on the new task.

        Raises
        ------
        ValueError
            If a metric is unknown or missing, or the proxy's features are.
        """
        if not hasattr(self, "weights_"):
            raise NotFittedError("this Stacked is not fitted yet; call fit first")
        given = scores or {}
        if set(given) != set(self._metrics):
            raise ValueError(
                f"scores: of {several(given) or 'no metric'} given, but those of fit are "
                f"{several(self._metrics) or 'none'}; give the same"
            )
        T = self._columns.shape[1]
        alike = None
        if self._kernel is not None:
            if task is None:
                raise ValueError("task: give the new task with the proxy's features")
            alike = self._columns @ self._kernel.weights(task)
        design = self._design(self._columns @ np.full(T, 1.0 / T), given, alike)
        return np.asarray(design @ np.array(list(self.weights_.values())))

    def recommend(
        self,
        task: Task | None = None,
        scores: Mapping[str, Mapping[str, float]] | None = None,
        k: int | None = None,
    ) -> dict[str, float]:
        """Return the best k models with their scores, best first; all by default.

        Parameters
        ----------
        task, scores
            As for `score`.
        k : int, optional
        """
        found = self.score(task, scores)
        k = len(found) if k is None else k
        arrays.require_positive_integer(k, "k")
        if k > len(found):
            raise ValueError(f"k={k} is out of range: there are {len(found)} models")
        return {self.models_[m]: float(found[m]) for m in best_first(found, k).tolist()}

    def _names(self) -> tuple[str, ...]:
        size = () if self._size is None else ("parameters",)
        alike = () if self._kernel is None else ("proxy prior",)
        return ("mean rank", *self._metrics, *size, *alike)

    def _design(
        self, even: Matrix, scores: Mapping[str, Mapping[str, float]], alike: Matrix | None
    ) -> Matrix:
        """The columns of one task (M, J), each standardised over the models."""
        parts = [_standard(even)]
        for name in self._metrics:
            of = scores[name]
            if unknown := [model for model in of if model not in self.models_]:
                raise ValueError(f"scores: model {shown(unknown[0])} is unknown")
            values = np.array([of.get(model, np.nan) for model in self.models_], dtype=np.float64)
            ranks = normal_scores(np.where(np.isfinite(values), values, np.nan))
            told = np.isfinite(ranks)
            lowest = ranks[told].min() if told.any() else 0.0
            # Of the metric's own distances and of its ranks half each: outliers weigh less.
            distances = _standard(np.where(np.isfinite(values), values, np.nan))
            parts.append(np.where(told, ranks, lowest) / 2.0 + distances / 2.0)
        if self._size is not None:
            parts.append(self._size)
        if alike is not None:
            parts.append(_standard(alike))
        return np.column_stack(parts)


def _standard(values: Matrix) -> Matrix:
    """Mean 0 and variance 1; what is missing as the lowest, constants as 0."""
    values = np.asarray(values, dtype=np.float64)
    known = values[np.isfinite(values)]
    if not known.size:
        return np.zeros(len(values))
    values = np.where(np.isfinite(values), values, known.min())
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def _summed(blocks: list[Matrix], targets: list[Matrix]) -> tuple[Matrix, Matrix, int]:
    return (
        np.asarray(sum(X.T @ X for X in blocks)),
        np.asarray(sum(X.T @ y for X, y in zip(blocks, targets, strict=True))),
        sum(len(X) for X in blocks),
    )


def _ridge(sums: tuple[Matrix, Matrix, int], penalty: float) -> Matrix:
    gram, products, n = sums
    return np.asarray(np.linalg.solve(gram + penalty * n * np.eye(len(gram)), products))


def _left_out_penalty(blocks: list[Matrix], targets: list[Matrix]) -> float:
    """The penalty that tells each past task best from the others."""
    gram, products, n = _summed(blocks, targets)
    errors = np.zeros(len(PENALTIES))
    for X, y in zip(blocks, targets, strict=True):
        rest = (gram - X.T @ X, products - X.T @ y, n - len(X))
        for p, penalty in enumerate(PENALTIES.tolist()):
            errors[p] += float(np.mean((X @ _ridge(rest, penalty) - y) ** 2))
    return float(PENALTIES[int(np.argmin(errors))])
