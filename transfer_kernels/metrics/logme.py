"""LogME: log of the maximum evidence of a Bayesian linear model of the labels (You et al., 2021).

    K. You, Y. Liu, J. Wang, M. Long: "LogME: Practical Assessment of Pre-trained Models for
    Transfer Learning", ICML 2021; with others: "Ranking and Tuning Pre-trained Models", JMLR 2022.

For every class (its indicator) or regression target y, with F the features, not centred:

    evidence = max over alpha, beta of ln p(y | F, alpha, beta),
    w ~ N(0, I / alpha),  y ~ N(F w, I / beta)

and the score is the mean over targets of evidence / n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import ops
from ..kernels.array_namespace import array_namespace, beside
from ..ops import Evidence, EvidenceRule
from .problem import Problem
from .registry import Metric


@dataclass(frozen=True)
class Variant:
    """How an implementation takes the evidence.

    Parameters
    ----------
    rule : EvidenceRule
    absent_classes : bool
        Whether integers in 0 ... max(label) that do not occur count as targets of zeros.
    single_precision_constant : bool
        Whether (n / 2) ln 2 pi is rounded to float32, some 1e-8 in the score.
    """

    rule: EvidenceRule
    absent_classes: bool = False
    single_precision_constant: bool = False


#: "evidence" is the definition; the others reproduce published code, its deviations included.
VARIANTS = {
    "evidence": Variant(EvidenceRule()),
    "thuml": Variant(EvidenceRule(full_spectrum=False), absent_classes=True),
    "thuml-icml": Variant(
        EvidenceRule(tolerance=1e-2, epsilon_in_evidence=True), absent_classes=True
    ),
    "tllib": Variant(EvidenceRule(epsilon=0.0, tolerance=1e-2)),
    "transformer-ranker": Variant(
        EvidenceRule(full_spectrum=False, warm_start=True), single_precision_constant=True
    ),
}


def logme(
    features: Any,
    labels: Any,
    regression: bool = False,
    variant: str = "evidence",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by LogME: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list; with ``regression`` also (n, k)
        Class labels of any hashable kind, or real targets.
    regression : bool
        Whether the labels are real targets.
    variant : str
        "evidence" is the maximum of the evidence as the papers define it, over the classes that
        occur. Published implementations differ from it and are reproduced by name:

        - "thuml": LogME's own fixed-point code. For n < d it leaves out the term
          -(d - n)/(2n) ln alpha, and integer classes below the largest that do not occur count.
        - "thuml-icml": its first version, tolerance 1e-2.
        - "tllib": Transfer-Learning-Library, tolerance 1e-2, no guard against division by zero.
        - "transformer-ranker": like "thuml", but each class starts from its predecessor's alpha and
          beta, so that the score depends slightly on the numbering of the classes.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Mean log evidence per sample and target, in nats.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if the variant is unknown, fewer than two classes occur, or a regression
        target is not finite.

    References
    ----------
    You et al., "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", ICML
    2021.
    """
    return compute(Problem(features, labels, backend, ignore_label), regression, variant)


def compute(problem: Problem, regression: bool = False, variant: str = "evidence") -> float:
    """The score of a problem; see `logme`."""
    return float(fit(problem, regression, variant).evidences.mean())


def fit(problem: Problem, regression: bool = False, variant: str = "evidence") -> Evidence:
    """Evidence, precisions and their ratio of every target; see `logme`."""
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r} is unknown; choose one of {', '.join(VARIANTS)}")
    chosen = VARIANTS[variant]
    dual = problem.n_samples < problem.n_features
    if regression:
        moments, squares = _regression_moments(problem, dual)
    else:
        absent = _absent_classes(problem.classes) if chosen.absent_classes else []
        moments, squares = _class_moments(problem, dual, absent)
    evidence = ops.logme_evidence(
        problem.gram,
        moments,
        squares,
        problem.n_samples,
        problem.n_features,
        chosen.rule,
        dual,
        backend=problem.backend,
    )
    if chosen.single_precision_constant:
        half = 0.5 * problem.n_samples
        rounded = float(np.float32(half) * np.float32(np.log(2.0 * np.pi)))
        shift = 0.5 * np.log(2.0 * np.pi) - rounded / problem.n_samples
        evidence = replace(evidence, evidences=evidence.evidences + shift)
    return evidence


def weights(problem: Problem, ratios: Any, regression: bool) -> Any:
    """(K, d) posterior means of the linear models at ratios t = alpha / beta, (K,)."""
    dual = problem.n_samples < problem.n_features
    gram = problem.gram
    if regression:
        moments, _ = _regression_moments(problem, dual)
    else:
        moments, _ = _class_moments(problem, dual, [])
    xp = array_namespace(gram)
    eigenvalues, vectors = xp.linalg.eigh(gram, UPLO="U")
    damped = xp.clip(eigenvalues, 0.0, None)[:, None] + ratios
    solution = vectors @ ((vectors.T @ beside(gram, moments)) / damped)
    if dual:  # F^T (F F^T + t I)^-1 y = (F^T F + t I)^-1 F^T y
        solution = ops.target_moments(problem.features, solution, backend=problem.backend)
    return solution.T


def present_targets(problem: Problem, variant: str) -> np.ndarray:
    """(K,) mask of those targets of a classification that are classes that occur."""
    absent = _absent_classes(problem.classes) if VARIANTS[variant].absent_classes else []
    return np.insert(np.ones(len(problem.classes), dtype=bool), absent, False)


def _class_moments(problem, dual, absent):
    """F^T Y (dual: Y itself) and y.y for the indicators of the classes, absent ones inserted."""
    counts = problem.class_counts
    if dual:
        moments = np.eye(len(counts))[problem.host_codes]
    else:
        moments = problem.scatter.sums.T
    return _with_empty_columns(moments, absent), np.insert(counts, absent, 0.0)


def _with_empty_columns(columns, positions):
    """Columns of zeros inserted before the positions, as by np.insert."""
    if len(positions) == 0:
        return columns
    xp = array_namespace(columns)
    n_columns = columns.shape[1]
    order = np.insert(np.arange(n_columns), positions, n_columns).tolist()
    return xp.concatenate([columns, 0.0 * columns[:, :1]], axis=1)[:, order]


def _absent_classes(classes):
    """Where, among the classes, those integers from 0 on would stand that do not occur."""
    if classes.dtype.kind not in "iu":
        return []
    present = classes[classes >= 0]
    absent = np.setdiff1d(np.arange(present.max(initial=-1) + 1), present)
    return np.searchsorted(classes, absent)


def _regression_moments(problem, dual):
    targets = problem.targets
    squares = np.einsum("ik,ik->k", targets, targets)
    if dual:
        return targets, squares
    return ops.target_moments(problem.features, targets, backend=problem.backend), squares


METRIC = Metric("logme", compute)
