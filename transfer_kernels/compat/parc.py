"""dbolya/parc, ``methods``: its transferability methods, called with seven arguments.

What differs: ``PARC`` ties the label distances that are equal. Published code correlates one-hot
rows in floating point, and rounding unties them: its score is off by tenths of a point and more,
depends on the numbering of the classes and the machine (2.26 published where the exact value is
7.04 on a case of this package's tests), and varies below 0.1 points anyway. Class numbers come
from the labels, not from the peer's ``constants``. ``LEEP`` takes probabilities only, whatever
``src``. ``kNN`` leaves each sample out by its index, so that duplicates vote, and shares every
tied vote. ``RSA`` and ``DDS`` read the reference's pickle without executing anything in it.
``SplitLogistic`` works, which raises TypeError with today's scikit-learn as published.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import on_host
from ..metrics.hscore import hscore
from ..metrics.problem import Problem
from . import feature_methods
from .calls import number, published_errors
from .feature_methods import feature_reduce
from .reference_pickle import reference_features

__all__ = [
    "DDS",
    "PARC",
    "RSA",
    "HScore",
    "LEEP",
    "NegativeCrossEntropy",
    "SplitLogistic",
    "SplitkNN",
    "TransferabilityMethod",
    "feature_reduce",
    "kNN",
]


class TransferabilityMethod:
    """Base to subclass: `forward` reads the seven arguments as attributes and gives the score."""

    n_dims: int | None = None

    def __call__(
        self,
        features: Any,
        probs: Any,
        y: Any,
        source_dataset: str,
        target_dataset: str,
        architecture: str,
        cache_path_fn: Any,
    ) -> Any:
        """The score of a model's features (N, D) and source probabilities for labels y."""
        self.features, self.probs, self.y = features, probs, y
        self.source_dataset, self.target_dataset = source_dataset, target_dataset
        self.architecture, self.cache_path_fn = architecture, cache_path_fn
        return self.forward()

    def forward(self) -> Any:
        """The score; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def _reduced(self) -> Any:
        return feature_reduce(self.features, self.n_dims)


class PARC(TransferabilityMethod):
    """PARC x 100, of labels (N,) or label vectors (N, C)."""

    def __init__(self, n_dims: int | None = None, fmt: str = ""):
        self.n_dims, self.fmt = n_dims, fmt

    def forward(self) -> np.float64:
        """The score."""
        return feature_methods.PARC(self.n_dims, self.fmt)(self.features, self.y)


class HScore(TransferabilityMethod):
    """H-score, in float64; both published implementations are the same value."""

    def __init__(self, n_dims: int | None = None, use_published_implementation: bool = False):
        self.n_dims = n_dims
        self.use_published_implementation = use_published_implementation

    def forward(self) -> np.float64:
        """The score."""
        with published_errors(self.features):
            return number(hscore(self._reduced(), self.y))


class LEEP(TransferabilityMethod):
    """LEEP of ``probs``, or of other probabilities that ``src`` names."""

    def __init__(
        self,
        n_dims: int | None = None,
        src: str = "probs",
        normalization: str | None = None,
        use_sigmoid: bool = False,
    ):
        self.n_dims, self.src = n_dims, src
        self.normalization, self.use_sigmoid = normalization, use_sigmoid

    def forward(self) -> np.float64:
        """The score."""
        from ..metrics.leep import leep

        return number(leep(getattr(self, self.src), self.y))


class NegativeCrossEntropy(TransferabilityMethod):
    """Negative conditional entropy with ``eps`` added to every cell, 1e-5 as published."""

    def forward(self, eps: float = 1e-5) -> np.float64:
        """The score."""
        from ..metrics.nce import nce

        if eps != 1e-5:
            raise ValueError(f"eps={eps!r}: only the published 1e-5 is there")
        return number(nce(self.probs, self.y, "parc"))


class kNN(TransferabilityMethod):
    """100 x the accuracy of the k nearest neighbours, each sample left out in turn."""

    def __init__(self, k: int = 1, metric: str = "l2", n_dims: int | None = None):
        self.k, self.metric, self.n_dims = k, metric, n_dims

    def forward(self) -> np.float64:
        """The score; distances are "l2", which is "euclidean", or "cosine"."""
        from ..metrics.knn import knn

        metric = "euclidean" if self.metric == "l2" else self.metric
        return number(100.0 * knn(self._reduced(), self.y, self.k, metric))


class _Split(TransferabilityMethod):
    percent_train: float

    def _parts(self, values: Any) -> tuple[Any, Any]:
        """The first samples, to learn from, and the last, ``percent_train`` of all, to test."""
        start = len(values) - int(self.percent_train * len(values))
        return values[:start], values[start:]


class SplitkNN(_Split):
    """100 x the accuracy on the last samples of a vote of the k nearest of the first."""

    def __init__(self, percent_train: float = 0.5, k: int = 1, n_dims: int | None = None):
        self.percent_train, self.k, self.n_dims = percent_train, k, n_dims

    def forward(self) -> np.float64:
        """The score."""
        from ..kernels.nearest_neighbors.shared_voting import vote

        problem = Problem(self._reduced(), self.y)
        (seen, tested), (known, truth) = map(self._parts, (problem.features, problem.codes))
        indices, _ = problem.ops.nearest_neighbors(tested, self.k, "euclidean", seen)
        shares = vote(indices, known, truth, "smallest")
        return number(100.0 * on_host(shares).mean())


class SplitLogistic(_Split):
    """100 x the accuracy on the last samples of scikit-learn's regression on the first."""

    def __init__(self, percent_train: float = 0.5, n_dims: int | None = None):
        self.percent_train, self.n_dims = percent_train, n_dims

    def forward(self) -> np.float64:
        """The score; needs scikit-learn."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.utils._testing import ignore_warnings

        (seen, tested), (known, truth) = map(self._parts, (self._reduced(), self.y))
        model = LogisticRegression(random_state=0, solver="lbfgs", max_iter=20, tol=1e-1)
        with ignore_warnings(category=ConvergenceWarning):  # twenty rounds are what is wanted
            model.fit(seen, known)
        return number(100.0 * np.mean(model.predict(tested) == truth))


class _Reference(TransferabilityMethod):
    def __init__(self, reference_architecture: str | None = None, n_dims: int | None = None):
        self.reference_architecture, self.n_dims = reference_architecture, n_dims

    def _pair(self) -> dict[str, Any]:
        """Features, and those of the architecture trained on the target, from its pickle."""
        name = self.reference_architecture or self.architecture
        path = self.cache_path_fn(name, self.target_dataset, self.target_dataset)
        reference = feature_reduce(reference_features(path), self.n_dims)
        return {"features": self._reduced(), "reference": reference}


class RSA(_Reference):
    """Representation similarity analysis x 100 with a model trained on the target."""

    def forward(self) -> np.float64:
        """The score."""
        from ..metrics.rsa import rsa

        return number(rsa(**self._pair()))


class DDS(_Reference):
    """Duality diagram similarity x 100 with a model trained on the target."""

    def forward(self) -> np.float64:
        """The score."""
        from ..metrics.dds import dds

        return number(dds(**self._pair()))
