"""NLEEP: LEEP with the components of a mixture of Gaussians for source classes.

    Y. Li, X. Jia, R. Sang, Y. Zhu, B. Green, L. Wang, B. Gong: "Ranking Neural Checkpoints",
    CVPR 2021.

The features are projected on the fewest principal axes that hold more than 80 % of the variance,
a mixture of K Gaussians with full covariances is fitted there, from k-means, and each sample's
responsibilities stand for its posteriors in LEEP. k-means draws at random: the score is the mean
over seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import leep
from .mixtures import SEEDS, VARIANCE, as_seeds
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

VARIANTS = ("sfda", "pactran", "fennec")

FENNEC_COMPONENTS = 50
SFDA_COMPONENTS_A_CLASS = 5


def nleep(
    features: Any,
    labels: Any,
    variant: str = "sfda",
    components: int | None = None,
    seeds: Any = SEEDS,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by NLEEP: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    variant : {"sfda", "pactran", "fennec"}
        "sfda", of most published tables, has five components a class and leaves LEEP's logarithm
        out; "pactran" has max(min(C, n / 5), n / 10) components, and the logarithm; "fennec" 50,
        the logarithm, and no principal axes.
    components : int, optional
        Number of components, K; by default the variant's.
    seeds : int or tuple of int, default (0, 1, 2)
        Of k-means: the score is the mean over them. One seed moves a score by up to a tenth, often
        more than models differ; ``[nleep(X, y, seeds=s) for s in (0, 1, 2)]`` shows by how much.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        For "sfda" a mean probability, in (0, 1]; else in nats, at most 0. NaN, with a warning, for
        features that do not vary.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, there are fewer samples than
        components, an option is out of range, or a covariance is singular in float64 though 1e-6 is
        added to its variances.

    Warns
    -----
    UninformativeScoreWarning
        If the features do not vary.

    References
    ----------
    Li et al., "Ranking Neural Checkpoints", CVPR 2021.
    """
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        variant=variant,
        components=components,
        seeds=seeds,
    )


def compute(
    problem: Problem,
    variant: str = "sfda",
    components: int | None = None,
    seeds: int | tuple = SEEDS,
) -> float:
    """The score of a problem; see `nleep`."""
    all_seeds = as_seeds(seeds)
    n_components = number_of_components(problem, variant, components)
    variance = None if variant == "fennec" else VARIANCE
    if not varies(problem, variance, "NLEEP"):
        return float("nan")
    form = "sfda" if variant == "sfda" else "tllib"
    scores = [
        leep.of_posteriors(problem.mixtures.posteriors(n_components, variance, seed), form)
        for seed in all_seeds
    ]
    return float(np.mean(scores))


def number_of_components(problem: Problem, variant: str, components: int | None) -> int:
    """K as given, or by the variant's rule.

    Raises
    ------
    ValueError
        If it is less than 1, or more than there are samples.
    """
    n, n_classes = problem.n_samples, len(problem.classes)
    if components is not None and components < 1:
        raise ValueError(f"components={components} is out of range: it must be at least 1")
    rule = {
        "sfda": SFDA_COMPONENTS_A_CLASS * n_classes,
        "pactran": max(min(n_classes, int(n * 0.2)), int(n * 0.1)),
        "fennec": FENNEC_COMPONENTS,
    }
    chosen = rule[variant] if components is None else int(components)
    if chosen > n:
        raise ValueError(
            f"a mixture of {chosen} components needs as many samples, but there are {n}; use more "
            f"samples, or fewer components, as components={max(1, n // 10)}"
        )
    return max(1, chosen)


def varies(problem: Problem, variance: float | None, name: str) -> bool:
    """Whether the features have principal axes; else with a warning."""
    if problem.mixtures.scores(variance).shape[1]:
        return True
    warn_uninformative(f"{name} is undefined here: the features do not vary; use others")
    return False


METRIC = Metric(
    "nleep",
    compute,
    "LEEP with the components of a mixture of Gaussians for source classes",
    paper="Li et al., CVPR 2021",
    choices={"variant": VARIANTS},
    family="posteriors",
)
