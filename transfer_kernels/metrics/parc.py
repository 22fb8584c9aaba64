"""PARC: pairwise annotation representation comparison (Bolya et al., NeurIPS 2021).

    D. Bolya, R. Mittapalli, J. Hoffman: "Scalable Diverse Model Selection for Accessible Transfer
    Learning", NeurIPS 2021.

Samples whose labels are alike should have features that are alike. Over all pairs of samples,

    PARC = 100 x Spearman( 1 - Pearson(features), 1 - Pearson(one-hot labels) )

the features' columns standardised first, optionally after a projection on their leading principal
components (32 in the paper). With class labels the label distance has just two values, so that the
coefficient is a rank sum. Published code lets rounding noise break the ties of the label distance
and its values differ from the tied ones, by tenths of a point and more.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import arrays, ops
from .problem import Problem
from .registry import Metric
from .uninformative import UninformativeScoreWarning


def parc(
    features: Any,
    labels: Any,
    n_components: int | None = None,
    *,
    backend: str | None = None,
) -> float:
    """Transferability by PARC: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list, or (n, k) real array
        Class labels of any hashable kind, or label vectors such as multi-label indicators or
        probabilities, whose pairwise Pearson correlations are then compared.
    n_components : int, optional
        Project on so many principal components first, by the randomised method of the published
        code with its fixed seed. The paper uses 32, which also makes many samples affordable:
        without a projection the work is n^2 d flops.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        100 x Spearman's coefficient, in [-100, 100]. NaN, with a warning, where all pairs are
        alike.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, label vectors are not finite, or
        n_components is not in [1, min(n, d)].

    Warns
    -----
    UninformativeScoreWarning
        If all feature distances or all label distances are equal.

    References
    ----------
    Bolya et al., "Scalable Diverse Model Selection for Accessible Transfer Learning", NeurIPS 2021.
    """
    return compute(Problem(features, labels, backend), n_components)


def compute(problem: Problem, n_components: int | None = None) -> float:
    """The score of a problem; see `parc`."""
    X = problem.features
    if n_components is not None:
        arrays.require_components(n_components, X.shape)
        X = ops.randomized_pca(X, n_components, backend=problem.backend)
    if problem.labels.ndim == 2:
        value = ops.parc_correlation_vectors(X, problem.targets, backend=problem.backend)
    else:
        value = ops.parc_correlation(X, problem.codes, backend=problem.backend)
    if math.isnan(value):
        warnings.warn(
            "PARC is undefined here: all pairs of samples have the same feature distance or the "
            "same label distance; use more samples of each class, or features that vary",
            UninformativeScoreWarning,
            stacklevel=3,
        )
    return 100.0 * value


METRIC = Metric("parc", compute)
