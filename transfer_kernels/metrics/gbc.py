"""GBC: how much the classes overlap, each taken as a normal distribution.

    M. Pándy, A. Agostinelli, J. Uijlings, V. Ferrari, T. Mensink: "Transferability Estimation using
    Bhattacharyya Class Separability", CVPR 2022.

Along the features' leading principal axes, with the mean m_c and covariance S_c of each class and
S the mean of two of them,

    D(i, j) = (m_i - m_j)^T S^-1 (m_i - m_j) / 8 + (ln det S - (ln det S_i + ln det S_j) / 2) / 2
    GBC = - sum over the ordered pairs of exp(-D(i, j)).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, array_namespace, on_host
from ..text.quoting import shown
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

COVARIANCES = ("diagonal", "spherical", "full")
VARIANTS = ("formula", "published", "modelspider")

#: Least variance of a diagonal or spherical covariance, in the square of the features' unit.
FLOOR = 1e-4
#: Most that it is taken for, where the features were scaled up.
LARGEST = 1e300
#: What Model Spider's code adds in three places, and its cut of singular values.
GUARD, PINV_CUT = 1e-5, 1e-15


def gbc(
    features: Any,
    labels: Any,
    covariance: str | None = None,
    n_components: int = 64,
    variant: str = "formula",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by the overlap of the classes, GBC: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    covariance : {"diagonal", "spherical", "full"}, optional
        Of the classes along the principal axes. The first two have variances of at least 1e-4, as
        published; "full" needs more samples in every class than there are axes. By default
        "diagonal", and "full" for the variant "modelspider".
    n_components : int, default 64
        Principal axes, exact ones; all where there are fewer.
    variant : {"formula", "published", "modelspider"}
        "published" is the authors' code, whose spherical covariance counts the logarithm of the
        determinant once and not once an axis; their diagonal one is the formula. "modelspider" is
        Model Spider's, with full covariances and 1e-5 added in three places, which outweighs small
        determinants.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In [-C (C - 1), 0] for C classes, but for "modelspider". It follows the scale of the
        features where variances are near 1e-4.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, n_components is less than 1, the
        variant does not have this covariance, or a class has no full covariance.

    Warns
    -----
    UninformativeScoreWarning
        If the features do not vary, or no overlap is left in float64.

    References
    ----------
    Pándy et al., "Transferability Estimation using Bhattacharyya Class Separability", CVPR 2022.
    """
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        covariance=covariance,
        n_components=n_components,
        variant=variant,
    )


@np.errstate(all="ignore")
def compute(
    problem: Problem,
    covariance: str | None = None,
    n_components: int = 64,
    variant: str = "formula",
) -> float:
    """The score of a problem; see `gbc`."""
    covariance = _covariance_of(variant, covariance)
    problem, exponent = problem.rescaled
    values, scores = problem.principal_scores(n_components)
    n_classes = len(problem.classes)
    if not float(values[0]) > 0.0:
        warn_uninformative("GBC tells nothing here: the features do not vary; use others")
        return -float(n_classes * (n_classes - 1))
    if covariance == "full":
        if variant == "modelspider":
            _require_pairs(problem)
            return _modelspider(problem, values, scores, exponent)
        overlaps = _full(problem, values, scores)
    else:
        times = 1 if covariance == "spherical" and variant == "published" else None
        floor = min(float(np.ldexp(FLOOR, -2 * exponent)), LARGEST)
        overlaps = _of_variances(problem, scores, covariance, floor, times)
    total = 2.0 * float(np.triu(overlaps, 1).sum())
    if total == 0.0:
        warn_uninformative(
            "GBC cannot tell models apart here: the classes lie so far apart that no overlap is "
            "left in float64; use fewer axes or another metric"
        )
    return -total


def _covariance_of(variant: str, covariance: str | None) -> str:
    """The covariance, the variant's own where none is named."""
    if covariance is None:
        return "full" if variant == "modelspider" else "diagonal"
    if (variant == "modelspider") != (covariance == "full") and variant != "formula":
        has = '"full" only' if variant == "modelspider" else '"diagonal" and "spherical" only'
        raise ValueError(
            f"covariance={shown(covariance)} is not in variant={shown(variant)}, which has {has}; "
            "leave one of them out"
        )
    return covariance


