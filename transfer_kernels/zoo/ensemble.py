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

from ..inputs.arrays import require_positive_integer
from ..kernels.array_namespace import Array, array_namespace, as_float64, beside
from ..kernels.fisher_discriminant import SingularScatter
from ..metrics import sfda as _sfda
from ..metrics.problem import Problem
from ..metrics.uninformative import warn_uninformative
from ..text.quoting import shown

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
    zoo: Mapping[str, Any],
    labels: Any,
    k: int,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
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
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label.
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

    Warns
    -----
    UninformativeScoreWarning
        If models have no more samples than features, once, with their names.

    References
    ----------
    Shao et al., "Not All Models Are Equal: Predicting Model Transferability in a Self-challenging
    Fisher Space", ECCV 2022.
    """
    require_positive_integer(k, "k")
    if not zoo:
        raise ValueError("zoo is empty; give at least one model's features")

    spaces, wide = {}, []
    for name, features in zoo.items():
        try:
            problem = Problem(features, labels, backend, ignore_label)
            spaces[name] = _fisher_space(problem)
        except (TypeError, ValueError) as error:
            raise type(error)(f"model {shown(name)}: {error}") from None
        if problem.n_samples <= problem.n_features:
            wide.append(name)
    labels = problem.labels  # without the samples left out, which are the same for all models
    if wide:
        warn_uninformative(
            f"{', '.join(wide)}: there are no more samples than features, so that scores saturate "
            "near 1 and hardly tell which models complement one another; use more samples, or "
            "reduce the features, e.g. PCA to 32 components"
        )

    def set_score(names: list[str]) -> float:
        members = [spaces[name] for name in names]
        joined = array_namespace(members[0]).concatenate(members, axis=1)
        try:
            return _sfda.fit(Problem(_whitened(joined, labels, backend), labels, backend)).score
        except SingularScatter:
            return 1.0  # every class is one point, apart from the others: the limit of the score

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


def _whitened(projections: Array, labels: Any, backend: str | None) -> Array:
    """Projections with the identity as within-class scatter; null directions are dropped."""
    within = Problem(projections, labels, backend).scatter.within()
    eigenvalues, vectors = array_namespace(within).linalg.eigh(within)
    rotated = beside(within, projections) @ vectors
    total = ((rotated - rotated.mean(axis=0)) ** 2).mean(axis=0)
    # Where classes lie apart without any spread, as with n < d, the little spread is rounding
    # noise: such a direction is kept, but its noise is not blown up.
    floor = RANK_TOLERANCE * total.max()
    kept = (eigenvalues > RANK_TOLERANCE * eigenvalues[-1]) | (total > floor)
    scale = array_namespace(within).clip(eigenvalues[kept], floor, None)
    return rotated[:, kept] / scale**0.5


def _fisher_space(problem: Problem) -> Array:
    """(n, C - 1) projection of one model's features on its own Fisher space."""
    first = _sfda.fit(problem).first
    priors = beside(first.coef, problem.class_counts / problem.n_samples)
    axes = _sfda.fisher_axes(first, priors)
    return (as_float64(beside(axes, problem.features)) - first.center) @ axes
