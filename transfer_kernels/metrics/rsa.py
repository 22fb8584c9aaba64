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

from .reference_features import Pair, pair_of, standardised
from .uninformative import warn_uninformative


def rsa(features: Any, reference: Any, *, backend: str | None = None) -> float:
    """Similarity of features to reference features by RSA: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    reference : (n, m) array or tensor
        Features of the same samples, in the same order, by a model trained on the target.
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
        If one of them is no matrix of finite real numbers, or they are not of the same samples.

    Warns
    -----
    UninformativeScoreWarning
        If all distances in the features, or all in the reference, are equal.

    References
    ----------
    Dwivedi and Roig, "Representation Similarity Analysis for Efficient Task Taxonomy & Transfer
    Learning", CVPR 2019.
    """
    return of_pair(pair_of(features, reference, backend))


@np.errstate(all="ignore")
def of_pair(pair: Pair) -> float:
    """The score of checked features; see `rsa`."""
    # Standardised here, the features are of ordinary size whatever their unit.
    value = float(
        pair.ops.parc_correlation_vectors(
            standardised(pair.features).whole(), standardised(pair.reference).whole()
        )
    )
    if math.isnan(value):
        warn_uninformative(
            "RSA is undefined here: all pairs of samples have the same distance in the features or "
            "in the reference; use more samples, or features that vary"
        )
    return 100.0 * value
