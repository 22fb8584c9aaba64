"""SFDA: self-challenging Fisher discriminant analysis (Shao et al., ECCV 2022).

    W. Shao, X. Zhao, Y. Ge, Z. Zhang, L. Yang, X. Wang, Y. Shan, P. Luo: "Not All Models Are Equal:
    Predicting Model Transferability in a Self-challenging Fisher Space", ECCV 2022.

With Sw the within-class scatter, mu the class means, pi the class frequencies:

1. s = max(exp(-5 lambda), 1e-10), lambda an estimate of Sw's largest eigenvalue;
2. discriminants z_c = x.S^-1 mu_c - mu_c.S^-1 mu_c / 2 + ln pi_c, S = (1 - s) Sw + s tr(Sw)/d I;
3. p = softmax(z), q = softmax(p) at the sample's own class: how sure the classifier is;
4. ConfMix: x' = q x + (1 - q) m, m the mean of the other classes' means: sure samples stay put;
5. steps 2 and 3 on x', with the same s. The score is the mean of p over the samples' own classes.

The published code solves the generalised eigenproblem of step 2, but its eigenvectors enter only by
their product V V^T = S^-1. The mixed samples x' are never made: their class sums and scatter follow
from sums of x weighted by q and q^2, their discriminants from those of x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, array_namespace
from ..ops import FisherScatter
from .discriminant import Discriminant, shrunk_discriminant
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

SHRINKAGE_FLOOR = 1e-10


@dataclass(frozen=True)
class Fit:
    """Result of SFDA on one problem: the first discriminant, its shrinkage, the score."""

    first: Discriminant
    shrinkage: float
    score: float


def sfda(
    features: Any, labels: Any, *, ignore_label: Any = None, backend: str | None = None
) -> float:
    """Transferability by SFDA: higher is better.

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
        Mean posterior of the true class after self-challenging, in (0, 1].

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, or no class varies within itself.

    Warns
    -----
    UninformativeScoreWarning
        If n <= d or the shrinkage is at its floor, where the score saturates near 1.

    References
    ----------
    Shao et al., "Not All Models Are Equal: Predicting Model Transferability in a Self-challenging
    Fisher Space", ECCV 2022.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend)


def compute(problem: Problem) -> float:
    """The score of a problem; see `sfda`."""
    result = fit(problem)
    warn_if_saturated(problem, result)
    return result.score


@dataclass(frozen=True)
class Stage:
    """SFDA before its challenge: a discriminant and what it says of the samples it was made from.

    Parameters
    ----------
    problem : Problem
        Rescaled by 2^-``exponent``.
    exponent : int
    X : (n, p) array
        The features, or they in their own row space where n < d.
    rotation : tuple or None
        The basis of that space and the mean of the features.
    scatter : FisherScatter
        Of X.
    discriminant : Discriminant
    shrinkage : float
    posterior, challenge : (n,) arrays
        Probability of the true class, and of it again after a second softmax.
    """

    problem: Problem
    exponent: int
    X: Any
    rotation: Any
    scatter: FisherScatter
    discriminant: Discriminant
    shrinkage: float
    posterior: Any
    challenge: Any


@np.errstate(all="ignore")  # exp underflows as it should, whatever the caller traps
def first_stage(problem: Problem) -> Stage:
    """Linear discriminant analysis with SFDA's shrinkage."""
    problem, exponent = problem.rescaled
    X, scatter, ones, rotation = _discriminant_space(problem)
    ops, n, d = problem.ops, problem.n_samples, problem.n_features
    means = scatter.shifted_means
    within = ops.within_scatter(scatter.shifted_gram, -scatter.shifted_sums, means, n)
    largest = ops.dominant_eigenvalue(within, ones)
    true_largest = np.ldexp(float(largest), 2 * exponent)  # the shrinkage depends on the scale
    shrinkage = max(float(np.exp(-5.0 * true_largest)), SHRINKAGE_FLOOR)
    found = shrunk_discriminant(ops, within, means, scatter.shift, scatter.counts, shrinkage, d)
    p, q = ops.self_challenging(X, problem.codes, found.coef, found.intercept)
    return Stage(problem, exponent, X, rotation, scatter, found, shrinkage, p, q)


