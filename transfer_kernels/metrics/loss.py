"""The linear probe's loss: how well a penalised linear softmax classifier fits the labels.

A control, and the first part of PACTran-Gaussian (N. Ding et al., ECCV 2022, where it is called
"linear"): the mean cross-entropy with the penalty |W|^2 / (2 n scale), at its optimum, negated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import softmax_fit
from .problem import Problem
from .registry import Metric

SCALE = 1.0


def loss(
    features: Any,
    labels: Any,
    scale: float = SCALE,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by the loss of a linear probe at its optimum, negated: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    scale : float, default 1.0
        Of the penalty ``|W|^2 / (2 n scale)`` on the coefficients of the centred features; the
        score follows the features' unit as much as it.
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
        See `Problem`; also if fewer than two classes occur, or scale is not positive and finite.

    Warns
    -----
    UninformativeScoreWarning
        If the optimum was not reached.

    References
    ----------
    Ding et al., "PACTran: PAC-Bayesian Metrics for Estimating the Transferability of Pretrained
    Models to Classification Tasks", ECCV 2022.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend, scale=scale)


@np.errstate(all="ignore")
def compute(problem: Problem, scale: float = SCALE) -> float:
    """The score of a problem; see `loss`."""
    return -softmax_fit.fit(problem, scale).loss


METRIC = Metric(
    "loss",
    compute,
    "cross-entropy of a penalised linear classifier at its optimum, negated",
    paper="Ding et al., ECCV 2022",
    family="probes",
)
