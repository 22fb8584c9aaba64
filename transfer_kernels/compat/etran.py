"""mgholamikn/ETran, ``metrics``: its scores, and what SFDA's ``metrics`` have too.

What differs: beside what `transfer_kernels.compat.sfda` tells, X is never centred in place; the
share of ``Energy_Score`` is at least one sample, where the published mean of none is NaN;
``PAC_Score`` gives the optimum, where the published search stops after ten rounds from a random
start, and times of 0. ``LDA`` has no ``scalings_`` and no ``transform``: the published axes are an
arbitrary basis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import on_host
from ..metrics.etran_energy import etran_energy
from ..metrics.etran_lda import etran_lda
from ..metrics.problem import Problem
from .calls import number, published_errors
from .pac_gauss import pac_gauss
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
    softmax,
)

__all__ = [
    "LDA",
    "LEEP",
    "NLEEP",
    "PARC",
    "SFDA",
    "Energy_Score",
    "LDA_Score",
    "LogME",
    "LogME_Score",
    "PAC_Score",
    "PARC_Score",
    "SFDA_Score",
    "TransferabilityMethod",
    "feature_reduce",
]


class LDA:
    """The nearest class mean with priors, which the published class amounts to."""

    def __init__(self, shrinkage: Any = None, priors: Any = None, n_components: Any = None):
        self.shrinkage, self.priors, self.n_components = shrinkage, priors, n_components

    def fit(self, X: Any, y: Any) -> LDA:
        """Fit to features X (N, D) with labels y (N,)."""
        with published_errors(X):
            problem = Problem(X, y)
        self.classes_ = problem.classes
        self.priors_ = problem.class_counts / problem.n_samples
        self.means_ = on_host(problem.scatter.sums) / problem.class_counts[:, None]
        self.coef_ = self.means_
        self.intercept_ = np.log(self.priors_) - 0.5 * (self.means_**2).sum(axis=1)
        return self

    def predict_proba(self, X: Any, y: Any = None) -> np.ndarray:
        """Posteriors (N, C) of the classes; y is not looked at."""
        return softmax(np.asarray(X, dtype=np.float64) @ self.coef_.T + self.intercept_)


def LDA_Score(X: Any, y: Any) -> np.float64:
    """Mean probability of the true class by ``LDA``."""
    with published_errors(X):
        return number(etran_lda(X, y))


def Energy_Score(logits: Any, percent: float, tail: str) -> np.float64:
    """Mean energy of the features (N, D) of lowest energy, tail "bot", or else of highest."""
    return number(etran_energy(logits, None, percent, "bottom" if tail == "bot" else "top"))


def PAC_Score(features_np_all: Any, label_np_all: Any, lda_factor: float) -> Any:
    """PACTran's bounds with a Gaussian prior, at the optimum; see `pac_gauss`."""
    return pac_gauss(features_np_all, label_np_all, lda_factor)
