"""PACTran-Gaussian: a PAC-Bayesian bound of a linear classifier's error.

    N. Ding, X. Chen, T. Levinboim, S. Changpinyo, R. Soricut: "PACTran: PAC-Bayesian Metrics for
    Estimating the Transferability of Pretrained Models to Classification Tasks", ECCV 2022.

With the linear probe of `softmax_fit` at its optimum, of loss L and trace H of the Hessian of the
samples' summed cross-entropy, and m = d C coefficients,

    bound = L + (m / (2 n scale)) s2 ln(1 + H n scale / m),     s2 = factor scale / d,

and the score is the bound negated. Published code starts at random and stops early, so that its
values scatter; the optimum is unique, and is what is taken here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import softmax_fit
from .problem import Problem
from .registry import Metric

SCALE, FACTOR = 1.0, 100.0


def pactran_gauss(
    features: Any,
    labels: Any,
    scale: float = SCALE,
    factor: float = FACTOR,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by PACTran with a Gaussian prior, negated: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    scale : float, default 1.0
        Variance of the prior in units of 1 / n; published code takes 0.1, 1 and 10. The score
        follows the features' unit as much as it.
    factor : float, default 100.0
        The variance s2 of the bound is factor scale / d; published code takes 100 and 10.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In nats, not positive.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, scale is not positive and finite, or
        factor is negative or not finite.

    Warns
    -----
    UninformativeScoreWarning
        If the optimum was not reached.

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
        scale=scale,
        factor=factor,
    )


@np.errstate(all="ignore")
def compute(problem: Problem, scale: float = SCALE, factor: float = FACTOR) -> float:
    """The score of a problem; see `pactran_gauss`."""
    if not 0.0 <= factor < math.inf:
        raise ValueError(f"factor={factor!r} is out of range: it must be finite and not negative")
    return of_fit(problem, softmax_fit.fit(problem, scale), scale, factor)


def of_fit(problem: Problem, found: softmax_fit.SoftmaxFit, scale: float, factor: float) -> float:
    """The score of a problem whose probe is fitted at this scale."""
    n, d = problem.n_samples, problem.n_features
    prior = n * scale / (d * len(problem.class_counts))
    complexity = 0.5 / prior * (factor * scale / d) * math.log1p(found.curvature * prior)
    return -(found.loss + complexity)


METRIC = Metric(
    "pactran_gauss",
    compute,
    "PAC-Bayesian bound of a linear classifier's error, negated",
    paper="Ding et al., ECCV 2022",
    family="probes",
)
