"""PACTran without a source head: with the components of NLEEP's mixture for source classes.

    N. Ding, X. Chen, T. Levinboim, S. Changpinyo, R. Soricut: "PACTran: PAC-Bayesian Metrics for
    Estimating the Transferability of Pretrained Models to Classification Tasks", ECCV 2022.

The bounds of `pactran` on the responsibilities of the mixture of `nleep`'s variant "pactran", as
EMMS's code takes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import pactran as _pactran
from .mixtures import SEEDS, VARIANCE, as_seeds
from .nleep import number_of_components, varies
from .problem import Problem
from .registry import Metric


def pactran_mixture(
    features: Any,
    labels: Any,
    prior: str = "dirichlet",
    alpha: float = 1.0,
    components: int | None = None,
    seeds: Any = SEEDS,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by PACTran's bound on a mixture of the features: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    prior : {"dirichlet", "gamma"}
        Of the head's weights.
    alpha : float, default 1
        Weight of the prior, in samples; positive.
    components : int, optional
        Number of components; by default max(min(C, n / 5), n / 10), as published.
    seeds : int or tuple of int, default (0, 1, 2)
        Of k-means: the score is the mean over them.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Minus the published bound, in nats per sample and class. NaN, with a warning, for features
        that do not vary.

    Raises
    ------
    TypeError, ValueError
        See `transfer_kernels.nleep` and `transfer_kernels.pactran`.

    Warns
    -----
    UninformativeScoreWarning
        If the features do not vary.

    References
    ----------
    Ding et al., "PACTran: PAC-Bayesian Metrics for Estimating the Transferability of Pretrained
    Models to Classification Tasks", ECCV 2022.
    """
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        prior=prior,
        alpha=alpha,
        components=components,
        seeds=seeds,
    )


def compute(
    problem: Problem,
    prior: str = "dirichlet",
    alpha: float = 1.0,
    components: int | None = None,
    seeds: int | tuple = SEEDS,
) -> float:
    """The score of a problem; see `pactran_mixture`."""
    _pactran.require_weight(alpha)
    all_seeds = as_seeds(seeds)
    n_components = number_of_components(problem, "pactran", components)
    if not varies(problem, VARIANCE, "PACTran's bound on a mixture"):
        return float("nan")
    given = (problem.mixtures.posteriors(n_components, VARIANCE, seed) for seed in all_seeds)
    return float(np.mean([_pactran.of_posteriors(theta, prior, alpha) for theta in given]))


METRIC = Metric(
    "pactran_mixture",
    compute,
    "minus PACTran's bound for a vote of a mixture's components",
    paper="Ding et al., ECCV 2022",
    choices={"prior": _pactran.PRIORS},
    family="posteriors",
)
