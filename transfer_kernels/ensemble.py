"""Choosing several complementary models for an ensemble by SFDA (Shao et al., ECCV 2022).

Each model's features are projected on its own Fisher space, C - 1 dimensions whatever their width,
and the set grows greedily by the SFDA score of the concatenated projections. These are whitened
within the classes first: the scale of the features sets SFDA's shrinkage, and so every set is
shrunk alike and a model that repeats what the set already tells does not raise the score, however
high its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .kernels.array_namespace import array_namespace, as_float64, beside
from .metrics import sfda as _sfda
from .metrics.problem import Problem

#: A model is taken only if it raises the score of the set by more than this.
LEAST_GAIN = 1e-4

#: Variance, relative to the largest, below which a direction of the joint space repeats others.
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Ensemble:
    """Models chosen, in that order.

    Parameters
    ----------
    models : tuple of str
        Names, the best single model first.
    scores : tuple of float
        SFDA score of the set after each choice.
    single_scores : dict
        SFDA score of every model alone, in its Fisher space.
    """

    models: tuple[str, ...]
    scores: tuple[float, ...]
    single_scores: dict[str, float]


def sfda_ensemble(
    zoo: Mapping[str, Any], labels: Any, k: int, *, backend: str | None = None
) -> Ensemble:
    """Up to k models that complement one another on a target.

    Parameters
    ----------
    zoo : mapping
        Model name -> features (n, d), d may differ between models.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    k : int
        Most models to choose. Fewer are chosen when no further one raises the score.
    backend : str, optional
        Force a backend.

    Returns
    -------
    Ensemble

    Raises
    ------
    TypeError, ValueError
        If k is no positive integer or the zoo is empty; else as `transfer_kernels.sfda`, naming the
        model.

    References
    ----------
    Shao et al., "Not All Models Are Equal: Predicting Model Transferability in a Self-challenging
    Fisher Space", ECCV 2022.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"k must be an integer, not {k!r}")
    if k < 1:
        raise ValueError(f"k={k} must be at least 1")
    if not zoo:
        raise ValueError("zoo is empty; give at least one model's features")

    spaces = {name: _fisher_space(name, X, labels, backend) for name, X in zoo.items()}

    def set_score(names):
        members = [spaces[name] for name in names]
        joined = array_namespace(members[0]).concatenate(members, axis=1)
        return _sfda.fit(Problem(_whitened(joined, labels, backend), labels, backend)).score

    single = {name: set_score([name]) for name in spaces}
    chosen: list[str] = []
    scores: list[float] = []
    while len(chosen) < min(k, len(spaces)):
        rest = [name for name in spaces if name not in chosen]
        gains = {name: set_score([*chosen, name]) if chosen else single[name] for name in rest}
        best = max(gains, key=lambda name: gains[name])
        if chosen and gains[best] <= scores[-1] + LEAST_GAIN:
            break
        chosen.append(best)
        scores.append(gains[best])
    return Ensemble(tuple(chosen), tuple(scores), single)


def _whitened(projections, labels, backend):
    """Projections with the identity as within-class scatter; null directions are dropped."""
    within = Problem(projections, labels, backend).scatter.within()
    eigenvalues, vectors = array_namespace(within).linalg.eigh(within)
    kept = eigenvalues > RANK_TOLERANCE * eigenvalues[-1]
    return beside(within, projections) @ (vectors[:, kept] / eigenvalues[kept] ** 0.5)


def _fisher_space(name, features, labels, backend):
    """(n, C - 1) projection of one model's features on its own Fisher space."""
    try:
        problem = Problem(features, labels, backend)
        first = _sfda.fit(problem).first
    except (TypeError, ValueError) as error:
        raise type(error)(f"model {name!r}: {error}") from None
    priors = beside(first.coef, problem.class_counts / problem.n_samples)
    axes = _sfda.fisher_axes(first, priors)
    return (as_float64(beside(axes, problem.features)) - first.center) @ axes
