"""k nearest neighbours: how well the neighbours of each sample tell its label.

    D. Bolya, R. Mittapalli, J. Hoffman: "Scalable Diverse Model Selection for Accessible Transfer
    Learning", NeurIPS 2021, where it is one of the metrics compared.

Each sample is classified by the vote of the k samples nearest to it, itself left out: the score is
the accuracy. For real targets it is the correlation of the target with the neighbours' mean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.array_namespace import on_host
from ..kernels.nearest_neighbors import METRICS as DISTANCES
from ..kernels.nearest_neighbors import TIES
from ..kernels.nearest_neighbors.shared_voting import vote
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

K = 3


def knn(
    features: Any,
    labels: Any,
    k: int = K,
    metric: str = "euclidean",
    ties: str = "share",
    regression: bool = False,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by the accuracy of the k nearest neighbours: higher is better.

    Exact: no neighbour is missed, whatever the rounding of the products that find them, and no
    (n, n) matrix is made. A sample is left out by its index, so that its duplicates vote.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list; with ``regression`` also (n, m)
        Class labels of any hashable kind, or real targets.
    k : int, default 3
        Neighbours that vote; fewer than there are samples. Of samples at one distance those that
        come first are the nearer.
    metric : {"euclidean", "cosine"}
        Distance between features.
    ties : {"share", "smallest"}
        Where w classes have most votes alike, a sample of one of them counts as 1 / w; or the
        smallest label wins, as in TransformerRanker, which depends on how the classes are numbered.
    regression : bool
        Whether the labels are real targets.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Accuracy in [0, 1]. With ``regression`` Pearson's correlation of a target with the mean of
        the neighbours' targets, the mean over the targets, in [-1, 1]; NaN, with a warning, where
        a target or all its predictions are constant.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if k is not in [1, n - 1], fewer than two classes occur, or a target is
        not finite.

    Warns
    -----
    UninformativeScoreWarning
        If a target or its predictions are constant.

    References
    ----------
    Bolya et al., "Scalable Diverse Model Selection for Accessible Transfer Learning", NeurIPS 2021.
    """
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        k=k,
        metric=metric,
        ties=ties,
        regression=regression,
    )


@np.errstate(all="ignore")
def compute(
    problem: Problem,
    k: int = K,
    metric: str = "euclidean",
    ties: str = "share",
    regression: bool = False,
) -> float:
    """The score of a problem; see `knn`."""
    n = problem.n_samples
    if not 1 <= k < n:
        raise ValueError(
            f"k={k} is out of range: {n} samples have {n - 1} neighbours each; choose k from 1 to "
            f"{n - 1}"
        )
    targets = problem.targets if regression else None
    codes = None if regression else problem.codes
    indices, _ = problem.ops.nearest_neighbors(problem.features, int(k), metric)
    if targets is None:
        return float(vote(indices, codes, codes, ties).mean())
    return _correlation(targets, targets[on_host(indices)].mean(axis=1))


def _correlation(targets: Any, predictions: Any) -> float:
    """Mean over the columns of Pearson's correlation."""
    # Scaled first: squares of very large or small targets are none.
    sizes = np.abs(targets).max(axis=0)
    scales = np.where(sizes > 0.0, sizes, 1.0)
    a, b = targets / scales, predictions / scales
    noise = len(a) * np.finfo(np.float64).eps
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spreads = np.sqrt((a * a).sum(axis=0)), np.sqrt((b * b).sum(axis=0))
    if min(spread.min() for spread in spreads) <= noise:
        warn_uninformative(
            "kNN is undefined here: a target, or what its neighbours predict, is constant; leave "
            "this target out"
        )
        return math.nan
    return float(((a * b).sum(axis=0) / (spreads[0] * spreads[1])).mean())


METRIC = Metric(
    "knn",
    compute,
    "accuracy of the k nearest neighbours, each sample left out in turn",
    ("classification", "regression"),
    "Bolya et al., NeurIPS 2021",
    choices={"metric": DISTANCES, "ties": TIES},
    family="pairs",
)
