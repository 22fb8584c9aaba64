"""Transfer-Learning-Library, ``tllib.ranking``: its functions, with their signatures.

What differs: classes are those that occur, where an absent integer class raised ZeroDivisionError
in published ``log_maximum_evidence`` and ``transrate``; regression targets may be one-dimensional;
``transrate`` and the class means of ``h_score`` are taken in float64 whatever the features' dtype;
source classes without mass contribute nothing to ``log_expected_empirical_prediction``, which takes
probabilities only. NaN raises `numpy.linalg.LinAlgError`, in ``transrate`` too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import on_host
from ..metrics import logme as _logme
from ..metrics.hscore import hscore
from ..metrics.problem import Problem
from ..metrics.transrate import transrate as _transrate
from .calls import number, published_errors
from .evidence_model import later_weights
from .thuml_logme import LEEP as _leep
from .thuml_logme import NCE as _nce

__all__ = [
    "coding_rate",
    "h_score",
    "log_expected_empirical_prediction",
    "log_maximum_evidence",
    "negative_conditional_entropy",
    "regularized_h_score",
    "transrate",
]


def log_maximum_evidence(
    features: Any, targets: Any, regression: bool = False, return_weights: bool = False
) -> Any:
    """LogME of features (N, F); with ``return_weights`` a pair, the other the (C, F) weights."""
    with published_errors(features):
        problem = Problem(features, targets)
        found = _logme.fit(problem, regression, "tllib")
    score = number(on_host(found.evidences).mean())
    if not return_weights:
        return score
    return score, later_weights(problem, found, regression, "tllib")()


def negative_conditional_entropy(source_labels: Any, target_labels: Any) -> np.float64:
    """Negative conditional entropy of target labels (N,) given source labels (N,)."""
    return _nce(source_labels, target_labels)


def log_expected_empirical_prediction(predictions: Any, labels: Any) -> np.float64:
    """LEEP of source probabilities (N, C_s) with labels (N,) or (N, 1)."""
    return _leep(predictions, labels)


def h_score(features: Any, labels: Any) -> np.float64:
    """H-score of features (N, F) with labels (N,)."""
    with published_errors(features):
        return number(hscore(features, labels))


def regularized_h_score(features: Any, labels: Any) -> np.float64:
    """H-score with the covariance shrunk by Ledoit and Wolf."""
    with published_errors(features):
        return number(hscore(features, labels, "ledoit-wolf"))


def transrate(features: Any, labels: Any, eps: float = 1e-4) -> np.float64:
    """TransRate of features (N, F) with labels (N,)."""
    with published_errors(features):
        return number(_transrate(features, labels, eps))


def coding_rate(features: Any, eps: float = 1e-4) -> np.float64:
    """Half the log-determinant of I + X^T X / (N eps), features X (N, F) as they are."""
    with published_errors(features):
        problem = Problem(features, None)
        scale = 1.0 / (problem.n_samples * eps)
        return number(0.5 * problem.ops.log_determinant(problem.gram, scale))