@np.errstate(all="ignore")  # exp underflows as it should, whatever the caller traps
def fit(problem: Problem) -> Fit:
    """First discriminant, shrinkage and score of a problem."""
    stage = first_stage(problem)
    problem, X, first, q = stage.problem, stage.X, stage.discriminant, stage.challenge
    codes, ops, n, d = problem.codes, problem.ops, problem.n_samples, problem.n_features
    counts = stage.scatter.counts
    xp = array_namespace(counts)

    # ConfMix, around the mean of all samples, where the anchors are small.
    anchors = (first.means.sum(axis=0) - first.means) / (len(counts) - 1)
    mixed = ops.fisher_scatter(X, codes, len(counts), q * q, first.center)
    q_sums, q2_sums = mixed.shifted_root_sums, mixed.shifted_sums
    rest = (counts - mixed.root_counts)[:, None]
    rest2 = (counts - 2.0 * mixed.root_counts + mixed.counts)[:, None]
    sums = q_sums + rest * anchors
    means = sums / counts[:, None]
    left = xp.concatenate([2.0 * (q_sums - q2_sums) + rest2 * anchors, -sums])
    right = xp.concatenate([anchors, means])
    within = ops.within_scatter(mixed.shifted_gram, left, right, n)

    second = shrunk_discriminant(ops, within, means, first.center, counts, stage.shrinkage, d)
    posterior, _ = ops.self_challenging(
        X,
        codes,
        second.coef,
        second.intercept,
        (q, anchors + first.center),
    )
    if stage.rotation is not None:
        basis, origin = stage.rotation
        first = Discriminant(
            first.coef @ basis,
            first.intercept - first.coef @ (basis @ origin),
            first.means @ basis,
            first.center @ basis + origin,
        )
    if stage.exponent:
        scale = float(np.ldexp(1.0, stage.exponent))
        first = Discriminant(
            first.coef / scale, first.intercept, first.means * scale, first.center * scale
        )
    return Fit(first, stage.shrinkage, float(posterior.mean()))


def _discriminant_space(
    problem: Problem,
) -> tuple[Array, FisherScatter, Array, tuple[Array, Array] | None]:
    """Features to fit in, their scatter, the image of the vector of ones, and the way back.

    With n < d the centred features are rotated into their own row space, n dimensions instead of d:
    a rotation changes nothing in SFDA but the start of its power iteration, which is carried along.
    """
    if problem.n_samples >= problem.n_features:
        return problem.features, problem.scatter, np.ones(problem.n_features), None
    Z, basis, origin = problem.ops.row_space(problem.features)
    scatter = problem.ops.fisher_scatter(Z, problem.codes, len(problem.classes))
    return Z, scatter, basis.sum(axis=1), (basis, origin)


def fisher_axes(first: Discriminant, priors: Any) -> Any:
    """(d, min(C - 1, d)) axes W of the Fisher space, best first, with W^T S W = I.

    The between-class scatter is B^T B with B = sqrt(priors) means, so that the generalised
    eigenvectors are S^-1 B^T U / sqrt(e), for the eigenpairs (e, U) of the C x C matrix B S^-1 B^T.
    """
    xp = array_namespace(first.coef)
    n_classes, n_features = first.coef.shape
    roots = priors[:, None] ** 0.5
    solved = roots * first.coef
    eigenvalues, vectors = xp.linalg.eigh(solved @ (roots * first.means).T)
    n_axes = min(n_classes - 1, n_features)
    largest = [n_classes - 1 - axis for axis in range(n_axes)]
    scale = xp.clip(eigenvalues[largest], np.finfo(float).tiny, None) ** 0.5
    return solved.T @ (vectors[:, largest] / scale)


def warn_if_saturated(problem: Problem, result: Fit) -> None:
    """Warn where scores saturate."""
    if problem.n_samples <= problem.n_features:
        reason = "there are no more samples than features"
    elif result.shrinkage <= SHRINKAGE_FLOOR:
        reason = "the shrinkage is at its floor"
    else:
        return
    warn_uninformative(
        f"SFDA cannot discriminate well here: {reason}, so that scores saturate near 1; use more "
        "samples, or reduce the features, e.g. PCA to 32 components or a smaller scale"
    )


METRIC = Metric(
    "sfda",
    compute,
    "mean posterior of the true class after self-challenging Fisher discriminant analysis",
    paper="Shao et al., ECCV 2022",
)