def _distances(mahalanobis: Array, logdets: Array, times: float = 1.0) -> Array:
    own = logdets.diagonal()
    return mahalanobis / 8.0 + 0.5 * times * (logdets - 0.5 * (own[:, None] + own[None, :]))


def _of_variances(
    problem: Problem, scores: Array, covariance: str, floor: float, times: int | None
) -> Array:
    variances = problem.ops.class_variances(scores, problem.codes, len(problem.classes))
    n_axes = scores.shape[1]
    xp = array_namespace(variances)
    # Above the smallest number, so that classes without any variance in their scale stay defined.
    variances = xp.where(variances > floor, variances, max(floor, 1e-300))
    if covariance == "spherical":
        variances = variances.mean(axis=1)
    found = problem.ops.gaussian_pairs(_means(problem, scores), variances)
    mahalanobis, logdets = (on_host(values) for values in found)
    return np.exp(-_distances(mahalanobis, logdets, 1.0 if times is None else times / n_axes))


def _means(problem: Problem, scores: Array) -> Array:
    return problem.ops.fisher_scatter(scores, problem.codes, len(problem.classes)).means


def _full(problem: Problem, values: Array, scores: Array) -> Array:
    """Overlaps of classes with full covariances, divided by their samples less one."""
    kept = int((on_host(values) > _no_variance(problem, values)).sum())
    scores = scores[:, :kept]
    n_classes, counts = len(problem.classes), problem.class_counts
    covariances = problem.ops.class_covariances(scores, problem.codes, n_classes, True)
    found = problem.ops.gaussian_pairs(_means(problem, scores), covariances)
    mahalanobis, logdets = (on_host(values) for values in found)
    singular = np.flatnonzero((counts <= kept) | ~np.isfinite(logdets.diagonal()))
    if len(singular):
        c = singular[0]
        raise ValueError(
            f"class {shown(problem.classes[c])} has {int(counts[c])} samples and no full "
            f"covariance along {kept} axes ({len(singular)} of {n_classes} classes have none); use "
            'covariance="diagonal" or fewer n_components'
        )
    return np.exp(-_distances(mahalanobis, logdets))


def _no_variance(problem: Problem, values: Array) -> float:
    """What an axis beyond the rank of the features may have by rounding."""
    return problem.n_samples * float(np.finfo(np.float64).eps) * float(values[0])


def _require_pairs(problem: Problem) -> None:
    single = np.flatnonzero(problem.class_counts < 2)
    if len(single):
        raise ValueError(
            f"class {shown(problem.classes[single[0]])} has a single sample and no covariance; use "
            'covariance="diagonal"'
        )


def _modelspider(problem: Problem, values: Array, scores: Array, exponent: int) -> float:
    """Model Spider's sum, with its guards; pairs without an inverse take a pseudo-inverse."""
    unit = math.ldexp(1.0, exponent)
    kept = int((on_host(values) > _no_variance(problem, values)).sum())
    dropped = scores.shape[1] - kept
    scores = scores[:, :kept]
    n_classes = len(problem.classes)
    covariances = problem.ops.class_covariances(scores, problem.codes, n_classes, True)
    means = _means(problem, scores)
    found = problem.ops.gaussian_pairs(means, covariances)
    mahalanobis, logdets = (np.array(on_host(values)) for values in found)
    means, covariances = on_host(means), on_host(covariances)
    for i, j in np.argwhere(np.triu(np.isnan(mahalanobis), 1)):
        apart, S = means[i] - means[j], 0.5 * (covariances[i] + covariances[j])
        inverse = np.linalg.pinv(S, rcond=PINV_CUT * max(S.shape), hermitian=True)
        mahalanobis[i, j] = apart @ inverse @ apart
    # A singular covariance has the determinant 0.
    determinants = np.exp(logdets + 2.0 * kept * math.log(unit)) if not dropped else 0.0 * logdets
    determinants = np.where(np.isfinite(logdets), determinants, 0.0)
    own = determinants.diagonal()
    below = GUARD + np.sqrt(GUARD + own[:, None] * own[None, :])
    terms = np.exp(-mahalanobis / 8.0) / np.sqrt(GUARD + determinants / below)
    return -2.0 * float(np.triu(terms, 1).sum())


METRIC = Metric(
    "gbc",
    compute,
    "overlap of the classes as normal distributions along the principal axes, negated",
    paper="Pándy et al., CVPR 2022",
    choices={"covariance": (None, *COVARIANCES), "variant": VARIANTS},
)
