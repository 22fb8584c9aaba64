"""PARC as SFDA and the code bases that copied it have it: a method called with features and y."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs import arrays
from ..kernels.array_namespace import on_host
from ..metrics.parc import parc
from ..metrics.problem import Problem
from .calls import number

#: Principal components of PARC, as in the paper.
COMPONENTS = 32


def feature_reduce(features: Any, f: int | None = None) -> Any:
    """Features on their f leading principal components, by PARC's randomised method."""
    if f is None:
        return features
    problem = Problem(features, None)
    f = min(f, problem.n_samples)
    arrays.require_components(f, problem.features.shape)
    return np.asarray(on_host(problem.ops.randomized_pca(problem.features, f)))


class TransferabilityMethod:
    """Base to subclass: `forward` reads ``self.features`` and ``self.y`` and gives the score."""

    features: Any
    y: Any

    def __call__(self, features: Any, y: Any) -> Any:
        """The score of features (N, D) with labels y."""
        self.features, self.y = features, y
        return self.forward()

    def forward(self) -> Any:
        """The score; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")


class PARC(TransferabilityMethod):
    """PARC x 100; label distances that are equal tie, where published rounding unties them."""

    def __init__(self, n_dims: int | None = None, fmt: str = ""):
        self.n_dims, self.fmt = n_dims, fmt

    def forward(self) -> np.float64:
        """The score of ``self.features`` with ``self.y``."""
        n_dims = None if self.n_dims is None else min(self.n_dims, len(self.features))
        return number(parc(self.features, self.y, n_dims))


def PARC_Score(X: Any, y: Any, ratio: float = 2) -> np.float64:
    """PARC on 32 components, or for a ratio up to 1 on that share of the features' number."""
    return PARC(n_dims=COMPONENTS if ratio > 1 else int(X.shape[1] * ratio))(X, y)
