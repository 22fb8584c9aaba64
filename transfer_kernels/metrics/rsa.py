"""RSA, representation similarity analysis: are samples alike for both of two models?

    K. Dwivedi, G. Roig: "Representation Similarity Analysis for Efficient Task Taxonomy & Transfer
    Learning", CVPR 2019.

Spearman's rank correlation, over all pairs of samples, between their distances in the features and
their distances in reference features, of a model that was trained on the target: PARC with features
in the place of labels. The distance is 1 - Pearson's correlation of two samples, columns
standardised.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .problem import Problem
from .registry import Metric
from .standardised import standardised
from .uninformative import warn_uninformative


def rsa(
    features: Any,
    labels: Any = None,
    *,
    reference: Any,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Similarity of features to reference features by RSA: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : optional
        Not looked at; only ``ignore_label`` is sought in them.
    reference : (n, m) array or tensor
        Features of the same samples, in the same order, by a model trained on the target.
    ignore_label : optional
        Samples with this label are left out.
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
        See `Problem`; also if the reference is no matrix of finite real numbers with a row for each
        sample.

    Warns
    -----
    UninformativeScoreWarning
        If all distances in the features, or all in the reference, are equal.

    References
    ----------
    Dwivedi and Roig, "Representation Similarity Analysis for Efficient Task Taxonomy & Transfer
    Learning", CVPR 2019.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend, reference=reference)


@np.errstate(all="ignore")
def compute(problem: Problem) -> float:
    """The score of a problem; see `rsa`."""
    # Standardised here, the features are of ordinary size whatever their unit.
    value = float(
        problem.ops.parc_correlation_vectors(
            standardised(problem.features).whole(), standardised(problem.inputs.reference).whole()
        )
    )
    if math.isnan(value):
        warn_uninformative(
            "RSA is undefined here: all pairs of samples have the same distance in the features or "
            "in the reference; use more samples, or features that vary"
        )
    return 100.0 * value


METRIC = Metric(
    "rsa",
    compute,
    "rank correlation of the samples' distances with those in reference features",
    (),
    "Dwivedi and Roig, CVPR 2019",
    needs=frozenset({"features", "reference"}),
)
