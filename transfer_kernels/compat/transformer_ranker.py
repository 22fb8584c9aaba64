"""transformer-ranker: its estimators ``LogME``, ``HScore`` and ``NearestNeighbors``.

What differs: embeddings may be arrays as well as tensors, labels of any kind. ``LogME`` with an
``initial_alpha / initial_beta`` other than 1 takes the slower way by singular values; regression
takes several targets too. An unknown ``distance_metric`` is a ValueError, where the published code
takes the Euclidean one. Neighbours are exact, where the published distances lose digits under a
large offset; of equal distances the earlier sample is the nearer. ``batch_size`` has no effect.
NaN raises a ValueError.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..kernels.array_namespace import on_host
from ..metrics import logme as _logme
from ..metrics.hscore import hscore
from ..metrics.problem import Problem
from ..ops import EvidenceRule

__all__ = ["HScore", "LogME", "NearestNeighbors"]


class Estimator:
    """What the three share: ``regression``, and ``score``, that of the last fit."""

    def __init__(self, regression: bool = False, **kwargs: Any):
        self.regression = regression
        self.score: float | None = None


class LogME(Estimator):
    """Log of the maximum evidence; each class starts from its predecessor's alpha and beta."""

    def fit(
        self,
        embeddings: Any,
        labels: Any,
        initial_alpha: float = 1.0,
        initial_beta: float = 1.0,
        max_iter: int = 11,
        tol: float = 1e-3,
        **kwargs: Any,
    ) -> float:
        """Score embeddings (n, d) with labels or targets (n,)."""
        if not (initial_alpha > 0.0 and initial_beta > 0.0 and max_iter >= 1):
            raise ValueError(
                f"initial_alpha={initial_alpha!r}, initial_beta={initial_beta!r} and "
                f"max_iter={max_iter!r} must be positive"
            )
        published = _logme.VARIANTS["transformer-ranker"]
        rule = EvidenceRule(
            full_spectrum=False, warm_start=True, max_rounds=int(max_iter), tolerance=float(tol)
        )
        # alpha and beta enter the first round by their ratio alone.
        variant = replace(published, rule=rule, start=float(initial_alpha) / float(initial_beta))
        found = _logme.fit(Problem(embeddings, labels), self.regression, variant)
        self.score = float(on_host(found.evidences).mean())
        return self.score


class HScore(Estimator):
    """H-score with the covariance shrunk by Ledoit and Wolf; of classes only."""

    def __init__(self, regression: bool = False):
        if regression:
            raise ValueError("regression=True: the H-score takes classes only; use LogME")
        super().__init__(regression)

    def fit(self, embeddings: Any, labels: Any, **kwargs: Any) -> float:
        """Score embeddings (n, d) with labels (n,)."""
        self.score = hscore(embeddings, labels, "ledoit-wolf")
        return self.score


class NearestNeighbors(Estimator):
    """Vote of the k nearest neighbours, each sample left out in turn.

    The score is the accuracy; with two classes the F1 score of the second, as published, and with
    ``regression`` Pearson's correlation of targets and mean neighbours.
    """

    def __init__(self, regression: bool = False, k: int = 3):
        super().__init__(regression)
        self.k = k

    def fit(
        self,
        embeddings: Any,
        labels: Any,
        batch_size: int = 1024,
        distance_metric: str = "euclidean",
        **kwargs: Any,
    ) -> float:
        """Score embeddings (n, d) with labels or targets (n,)."""
        from ..metrics import knn

        if distance_metric not in ("euclidean", "cosine"):
            raise ValueError(f"distance_metric={distance_metric!r}: use 'euclidean' or 'cosine'")
        problem = Problem(embeddings, labels)
        if self.regression or len(problem.classes) > 2:
            score = knn.compute(problem, self.k, distance_metric, "smallest", self.regression)
            self.score = float(score)
        else:
            self.score = self._f1_of_second_class(problem, distance_metric)
        return self.score

    def _f1_of_second_class(self, problem: Problem, metric: str) -> float:
        indices, _ = problem.ops.nearest_neighbors(problem.features, self.k, metric)
        codes = problem.host_codes
        votes = codes[on_host(indices)].sum(axis=1)
        predicted = 2 * votes > self.k  # a tied vote is the first class's
        hits = float(np.sum(predicted & (codes == 1)))
        wrong = float(np.sum(predicted != (codes == 1)))
        return 2.0 * hits / (2.0 * hits + wrong) if hits else 0.0
