"""The ridge probe: how often a ridge classifier is right about a sample that it has not seen.

A control, and a cheap one: a linear probe without training. The classes' indicators are fitted by
ridge regression on the features, with an intercept that is not penalised; a sample belongs to the
class whose indicator is predicted highest. Leaving a sample out has a closed form: with H the
matrix that takes the targets to the fit,

    H = 1 1^T / n + Z (Z^T Z + a I)^-1 Z^T       prediction for i without i
                                                    = y_i - (y_i - (H y)_i) / (1 - H_ii),

where Z are the centred features. The ridge ``a``, one for all classes, is that of `RIDGES` with the
least generalised cross-validation error (Golub, Heath and Wahba, Technometrics 1979),

    |Y - H Y|^2 / (1 - tr(H) / n)^2,

which takes nothing but the eigenvalues of Z^T Z and the class sums on its axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, array_namespace, as_float64, beside, on_host
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

#: Ridges to choose from, in units of the mean eigenvalue; of equal ones the largest is taken.
RIDGES = 10.0 ** np.arange(4.0, -6.5, -0.5)
#: Predictions that differ by less than this are tied: indicators are of size one.
TIE = 1e-9
BLOCK_ELEMENTS = 1 << 22


def ridge_probe(
    features: Any, labels: Any, *, ignore_label: Any = None, backend: str | None = None
) -> float:
    """Leave-one-out accuracy of a ridge classifier on the features: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In [0, 1]; a sample whose class is one of w that are predicted alike counts as 1 / w. It
        depends neither on the features' unit nor on their offset.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur.

    Warns
    -----
    UninformativeScoreWarning
        If the features do not vary.

    References
    ----------
    Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge
    Parameter", Technometrics 1979.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend)


@np.errstate(all="ignore")
def compute(problem: Problem) -> float:
    """The score of a problem; see `ridge_probe`."""
    problem, _ = problem.rescaled  # the score does not depend on the scale
    n, counts = problem.n_samples, problem.class_counts
    values, axes = _spectrum(problem)
    xp = array_namespace(axes)
    if not float(values.max()) > 0.0:
        warn_uninformative("the ridge probe is a guess here: the features do not vary; use others")
    if n >= problem.n_features:
        sums = axes.T @ problem.centred.shifted_sums.T
        fitted = xp.where(values > 0.0, (sums**2).sum(axis=1) / values, xp.zeros_like(values))
    else:
        indicators = beside(axes, _indicators(problem))
        sums = axes.T @ indicators
        fitted = ((sums - axes.sum(axis=0)[:, None] * beside(axes, counts / n)) ** 2).sum(axis=1)
    ridge = _best_ridge(on_host(values), on_host(fitted), counts)
    right = 0.0
    if n >= problem.n_features:
        to_fit = beside(problem.features, axes / (values + ridge) ** 0.5)
        coef = beside(problem.features, (sums.T / (values + ridge) ** 0.5).T)
        mean = beside(problem.features, problem.mean)
        step = max(1, BLOCK_ELEMENTS // problem.n_features)
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            Z = (as_float64(problem.features[rows]) - mean) @ to_fit
            right += _right(Z, coef, problem.codes[rows], counts, n)
        return right / n
    roots = (values / (values + ridge)) ** 0.5
    return _right(axes * roots, roots[:, None] * sums, problem.codes, counts, n) / n


def _spectrum(problem: Problem) -> tuple[Any, Any]:
    """Eigenvalues and eigenvectors of the centred Gram matrix Z^T Z, or of Z Z^T for n < d."""
    gram = problem.centred_gram
    xp = array_namespace(gram)
    values, axes = xp.linalg.eigh(gram, UPLO="U")
    return xp.where(values > 0.0, values, xp.zeros_like(values)), axes


def _indicators(problem: Problem) -> Any:
    """(n, C) float64; of few samples only."""
    classes = beside(problem.features, np.arange(len(problem.class_counts)))
    return as_float64(beside(problem.features, problem.codes)[:, None] == classes)


def _best_ridge(values: Any, fitted: Any, counts: np.ndarray) -> float:
    """The ridge of least error, in the unit of the eigenvalues.

    ``fitted`` is what the centred indicators have on each axis, squared, the sum over the classes:
    what is left of it is (ridge / (value + ridge))^2, and nothing of this cancels.
    """
    n = counts.sum()
    unit = values.sum() / min(n - 1, len(values))
    if not unit > 0.0:
        return 1.0
    ridges = RIDGES[:, None] * unit
    left = ridges / (values + ridges)
    outside = max(0.0, (counts - counts**2 / n).sum() - fitted.sum())
    errors = (outside + (fitted * left**2).sum(axis=1)) / (
        n - 1.0 - len(values) + left.sum(axis=1)
    ) ** 2
    return float(ridges[np.argmin(errors), 0])


def _right(fit: Any, coef: Array, codes: Array, counts: np.ndarray, n: int) -> float:
    """How many of some samples are right without themselves: their rows of the factor of H."""
    xp = array_namespace(fit)
    codes = beside(fit, codes)
    own = codes[:, None] == beside(fit, np.arange(len(counts)))
    leverage = (fit * fit).sum(axis=1) + 1.0 / n
    residual = as_float64(own) - (fit @ coef + beside(fit, counts / n))
    left = 1.0 - leverage
    left = xp.where(left > 1e-12, left, xp.full_like(left, 1e-12))
    predicted = as_float64(own) - residual / left[:, None]
    best = predicted[:, 0]
    for column in predicted.T[1:]:
        best = xp.maximum(best, column)
    winners = predicted >= best[:, None] - TIE
    shares = as_float64(winners & own).sum(axis=1) / as_float64(winners).sum(axis=1)
    return float(shares.sum())


METRIC = Metric(
    "ridge_probe",
    compute,
    "accuracy of a ridge classifier, each sample left out in turn",
    paper="Golub et al., Technometrics 1979",
    family="probes",
)
