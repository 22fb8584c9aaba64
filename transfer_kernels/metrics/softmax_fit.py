"""The linear probe: softmax regression with a penalty, fitted to its optimum, which is unique.

The loss is the mean over the n samples of -ln p(true class), p = softmax(W z + b) of the centred
features z, plus |W|^2 / (2 n scale). It is strictly convex but for a constant in b, which changes
nothing, so that the optimum depends neither on a start nor on the order of samples or features.

L-BFGS (Liu and Nocedal, Math. Programming 1989) finds it, from zero. The loss is convex along every
line, so that the line search looks at slopes alone: rounding of the loss does not end it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels.array_namespace import beside, on_host
from .problem import Problem
from .uninformative import warn_uninformative

#: Pairs of steps that L-BFGS remembers.
PAIRS = 20
#: The gradient's norm, in units of its norm at zero, at which the optimum is reached.
TOLERANCE = 1e-11
#: Evaluations at most.
LIMIT = 5000
#: Slope that may be left of a line's first.
SLOPE = 0.9


@dataclass(frozen=True)
class SoftmaxFit:
    """The optimum of the penalised loss.

    Parameters
    ----------
    loss : float
        Mean cross-entropy and penalty, in nats.
    curvature : float
        Sum over the samples of (|z|^2 + 1) times the sum over the classes of p (1 - p).
    n_evaluations : int
        Of loss and gradient, two products with the features each.
    """

    loss: float
    curvature: float
    n_evaluations: int


class _Objective:
    """Loss, gradient and curvature by coefficients in units that make all features alike."""

    def __init__(self, problem: Problem, scale: float) -> None:
        self.n, d = problem.n_samples, problem.n_features
        X, mean = problem.features, problem.mean
        if self.n < d:  # the optimum lies in the samples' span: n numbers of each tell all
            X, _, _ = problem.ops.row_space(X)
            mean = beside(X, np.zeros(X.shape[1]))
        self.X, self.mean, self.codes, self.op = X, mean, problem.codes, problem.ops
        self.ridge = 1.0 / (self.n * scale)
        counts = problem.class_counts
        spread = float(1.0 - ((counts / self.n) ** 2).sum())
        # Coefficients in units of about the curvature of each. Quiet features take part only up to
        # where they are ordinary: raised to the size of others, their noise would cost steps.
        variances = self._variances(problem)
        variances = variances + 3.0 * float(np.median(on_host(variances)))
        roots = (variances * (spread / len(counts)) + self.ridge) ** 0.5
        self.roots = beside(X, roots)[:, None]
        self.intercept_root = (spread / len(counts)) ** 0.5
        self.start = beside(X, np.zeros((len(roots) + 1, len(counts))))

    def _variances(self, problem: Problem) -> Any:
        if self.X is not problem.features:
            return (self.X * self.X).sum(axis=0) / self.n
        return problem.centred.shifted_gram.diagonal() / self.n

    def __call__(self, parameters: Any) -> Any:
        coef = parameters[:-1] / self.roots
        intercept = parameters[-1] / self.intercept_root
        loss, gradient, curvature = self.op.softmax_regression(
            self.X, self.codes, coef.T, intercept, self.mean
        )
        loss = loss / self.n + 0.5 * self.ridge * float((coef * coef).sum())
        gradient = beside(coef, gradient) / self.n
        gradient[:-1] = (gradient[:-1] + self.ridge * coef) / self.roots
        gradient[-1] = gradient[-1] / self.intercept_root
        return loss, gradient, curvature


def fit(problem: Problem, scale: float) -> SoftmaxFit:
    """The optimum; made once for a problem and a scale.

    Raises
    ------
    ValueError
        If scale is not positive and finite.
    """
    if not 0.0 < scale < math.inf:
        raise ValueError(f"scale={scale!r} is out of range: it must be positive and finite")
    fits = problem.__dict__.setdefault("softmax_fits", {})
    if scale not in fits:
        fits[scale] = _minimise(_Objective(problem, scale))
    return fits[scale]


def _inner(left: Any, right: Any) -> float:
    return float((left * right).sum())


def _minimise(objective: _Objective) -> SoftmaxFit:
    point = objective.start
    loss, gradient, curvature = objective(point)
    evaluations, enough = 1, TOLERANCE * math.sqrt(_inner(gradient, gradient))
    pairs: deque = deque(maxlen=PAIRS)
    while math.sqrt(_inner(gradient, gradient)) > enough:
        direction = _direction(gradient, pairs)
        slope = _inner(direction, gradient)
        if not slope < 0.0:
            break
        step, low, high = 1.0, (0.0, slope), None
        while True:
            trial = point + step * direction
            found = objective(trial)
            evaluations += 1
            new_slope = _inner(direction, found[1])
            if abs(new_slope) <= -SLOPE * slope or evaluations >= LIMIT:
                break
            if new_slope > 0.0:
                high = (step, new_slope)
            else:
                low = (step, new_slope)
            if high is None:
                step *= 4.0
            else:  # where the slope, between the ends, would be zero if it were linear
                share = -low[1] / (high[1] - low[1])
                step = low[0] + (high[0] - low[0]) * min(max(share, 0.1), 0.9)
        change = found[1] - gradient
        if new_slope > slope:
            pairs.append((trial - point, change, _inner(trial - point, change)))
        point, (loss, gradient, curvature) = trial, found
        if evaluations >= LIMIT:
            warn_uninformative(
                f"the linear probe is not at its optimum after {LIMIT} steps: features of very "
                "different directions; standardise them"
            )
            break
    return SoftmaxFit(float(loss), float(curvature), evaluations)


def _direction(gradient: Any, pairs: Any) -> Any:
    """Minus the inverse Hessian, as the pairs of steps tell it, times the gradient."""
    direction = -gradient
    factors = []
    for step, change, product in reversed(pairs):
        factor = _inner(step, direction) / product
        direction = direction - factor * change
        factors.append(factor)
    if pairs:
        _, change, product = pairs[-1]
        direction = direction * (product / _inner(change, change))
    for (step, change, product), factor in zip(pairs, reversed(factors), strict=True):
        direction = direction + (factor - _inner(change, direction) / product) * step
    return direction
