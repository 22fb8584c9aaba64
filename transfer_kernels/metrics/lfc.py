"""LFC, label-feature correlation: are samples alike in their features where their labels agree?

    A. Deshpande, A. Achille, A. Ravichandran, H. Li, L. Zancato, C. Fowlkes, R. Bhotika, S. Soatto,
    P. Perona: "A linearized framework and a new benchmark for model selection for fine-tuning",
    arXiv:2102.00084, 2021.

With K = X X^T and Y = +1 for pairs of one class and -1 for others, both (n, n) and less their mean,

    LFC = <K, Y> / (|K| |Y|).

No (n, n) matrix is needed: with Z the centred features, m their mean, S_c the class sums of Z and
G = Z^T Z, K is z_i.z_j + z_i.m + z_j.m, and so

    |K|^2 = |G|^2 + 2 n m^T G m       <K, Y> = 2 sum over c of (|S_c|^2 + 2 n_c S_c.m)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, beside, on_host
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative


def lfc(
    features: Any, labels: Any = None, *, ignore_label: Any = None, backend: str | None = None
) -> float:
    """Transferability by LFC, the correlation of label and feature kernels: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor, or FisherScatter
        Features of the target's samples, float16, bfloat16, float32, float64 or integers; or their
        sums by `transfer_kernels.ops.fisher_scatter`, which hold the classes too: then no labels.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In [-1, 1]. NaN, with a warning, for features that do not vary.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur.

    Warns
    -----
    UninformativeScoreWarning
        If the features do not vary.

    References
    ----------
    Deshpande et al., "A linearized framework and a new benchmark for model selection for
    fine-tuning", arXiv:2102.00084, 2021.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend)


@np.errstate(all="ignore")
def compute(problem: Problem) -> float:
    """The score of a problem; see `lfc`."""
    problem, _ = problem.rescaled  # the score does not depend on the scale
    n, counts = problem.n_samples, problem.class_counts
    gram, mean = problem.centred_gram, problem.mean
    xp = array_namespace(gram)
    sums = problem.centred.shifted_sums
    square = float((xp.triu(gram) ** 2).sum() + (xp.triu(gram, 1) ** 2).sum())
    if n >= problem.n_features or problem.only_sums:
        symmetric = xp.triu(gram) + xp.triu(gram, 1).T
        along_mean = float(mean @ symmetric @ mean)
    else:
        along_mean = float(((problem.centred_rows @ mean) ** 2).sum())
    together = (sums**2).sum(axis=1) + 2.0 * beside(sums, counts) * (sums @ mean)
    same = float((counts**2).sum())
    labels = n**2 - (2.0 * same - n**2) ** 2 / n**2
    kernel = square + 2.0 * n * along_mean
    if not kernel > 0.0:
        warn_uninformative("LFC is undefined here: the features do not vary; use others")
        return math.nan
    return float(2.0 * on_host(together).sum() / math.sqrt(kernel * labels))


METRIC = Metric(
    "lfc",
    compute,
    "correlation of the samples' products with whether their labels agree",
    paper="Deshpande et al., arXiv:2102.00084, 2021",
    from_scatter=True,
    family="pairs",
)
