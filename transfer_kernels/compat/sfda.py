"""TencentARC/SFDA: its ``metrics`` and ``rank_correlation``, with their signatures.

What differs: ``SFDA_Score`` never writes into X and prints nothing; for float32 X the published
code rounds the features that it has mixed to float32 (1e-9 in the score). PARC's label distances
tie as they should, see the pages; ``PARC_Score`` takes all samples, however many, where the
published one fails. ``NLEEP`` is made in float64 from seed 0, where the published mixture is not
seeded. ``SFDA.coef_`` and ``intercept_`` leave out what all classes share; there is no
``covariance_``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import beside, on_host
from ..metrics import sfda as _sfda
from ..metrics.problem import Problem
from . import evidence_model
from .calls import SEED, number, published_errors
from .feature_methods import PARC, PARC_Score, TransferabilityMethod, feature_reduce
from .rank_correlation import (
    kendall_metric,
    pearson_coef,
    recall_k,
    rel_k,
    w_kendall_metric,
    wpearson_coef,
)
from .source_heads import LEEP

__all__ = [
    "LEEP",
    "NLEEP",
    "PARC",
    "SFDA",
    "LogME",
    "LogME_Score",
    "PARC_Score",
    "SFDA_Score",
    "TransferabilityMethod",
    "feature_reduce",
    "kendall_metric",
    "pearson_coef",
    "recall_k",
    "rel_k",
    "w_kendall_metric",
    "wpearson_coef",
]


class LogME(evidence_model.LogME):
    """As in thuml/LogME, but that `predict` gives probabilities of the classes (N, C)."""

    def predict(self, f: Any) -> np.ndarray:
        """Softmax of the linear models of features f (N, D); targets (N, C) of a regression."""
        logits = self._logits(f)
        return logits if self.regression else softmax(logits)


class SFDA:
    """Linear discriminant analysis, shrunk; ``shrinkage`` is chosen by `fit` where it is None."""

    def __init__(self, shrinkage: Any = None, priors: Any = None, n_components: Any = None):
        self.shrinkage = shrinkage
        self.priors = priors  # the published code does not look at them either
        self.n_components = n_components

    def fit(self, X: Any, y: Any) -> SFDA:
        """Fit to features X (N, D) with labels y (N,)."""
        with published_errors(X):
            problem = Problem(X, y)
        most = min(len(problem.classes) - 1, problem.n_features)
        if self.n_components is not None and self.n_components > most:
            raise ValueError(f"n_components={self.n_components} must be at most {most}")
        self._max_components = most if self.n_components is None else self.n_components
        stage = _sfda.first_stage(problem, self.shrinkage)
        found = _sfda.discriminant_of_features(stage)
        self.shrinkage = number(stage.shrinkage)
        self.classes_ = problem.classes
        self.priors_ = problem.class_counts / problem.n_samples
        self.means_ = on_host(found.means + found.center)
        self.coef_, self.intercept_ = on_host(found.coef), on_host(found.intercept)
        self.scalings_ = on_host(_sfda.fisher_axes(found, beside(found.coef, self.priors_)))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Coordinates (N, n_components) in the Fisher space, not centred, as published."""
        return np.asarray(X, dtype=np.float64) @ self.scalings_[:, : self._max_components]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Posteriors (N, C) of the classes."""
        return softmax(np.asarray(X, dtype=np.float64) @ self.coef_.T + self.intercept_)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax of every row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def SFDA_Score(X: Any, y: Any) -> np.float64:
    """The SFDA score of features X (N, D) with labels y (N,)."""
    with published_errors(X):
        return number(_sfda.sfda(X, y))


def LogME_Score(X: Any, y: Any) -> np.float64:
    """The LogME score of features X (N, D) with labels y (N,)."""
    return LogME(regression=False).fit(X, y)


def NLEEP(X: Any, y: Any, component_ratio: float = 5) -> np.float64:
    """LEEP of a mixture of ``component_ratio`` Gaussians a class, without a logarithm."""
    from ..metrics import nleep

    with published_errors(X):
        problem = Problem(X, y)
        components = int(component_ratio * len(problem.classes))
        return number(nleep.compute(problem, "sfda", components, SEED))
