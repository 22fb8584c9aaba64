"""PACTran with a Gaussian prior in the form that EMMS and ETran return: costs, lower is better."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics.problem import Problem
from .calls import published_errors

#: Factors of the bound's variance for every ``lda_factor``, as published.
FACTORS = {10.0: (1000.0, 100.0), 1.0: (100.0, 10.0), 0.1: (10.0, 1.0)}


def pac_gauss(features_np_all: Any, label_np_all: Any, lda_factor: float) -> tuple[list, Any]:
    """The published pairs of name and value, and None for the coefficients.

    Twice, for the larger and the smaller variance: the bound ``pac_gauss_...``, a time of 0, the
    probe's loss at its optimum ``pac_opt_...``, a time of 0.

    Raises
    ------
    ValueError
        If the factor is none of the published ones, where published code raises UnboundLocalError.
    """
    from ..metrics import pactran_gauss, softmax_fit

    factors = FACTORS.get(float(lda_factor))
    if factors is None:
        raise ValueError(f"lda_factor={lda_factor!r}: choose one of 10, 1 and 0.1")
    with published_errors(features_np_all):
        problem = Problem(features_np_all, label_np_all)
        fitted = softmax_fit.fit(problem, float(lda_factor))
    found: list[tuple[str, float]] = []
    for factor in factors:
        bound = -pactran_gauss.of_fit(problem, fitted, float(lda_factor), factor / lda_factor)
        found += [(f"pac_gauss_{lda_factor:.1f}", np.float64(bound)), ("time", 0.0)]
        found += [(f"pac_opt_{lda_factor:.1f}", np.float64(fitted.loss)), ("time", 0.0)]
    return found, None
