"""NCTI: how near the features are to the collapse that training leads to.

    Z. Wang, Y. Luo, L. Zheng, Z. Huang, M. Baktashmotlagh: "How Far Pre-trained Models Are from
    Neural Collapse on the Target Dataset Informs their Transferability", ICCV 2023.

Along the 64 leading principal axes, with the within-class covariance W shrunk to
W' = (1 - s) W + s tr(W) / 64 I by s = max(exp(- sum of the 32 largest variances), 1e-10), and a
linear discriminant of it,

    seli = nuclear norm of the centred features along the discriminant's C - 1 directions
    ncc = mean probability of the true class
    vc = ln of the sum over the classes of the nuclear norm of their samples' probabilities

Models are compared: each part is scaled to 0 ... 1 over the zoo, and NCTI = seli + ncc - vc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, array_namespace, beside, on_host
from ..kernels.threads import run_in_threads
from .problem import Problem
from .registry import Metric, RelativeToZoo
from .zoo_scale import min_max

PARTS = ("seli", "ncc", "vc")
#: Leading axes whose variances decide on the shrinkage, which is at least this.
SHRINKING_AXES, LEAST_SHRINKAGE = 32, 1e-10
#: Directions that vary less within the classes, relative to a unit variance of each axis, are left
#: out where nothing is shrunk; and of those between the classes relative to the largest: the root.
RANK_TOLERANCE = 1e-4


@dataclass(frozen=True)
class NCTI:
    """What NCTI says of one model; models are compared part by part.

    Parameters
    ----------
    seli : float
        Nuclear norm of the features in the discriminant's space: higher is better.
    ncc : float
        Mean probability of the true class by the discriminant: higher is better.
    vc : float
        Logarithm of the summed nuclear norms of the classes' probabilities: lower is better.
    """

    seli: float
    ncc: float
    vc: float


def ncti(
    features: Any,
    labels: Any,
    n_components: int = 64,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> NCTI:
    """The three parts of NCTI for one model, of which a zoo's scores are made.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    n_components : int, default 64
        Principal axes, exact ones; all where there are fewer.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    NCTI
        Its ``seli``, ``ncc`` and ``vc``. The score itself compares models:
        `transfer_kernels.rank` makes it.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, n_components is less than 1, or no
        class varies within itself.

    References
    ----------
    Wang et al., "How Far Pre-trained Models Are from Neural Collapse on the Target Dataset Informs
    their Transferability", ICCV 2023.
    """
    return NCTI(
        **METRIC.parts_of(
            features,
            labels,
            ignore_label=ignore_label,
            backend=backend,
            n_components=n_components,
        )
    )


def combine(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores (M,) of M models from their parts, in [-1, 2]."""
    seli, ncc, vc = (min_max(parts[part], f"ncti.{part}") for part in PARTS)
    return seli + ncc - vc


@np.errstate(all="ignore")
def compute(problem: Problem, n_components: int = 64) -> dict[str, float]:
    """The parts of a problem; see `ncti`."""
    problem, exponent = problem.rescaled
    n, n_classes = problem.n_samples, len(problem.classes)
    values, scores = problem.principal_scores(n_components)
    n_axes = len(values)
    variances = on_host(values) / max(1, n - 1)
    unit = float(np.ldexp(1.0, 2 * min(exponent, 500)))
    shrinkage = max(math.exp(-float(variances[:SHRINKING_AXES].sum()) * unit), LEAST_SHRINKAGE)

    # Axes beyond the rank of the features carry rounding errors alone.
    kept = int((on_host(values) > n * np.finfo(np.float64).eps * float(values[0])).sum())
    if kept == 0:
        raise ValueError("the features do not vary, so that NCTI has no discriminant; use others")
    scores = scores[:, :kept]
    priors = problem.class_counts / n
    covariances = problem.ops.class_covariances(scores, problem.codes, n_classes)
    within = np.tensordot(priors, on_host(covariances), 1)
    means = on_host(problem.ops.fisher_scatter(scores, problem.codes, n_classes).means)
    if not np.trace(within) > 0.0:
        raise ValueError(
            "no class varies within itself along the principal axes, so that NCTI has no "
            "discriminant; use more samples"
        )
    if shrinkage > LEAST_SHRINKAGE:
        directions = _shrunk_directions(within, means, priors, shrinkage, n_axes)
        coef = means @ directions @ directions.T
        directions = directions[:, : min(n_classes - 1, kept)]
    else:
        directions = _plain_directions(within, means, priors)
        coef = means @ directions @ directions.T
    intercept = np.log(priors) - 0.5 * (coef * means).sum(axis=1)
    own, norms = _probabilities(problem, scores, coef, intercept)
    return {
        "seli": _nuclear_norm_along(directions, on_host(values)[:kept]),
        "ncc": own / n,
        "vc": math.log(norms),
    }


