"""LogME's class as published code has it: what thuml-LogME, SFDA and their copies share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from ..kernels.array_namespace import beside, on_host
from ..metrics import logme as _logme
from ..metrics.problem import Problem
from .calls import number, published_errors


class LogME:
    """Bayesian linear model at the maximum evidence of its labels.

    ``ms`` (num_dim, D), the weights, zeros for classes that do not occur, is made when it is first
    asked for; it costs more than the score.
    NaN or infinity among the features raises `numpy.linalg.LinAlgError`, as published.

    Parameters
    ----------
    regression : bool
        Whether the labels are real targets.

    Attributes
    ----------
    fitted : bool
    num_dim : int
        Number of classes 0 ... max(label), or of targets.
    alphas, betas : list of float
        Precisions of weights and noise, of each of them.
    """

    def __init__(self, regression: bool = False):
        self.regression = regression
        self.fitted = False
        self.reset()

    def reset(self) -> None:
        """Forget the data of the last fit."""
        self.num_dim = 0
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self._ms: Any = []
        self._make_ms: Callable[[], np.ndarray] | None = None

    @property
    def ms(self) -> Any:
        """Weights, made when they are first asked for."""
        if self._make_ms is not None:
            self._ms, self._make_ms = self._make_ms(), None
        return self._ms

    def _fit_icml(self, f: Any, y: Any) -> np.float64:
        return self._fit_variant(f, y, "thuml-icml")

    def _fit_fixed_point(self, f: Any, y: Any) -> np.float64:
        return self._fit_variant(f, y, "thuml")

    _fit = _fit_fixed_point

    def _fit_variant(self, f: Any, y: Any, variant: str) -> np.float64:
        with published_errors(f):
            problem = Problem(f, y)
            found = _logme.fit(problem, self.regression, variant)
        self.alphas = [float(a) for a in on_host(found.alphas)]
        self.betas = [float(b) for b in on_host(found.betas)]
        self.num_dim = len(self.alphas)
        self._make_ms = later_weights(problem, found, self.regression, variant)
        return number(on_host(found.evidences).mean())

    def fit(self, f: Any, y: Any) -> np.float64:
        """The LogME score of features f (N, D) with labels or targets y (N,) or (N, C)."""
        if self.fitted:
            warnings.warn("fitted before: the parameters of that fit are dropped", stacklevel=2)
            self.reset()
        self.fitted = True
        return self._fit(f, y)

    def _logits(self, f: Any) -> Any:
        if not self.fitted:
            raise RuntimeError("this LogME is not fitted; call fit first")
        f = np.asarray(f, dtype=np.float64)
        return f @ self.ms.T

    def predict(self, f: Any) -> Any:
        """Most probable classes (N,) of features f (N, D), or targets (N, C)."""
        logits = self._logits(f)
        return logits if self.regression else np.argmax(logits, axis=-1)


def later_weights(
    problem: Problem, found: Any, regression: bool, variant: str
) -> Callable[[], np.ndarray]:
    """What makes the weights (K, d) of a fit; it keeps no reference to the caller's features."""
    ratios, width = found.ratios, problem.n_features
    present = np.ones(len(ratios), dtype=bool)
    if not regression:
        present = _logme.present_targets(problem, variant)
        ratios = ratios[beside(ratios, present)]
    if _logme.weights_need_rows(problem, ratios, regression):
        # The caller may write into the features before the weights are asked for.
        problem.features = deepcopy(problem.features)
    else:  # the Gram matrix and the class sums serve: keep the shape alone
        problem.features = np.broadcast_to(np.float32(0.0), (problem.n_samples, width))
    del problem.inputs

    def make() -> np.ndarray:
        weights = np.zeros((len(present), width))
        weights[present] = on_host(_logme.weights(problem, ratios, regression))
        return weights

    return make
