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
from typing import Any

import numpy as np

from ..inputs import arrays
from ..kernels.array_namespace import array_namespace, beside, on_host
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

#: Relative rounding of features stored in float32. The coarser float16 is left in: what its
#: rounding makes of the features is the same on every backend.
FLOAT32_EPS = 2.0**-23


def parc(
    features: Any,
    labels: Any,
    n_components: int | None = None,
    *,
    ignore_label: Any = None,
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
        without a projection the work is n^2 d flops. Components at the level of rounding noise,
        relative to the largest, are left out with a warning.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
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
        If all feature distances or all label distances are equal; or if components were left out,
        since the features vary in fewer directions than n_components.

    References
    ----------
    Bolya et al., "Scalable Diverse Model Selection for Accessible Transfer Learning", NeurIPS 2021.
    """
    return METRIC(
        features, labels, ignore_label=ignore_label, backend=backend, n_components=n_components
    )


@np.errstate(all="ignore")  # what underflows should, whatever the caller traps
def compute(problem: Problem, n_components: int | None = None) -> float:
    """The score of a problem; see `parc`."""
    problem, _ = problem.rescaled  # the score does not depend on the scale
    X = problem.features
    targets = problem.targets if problem.labels.ndim == 2 else None
    codes = problem.codes if targets is None else None
    if n_components is not None:
        arrays.require_components(n_components, X.shape)
        X = _above_rounding(X, problem.ops.randomized_pca(X, n_components))
        if X is None:
            warn_uninformative(
                "PARC is undefined here: the features are constant, but for rounding noise; use "
                "features that vary"
            )
            return math.nan
    if targets is not None:
        value = problem.ops.parc_correlation_vectors(X, targets)
    else:
        value = problem.ops.parc_correlation(X, codes)
    value = float(value)
    if math.isnan(value):
        warn_uninformative(
            "PARC is undefined here: all pairs of samples have the same feature distance or the "
            "same label distance; use more samples of each class, or features that vary"
        )
    return 100.0 * value


def _above_rounding(features: Any, scores: Any) -> Any:
    """Principal scores without the components that are rounding noise; None if all are.

    PARC standardises its columns, which would blow noise up to the size of the leading component.
    """
    n, d = features.shape
    sizes = on_host((scores * scores).sum(axis=0) ** 0.5)
    origin = on_host(features.mean(axis=0, dtype=array_namespace(features).float64))
    eps = float(np.finfo(np.float64).eps)
    stored = FLOAT32_EPS if features.dtype.itemsize <= 4 else 0.0
    relative = max(stored, max(n, d) * eps) * sizes.max()
    # The mean is rounded by up to n eps / 2, some sqrt(n) eps as a rule, in each of n rows.
    centring = 4.0 * eps * n * float(np.linalg.norm(origin))
    kept = np.flatnonzero(sizes > max(relative, centring))
    if len(kept) == 0:
        return None
    if len(kept) < len(sizes):
        warn_uninformative(
            f"PARC: {len(sizes)} components were asked for, but the features vary in {len(kept)} "
            "only; the others are rounding noise and were left out"
        )
        return scores[:, beside(scores, kept)]
    return scores


METRIC = Metric(
    "parc",
    compute,
    "rank correlation of the samples' feature distances with their label distances",
    ("classification", "label vectors"),
    "Bolya et al., NeurIPS 2021",
    family="pairs",
)