def _shrunk_directions(
    within: Array, means: Array, priors: Array, shrinkage: float, n_axes: int
) -> Array:
    """All directions of the discriminant, the best first, of unit variance within the classes.

    Published code shrinks the covariance of all samples too, and takes what the one has over the
    other for the covariance between the classes: (1 - s) B + s tr(B) / 64 I. Less a multiple of W'
    that leaves no identity, that is 1 - s times B - tr(B) / tr(W) W: the directions are the same,
    and stay defined where s rounds to 1.
    """
    from scipy.linalg import eigh

    between = np.einsum("c,ci,cj->ij", priors, means, means)
    ridge = shrinkage * np.trace(within) / n_axes
    shrunk = (1.0 - shrinkage) * within + ridge * np.eye(len(within))
    excess = between - np.trace(between) / np.trace(within) * within
    _, directions = eigh(excess, shrunk)
    return directions[:, ::-1]


def _plain_directions(within: Array, means: Array, priors: Array) -> Array:
    """The same where nothing is shrunk: at most C - 1, in the space in which the classes vary."""
    deviations = np.sqrt(within.diagonal())
    deviations[deviations == 0.0] = 1.0
    values, vectors = np.linalg.eigh(within / np.outer(deviations, deviations))
    inside = values > RANK_TOLERANCE**2
    whitening = vectors[:, inside] / np.sqrt(values[inside]) / deviations[:, None]
    between = np.sqrt(priors)[:, None] * means @ whitening
    _, sizes, axes = np.linalg.svd(between, full_matrices=False)
    rank = int((sizes > RANK_TOLERANCE * sizes[0]).sum())
    return whitening @ axes[: min(rank, len(priors) - 1)].T


def _nuclear_norm_along(directions: np.ndarray, scatter: np.ndarray) -> float:
    """Of the centred scores times some directions, whose scatter along each axis is given."""
    return float(np.linalg.svd(np.sqrt(scatter)[:, None] * directions, compute_uv=False).sum())


def _probabilities(
    problem: Problem, scores: Array, coef: Array, intercept: Array
) -> tuple[float, float]:
    """Sum of the true classes' probabilities, and of the nuclear norms of each class's matrix."""
    xp = array_namespace(scores)
    coef, intercept = beside(scores, coef), beside(scores, intercept)
    order = np.argsort(problem.host_codes, kind="stable")
    ends = np.cumsum(problem.class_counts).astype(np.int64)

    def of_class(c: int) -> tuple[float, float]:
        members = beside(scores, order[ends[c] - int(problem.class_counts[c]) : ends[c]])
        logits = scores[members] @ coef.T + intercept
        logits = logits - xp.amax(logits, 1)[:, None]
        exponentials = xp.exp(logits)
        probabilities = exponentials / exponentials.sum(1)[:, None]
        norm = xp.linalg.svdvals(probabilities) if xp is not np else _singular(probabilities)
        return float(probabilities[:, c].sum()), float(norm.sum())

    found = run_in_threads(of_class, range(len(ends)))
    return math.fsum(own for own, _ in found), math.fsum(norm for _, norm in found)


def _singular(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.svd(matrix, compute_uv=False)


METRIC = Metric(
    "ncti",
    compute,
    "how near the features are to neural collapse, compared over the zoo",
    paper="Wang et al., ICCV 2023",
    scope=RelativeToZoo(PARTS, combine),
)
