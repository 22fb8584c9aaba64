"""BUserName/NCTI, ``metrics``: ``NCTI_Score``, and what SFDA has too.

What differs: beside what `transfer_kernels.compat.sfda` tells, ``NCTI_Score`` takes the exact
principal axes, where scikit-learn's default is a randomised method for many samples and features
(percents in the score), and prints nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import number, published_errors
from .sfda import (
    LEEP,
    NLEEP,
    PARC,
    SFDA,
    LogME,
    LogME_Score,
    PARC_Score,
    SFDA_Score,
    TransferabilityMethod,
    feature_reduce,
)

__all__ = [
    "LEEP",
    "NLEEP",
    "PARC",
    "SFDA",
    "LogME",
    "LogME_Score",
    "NCTI_Score",
    "PARC_Score",
    "SFDA_Score",
    "TransferabilityMethod",
    "feature_reduce",
]


def NCTI_Score(X: Any, y: Any) -> tuple[np.float64, np.float64, np.float64]:
    """The three parts (seli, ncc, vc) of features X (N, D) with labels y (N,)."""
    from ..metrics.ncti import ncti

    with published_errors(X):
        found = ncti(X, y)
    return number(found.seli), number(found.ncc), number(found.vc)
