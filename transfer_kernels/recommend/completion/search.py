"""A new task being explored: which model to run next, and what is known so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...inputs import arrays
from ...text.quoting import several, shown
from ..best_scores import best_first
from .beliefs import Belief, Mixture, believe
from .column_prior import ColumnPrior
from .views import Views

Matrix = NDArray[Any]

PERFORMANCE = "performance"


class Search:
    """What is believed of a new task's models, sharpened by every score that is told.

    `Completion.start` makes it; a search does not change the `Completion` it comes from.

    Attributes
    ----------
    models : tuple of str
    told : dict of str to dict of str to float
        Model to what was told of it.
    spent : float
        Costs of the models that were told, each once.
    budget : float or None
    """

    def __init__(
        self,
        models: tuple[str, ...],
        at: Mapping[str, int],
        prior: ColumnPrior,
        views: Views,
        *,
        past_weight: float,
        costs: Mapping[str, float] | None,
        budget: float | None,
        kappa: float,
    ) -> None:
        self.models = models
        self.budget = _checked_budget(budget)
        self.told: dict[str, dict[str, float]] = {}
        self.spent = 0.0
        self._at, self._prior, self._views = at, prior, views
        self._past_weight, self._kappa = past_weight, kappa
        self._costs = _cost_vector(costs, models)
        self._mixture: Mixture | None = None

    # ------------------------------------------------------------------ the loop

    def next_model(self) -> str | None:
        """Return the model to run next: the highest upper confidence bound among those not told.

        Where costs differ, the uncertain part of the bound is divided by the root of the cost
        (relative to the median): a dear model must promise, not just be unknown.

        Returns
        -------
        str or None
            None where all models were told or the budget does not suffice for any other.
        """
        open_ = np.ones(len(self.models), dtype=bool)
        open_[[self._at[model] for model in self.told]] = False
        if self.budget is not None:
            # Sums of costs such as 0.1 need not reach the budget to the last digit.
            open_ &= self._costs <= (self.budget - self.spent) * (1 + 1e-12) + 1e-300
        if not open_.any():
            return None
        # The bonus of flat beliefs would be the same for all, but what is told changes that.
        bonus = self._kappa * self.std / np.sqrt(self._costs / np.median(self._costs))
        bound = np.where(open_, self.scores + bonus, -np.inf)
        return self.models[int(np.argmax(bound))]

    def tell(self, model: str, score: float | Mapping[str, float]) -> Search:
        """Put in the result of a run; returns the search itself.

        Parameters
        ----------
        model : str
        score : float or mapping of str to float
            The metric's score of the model on the new task; where `Completion.fit` was given
            several metrics, a mapping from some of them. ``"performance"`` is always a name too:
            what a fine-tuning truly reached; and without metrics it is what a number means.
            Told again, a value replaces the former one.

        Raises
        ------
        ValueError
            If the model or a metric is unknown, a number could mean several metrics, or a value is
            not finite.
        """
        if model not in self._at:
            raise ValueError(f"model {shown(model)} is unknown; it was not in the history of fit")
        values = dict(score) if isinstance(score, Mapping) else {self._only_view(): score}
        if not values:
            raise ValueError(f"score: that of model {shown(model)} is empty; give one at least")
        for name, value in values.items():
            if name not in self._views.names:
                raise ValueError(
                    f"score: {shown(name)} is unknown; there are {several(self._views.names)}"
                )
            if not math.isfinite(value):
                raise ValueError(
                    f"score: {value} given for model {shown(model)}; leave out what failed"
                )
        if model not in self.told:
            self.spent += float(self._costs[self._at[model]])
        self.told[model] = {**self.told.get(model, {}), **{k: float(v) for k, v in values.items()}}
        self._mixture = None
        return self

    def run(self, metric: Any, n_models: int | None = None) -> Search:
        """Run models one after the other; returns the search itself.

        Parameters
        ----------
        metric : callable
            From a model's name to what `tell` takes.
        n_models : int, optional
            How many; by default until the budget is spent or all models are told.
        """
        if n_models is None and self.budget is None:
            n_models = len(self.models) - len(self.told)
        left = math.inf if n_models is None else n_models
        while left > 0 and (model := self.next_model()) is not None:
            self.tell(model, metric(model))
            left -= 1
        return self

    # ------------------------------------------------------------------ what is known

    @property
    def scores(self) -> Matrix:
        """What is expected of every model (M,), as normal scores: mean 0, variance 1 over models.

        In the order of ``models``; higher is better.
        """
        return self._beliefs().mean

    @property
    def std(self) -> Matrix:
        """Standard deviations of these (M,)."""
        return np.sqrt(self._beliefs().variance())

    @property
    def past_weight(self) -> float:
        """How far the past is believed, in [0, 1], after what was told: `Completion`'s own option
        before."""
        return float(self._beliefs().weights[0])

    def best_probability(self, draws: int = 4000, seed: int = 0) -> Matrix:
        """Return the probability (M,) of every model that it is the best, in ``models``' order.

        Parameters
        ----------
        draws : int, default 4000
            From the joint posterior; probabilities are multiples of 1/draws.
        seed : int, default 0
        """
        arrays.require_positive_integer(draws, "draws")
        return self._beliefs().best_probability(draws, seed)

    def recommend(self, k: int | None = None) -> dict[str, float]:
        """Return the best k models with their expected scores, best first; all by default.

        Models need not have been run to be recommended.

        Raises
        ------
        ValueError
            If k is less than 1 or more than there are models.
        """
        n_models = len(self.models)
        if k is None:
            k = n_models
        arrays.require_positive_integer(k, "k")
        if k > n_models:
            raise ValueError(f"k={k} is out of range: there are {n_models} models")
        scores = self.scores
        best = best_first(scores, k).tolist()
        return {self.models[m]: float(scores[m]) for m in best}

    def __repr__(self) -> str:
        spent = "" if self.budget is None else f", {self.spent:g} of {self.budget:g} spent"
        return f"Search({len(self.told)} of {len(self.models)} models told{spent})"

    # ------------------------------------------------------------------ beliefs

    def _beliefs(self) -> Mixture:
        if self._mixture is None:
            rows = np.array([self._at[model] for model in self.told], dtype=np.int64)
            values = np.array(
                [
                    [of.get(name, math.nan) for name in self._views.names]
                    for of in self.told.values()
                ],
                dtype=np.float64,
            ).reshape(len(rows), len(self._views.names))
            beliefs: list[Belief] = [believe(self._prior, self._views, rows, values)]
            weights = [self._past_weight]
            if self._past_weight < 1.0:
                kin = replace(self._prior, mean=np.zeros(len(self.models)))
                for prior in (kin, ColumnPrior.flat(len(self.models))):
                    beliefs.append(believe(prior, self._views, rows, values, flat=True))
                    weights.append((1.0 - self._past_weight) / 2.0)
            self._mixture = Mixture(beliefs, weights)
        return self._mixture

    def _only_view(self) -> str:
        metrics = [name for name in self._views.names if name != PERFORMANCE]
        if len(metrics) > 1:
            raise ValueError(
                f"score: a number could be any of {several(metrics)}; give a mapping by name"
            )
        return metrics[0] if metrics else PERFORMANCE


def _checked_budget(budget: float | None) -> float | None:
    if budget is None:
        return None
    if not (math.isfinite(budget) and budget >= 0):
        raise ValueError(f"budget: {budget} given; it is finite and at least 0")
    return float(budget)


def _cost_vector(costs: Mapping[str, float] | None, models: Sequence[str]) -> Matrix:
    if costs is None:
        return np.ones(len(models))
    if missing := [model for model in models if model not in costs]:
        raise ValueError(f"costs: have none of model {shown(missing[0])}; give those of all models")
    vector = np.array([costs[model] for model in models], dtype=np.float64)
    if not (np.isfinite(vector) & (vector > 0)).all():
        worst = models[int(np.argmin(np.isfinite(vector) & (vector > 0)))]
        raise ValueError(
            f"costs: {costs[worst]} given for model {shown(worst)}; they are finite and above 0"
        )
    return vector
