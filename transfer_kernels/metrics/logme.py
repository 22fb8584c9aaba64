"""LogME: log of the maximum evidence of a Bayesian linear model of the labels (You et al., 2021).

    K. You, Y. Liu, J. Wang, M. Long: "LogME: Practical Assessment of Pre-trained Models for
    Transfer Learning", ICML 2021; with others: "Ranking and Tuning Pre-trained Models", JMLR 2022.

For every class (its indicator) or regression target y, with F the features, not centred:

    evidence = max over alpha, beta of ln p(y | F, alpha, beta),
    w ~ N(0, I / alpha),  y ~ N(F w, I / beta)

and the score is the mean over targets of evidence / n.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, array_namespace, beside, on_host
from ..kernels.logme_evidence import GRAM_ERROR
from ..kernels.logme_evidence import shared_factored as factored
from ..ops import Evidence, EvidenceRule, LargestEvidence
from . import logme_centred
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative


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

    rule: EvidenceRule | LargestEvidence
    absent_classes: bool = False
    single_precision_constant: bool = False


#: Traces of the Gram matrix, and squares of targets, for which everything stays within float64.
SMALLEST_TRACE = 1e-150
#: y.y over the residual, at most: the residual then has ten digits left.
LEAST_RESIDUAL = 1e5
#: Least eigenvalue of few samples' sums, of the largest, and what the targets may lose of y.y.
FEW_LEAST, FEW_LOST = 1e-6, 1e-9

#: Absent classes for each of which a value is kept; of more, only their number counts.
MOST_ABSENT = 1_000_000

#: "evidence" is the definition; the others reproduce published code, its deviations included.
VARIANTS = {
    "evidence": Variant(LargestEvidence()),
    "thuml-full": Variant(EvidenceRule()),
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
    labels: Any = None,
    regression: bool = False,
    variant: str = "evidence",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by LogME: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor, or FisherScatter
        Features of the target's samples, float16, bfloat16, float32, float64 or integers; or their
        sums by `transfer_kernels.ops.fisher_scatter`, which hold the classes too: then no labels.
    labels : (n,) array, tensor or list; with ``regression`` also (n, k)
        Class labels of any hashable kind, or real targets.
    regression : bool
        Whether the labels are real targets.
    variant : str
        "evidence" is the largest evidence over all alpha and beta, as the papers define it, the
        mean over the classes that occur. It does not depend on the unit of the features. Where
        no alpha is best, it is the null model's, y ~ N(0, I / beta). Published implementations
        seek it by a fixed point that may stop early and is shifted by an epsilon of 1e-5; they
        are reproduced by name. On ordinary features with n > d "thuml" is within 1e-7 of it:

        - "thuml-full": LogME's own fixed point, with the whole sum of logarithms.
        - "thuml": LogME's own fixed-point code. For n < d it leaves out the term
          -(d - n)/(2n) ln alpha, and integer classes below the largest that do not occur count,
          however many they are.
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
        Mean log evidence per sample and target, in nats. Infinite, with an
        `UninformativeScoreWarning`, where features of rank below n fit a target exactly. The same
        warning tells where rounding errors may cost digits: where features of a condition number
        above some 1e7 fit a target closely.

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
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        regression=regression,
        variant=variant,
    )


def compute(problem: Problem, regression: bool = False, variant: str = "evidence") -> float:
    """The score of a problem; see `logme`."""
    found = _fit_once(problem, regression, variant)
    n_absent = _count_absent(problem, regression, variant)
    if n_absent <= MOST_ABSENT:
        return float(_with_absent(problem, found, n_absent).evidences.mean())
    present, absent = float(found.evidences[:-1].sum()), float(found.evidences[-1])
    return (present + n_absent * absent) / (len(problem.classes) + n_absent)


def fit(problem: Problem, regression: bool = False, variant: str = "evidence") -> Evidence:
    """Evidence, precisions and their ratio of every target; see `logme`.

    Raises
    ------
    ValueError
        As `logme` does, and if a variant counts more than a million absent classes.
    """
    found = _fit_once(problem, regression, variant)
    n_absent = _count_absent(problem, regression, variant)
    if n_absent > MOST_ABSENT:
        raise ValueError(
            f"labels: variant={variant!r} counts {n_absent} classes below the largest label that "
            "do not occur, too many to keep a value for each; number the classes from 0 on, or "
            'use variant="thuml-full"'
        )
    return _with_absent(problem, found, n_absent)


def _fit_once(problem: Problem, regression: bool, variant: str) -> Evidence:
    """As `fit`, with one entry at the end for all classes that are absent, if there are some."""
    chosen = VARIANTS[variant]
    with np.errstate(all="ignore"):  # ranges are checked where they matter
        if problem.only_sums and regression:
            raise ValueError("regression=True needs features and targets, not a FisherScatter")
        if problem.only_sums and problem.n_samples < problem.n_features:
            evidence = _from_sums_of_few(problem, chosen)
        else:
            evidence = _from_gram(problem, regression, chosen)
            if evidence is None:
                evidence = _from_centred_gram(problem, regression, chosen)
        if evidence is None:
            X = problem.features  # which sums do not have
            targets = problem.targets if regression else _indicators(problem, chosen)
            found, errors = factored.evidence_and_error(X, targets, chosen.rule)
            _warn_of_lost_digits(errors)
            evidence = Evidence(*(beside(X, f) for f in astuple(found)))
    if isinstance(chosen.rule, LargestEvidence):
        _warn_of_exact_fits(on_host(evidence.evidences), regression)
    if chosen.single_precision_constant:
        half = 0.5 * problem.n_samples
        rounded = float(np.float32(half) * np.float32(np.log(2.0 * np.pi)))
        shift = 0.5 * np.log(2.0 * np.pi) - rounded / problem.n_samples
        evidence = replace(evidence, evidences=evidence.evidences + shift)
    return evidence


def _from_gram(problem: Problem, regression: bool, chosen: Variant) -> Evidence | None:
    """The evidence by way of the Gram matrix, or None where that may lack digits."""
    n, d = problem.n_samples, problem.n_features
    dual = n <= d and not problem.only_sums
    if problem.backend == "reference" and not problem.only_sums:
        return None  # the definition
    if not _in_range(problem):
        return None
    trace = float(problem.gram.diagonal().sum())
    if regression:
        moments, squares = _regression_moments(problem, dual)
    else:
        absent = _absent_classes(problem.classes) if chosen.absent_classes else []
        moments, squares = _class_moments(problem, dual, absent)
    sizes = on_host(squares)
    there = sizes > 0.0
    if not (sizes[there] > SMALLEST_TRACE).all() or not (sizes < 1.0 / SMALLEST_TRACE).all():
        return None
    if isinstance(chosen.rule, LargestEvidence) and not there.all():
        return None
    evidence = problem.ops.logme_evidence(problem.gram, moments, squares, n, d, chosen.rule, dual)
    ratios, alphas, betas = (
        on_host(a)[there] for a in (evidence.ratios, evidence.alphas, evidence.betas)
    )
    certain = np.isfinite(on_host(evidence.evidences)[there]) & (alphas > 0.0)
    if not isinstance(chosen.rule, LargestEvidence):  # the search for that one has its own bound
        certain &= np.finfo(np.float64).eps * trace <= GRAM_ERROR * ratios
    if not dual:  # the residual is a difference of terms of the size of y.y
        certain &= sizes[there] * betas <= LEAST_RESIDUAL * n
    return evidence if certain.all() else None


def _from_sums_of_few(problem: Problem, chosen: Variant) -> Evidence | None:
    """The evidence of n < d samples from their (d, d) Gram matrix, or None where digits lack.

    Its n leading eigenvectors give the targets in the basis of the samples' own Gram matrix, which
    is then diagonal: that these coordinates have the targets' length shows that none is lost.
    """
    if not _in_range(problem):
        return None
    n, d = problem.n_samples, problem.n_features
    absent = _absent_classes(problem.classes) if chosen.absent_classes else []
    moments, squares = _class_moments(problem, False, absent)
    xp = array_namespace(problem.gram)
    values, vectors = xp.linalg.eigh(problem.gram, UPLO="U")
    values, vectors = values[d - n :], vectors[:, d - n :]
    if not float(values[0]) > FEW_LEAST * float(values[-1]):
        return None
    coordinates = (vectors.T @ beside(vectors, moments)) / values[:, None] ** 0.5
    lengths = on_host((coordinates**2).sum(axis=0))
    if not (abs(lengths - squares) <= FEW_LOST * squares).all():
        return None
    return problem.ops.logme_evidence(
        xp.diag(values), coordinates, squares, n, d, chosen.rule, True
    )


def _in_range(problem: Problem) -> bool:
    return SMALLEST_TRACE < float(problem.gram.diagonal().sum()) < 1.0 / SMALLEST_TRACE


def _from_centred_gram(problem: Problem, regression: bool, chosen: Variant) -> Evidence | None:
    """The evidence by way of the centred Gram matrix and the mean, or None likewise."""
    if (problem.backend == "reference" and not problem.only_sums) or not _in_range(problem):
        return None
    absent = _absent_classes(problem.classes) if chosen.absent_classes and not regression else []
    found = logme_centred.evidence(
        problem, regression, chosen.rule, lambda columns: _with_empty_columns(columns, absent)
    )
    if found is None:
        return None
    evidences, betas = on_host(found.evidences), on_host(found.betas)
    fine = np.isfinite(evidences) & (on_host(found.alphas) > 0.0)
    if problem.n_samples > problem.n_features or problem.only_sums:
        fine &= _squares(problem, regression, absent) * betas <= LEAST_RESIDUAL * problem.n_samples
    return found if fine.all() else None


def _squares(problem: Problem, regression: bool, absent: list[int]) -> np.ndarray:
    """(K,) squares y.y of the targets."""
    if regression:
        return np.einsum("ik,ik->k", problem.targets, problem.targets)
    return np.insert(problem.class_counts, absent, 0.0)


def _indicators(problem: Problem, chosen: Variant) -> Array:
    """(n, K) indicators of the classes, absent ones included where the variant counts them."""
    absent = _absent_classes(problem.classes) if chosen.absent_classes else []
    return _with_empty_columns(np.eye(len(problem.classes))[problem.host_codes], absent)


def _warn_of_lost_digits(errors: np.ndarray) -> None:
    worst = errors.max(initial=0.0)
    if worst > factored.LOST_DIGITS:
        warn_uninformative(
            "the features are so badly conditioned, and fit a target so closely, that rounding "
            f"errors may be worth {worst:.0e} of LogME; leave out features that are nearly "
            "combinations of others, or reduce them by PCA"
        )


def _warn_of_exact_fits(evidences: np.ndarray, regression: bool) -> None:
    n_exact = int(np.isposinf(evidences).sum())
    if n_exact:
        what = "regression targets" if regression else "classes"
        warn_uninformative(
            f"the features fit {n_exact} of {len(evidences)} {what} exactly, so that the evidence "
            "has no maximum and LogME is inf: it cannot tell such models apart; are the labels "
            "among the features, or a target constant?"
        )


def weights(problem: Problem, ratios: Any, regression: bool) -> Any:
    """(K, d) posterior means of the linear models at ratios t = alpha / beta, (K,)."""
    dual = problem.n_samples <= problem.n_features
    with np.errstate(all="ignore"):
        gram = problem.gram
        trace = float(gram.diagonal().sum())
        least = on_host(ratios).min(initial=np.inf)
        certain = np.finfo(np.float64).eps * trace <= GRAM_ERROR * least
    if problem.backend == "reference" or not certain or not trace > SMALLEST_TRACE:
        targets = problem.targets if regression else _indicators(problem, Variant(EvidenceRule()))
        return factored.weights(problem.features, targets, ratios)
    if regression:
        moments, _ = _regression_moments(problem, dual)
    else:
        moments, _ = _class_moments(problem, dual, [])
    xp = array_namespace(gram)
    eigenvalues, vectors = xp.linalg.eigh(gram, UPLO="U")
    damped = xp.clip(eigenvalues, 0.0, None)[:, None] + ratios
    solution = vectors @ ((vectors.T @ beside(gram, moments)) / damped)
    if dual:  # F^T (F F^T + t I)^-1 y = (F^T F + t I)^-1 F^T y
        solution = problem.ops.target_moments(problem.features, solution)
    return solution.T


def present_targets(problem: Problem, variant: str) -> np.ndarray:
    """(K,) mask of those targets of a classification that are classes that occur."""
    absent = _places_of_absent(problem.classes) if VARIANTS[variant].absent_classes else []
    return np.insert(np.ones(len(problem.classes), dtype=bool), absent, False)


def _class_moments(problem: Problem, dual: bool, absent: list[int]) -> tuple[Array, np.ndarray]:
    """F^T Y (dual: Y itself) and y.y for the indicators of the classes, absent ones inserted."""
    counts = problem.class_counts
    if dual:
        moments = np.eye(len(counts))[problem.host_codes]
    else:
        moments = problem.scatter.sums.T
    return _with_empty_columns(moments, absent), np.insert(counts, absent, 0.0)


def _with_empty_columns(columns: Array, positions: list[int]) -> Array:
    """Columns of zeros inserted before the positions, as by np.insert."""
    if len(positions) == 0:
        return columns
    xp = array_namespace(columns)
    n_columns = columns.shape[1]
    order = np.insert(np.arange(n_columns), positions, n_columns).tolist()
    return xp.concatenate([columns, 0.0 * columns[:, :1]], axis=1)[:, order]


def _absent_classes(classes: np.ndarray) -> list[int]:
    """Where one empty column stands for all integers from 0 on that do not occur: at the end.

    Their targets are the same zeros, so that one of them is computed.
    """
    return [len(classes)] if _n_absent(classes) else []


def _n_absent(classes: np.ndarray) -> int:
    """The number of integers from 0 to the largest class that do not occur."""
    present = classes[classes >= 0] if classes.dtype.kind in "iu" else classes[:0]
    return int(present.max()) + 1 - len(present) if len(present) else 0


def _count_absent(problem: Problem, regression: bool, variant: str) -> int:
    counted = VARIANTS[variant].absent_classes and not regression
    return _n_absent(problem.classes) if counted else 0


def _places_of_absent(classes: np.ndarray) -> Any:
    """Where, among the classes, those integers from 0 on would stand that do not occur."""
    if not _n_absent(classes):
        return []
    absent = np.setdiff1d(np.arange(int(classes.max()) + 1), classes)
    return np.searchsorted(classes, absent)


def _with_absent(problem: Problem, found: Evidence, n_absent: int) -> Evidence:
    """The evidence with an entry for each absent class, where its number has it."""
    if not n_absent:
        return found
    n_classes = len(problem.classes)
    order = np.insert(np.arange(n_classes), _places_of_absent(problem.classes), n_classes)
    return Evidence(*(f[beside(f, order)] for f in astuple(found)))


def _regression_moments(problem: Problem, dual: bool) -> tuple[Array, np.ndarray]:
    targets = problem.targets
    squares = np.einsum("ik,ik->k", targets, targets)
    if dual:
        return targets, squares
    return problem.ops.target_moments(problem.features, targets), squares


METRIC = Metric(
    "logme",
    compute,
    "largest log evidence of a Bayesian linear model of the labels",
    ("classification", "regression"),
    "You et al., ICML 2021; JMLR 2022",
    {"variant": VARIANTS},
    from_scatter=True,
)
