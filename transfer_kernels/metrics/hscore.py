"""H-score: how much of the features' variance lies between the classes.

    Y. Bao, Y. Li, S.-L. Huang, L. Zhang, L. Zheng, A. Zamir, L. Guibas: "An Information-Theoretic
    Approach to Transferability in Task Transfer Learning", ICIP 2019.
    S. Ibrahim, N. Ponomareva, R. Mazumder: "Newer is not always better: Rethinking transferability
    metrics, their peculiarities, stability and performance", ECML-PKDD 2022.

With S_c the class sums of the centred features Z and G = Z^T Z,

    H-score = tr(cov(features)^+ cov(class means)) = sum over c of S_c^T G^+ S_c / n_c

and, with the covariance (1 - a) G / n + a m I shrunk by Ledoit and Wolf,

    regularised H-score = (1 - a) n / (n - 1) sum of S_c^T ((1 - a) G + n a m I)^-1 S_c / n_c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, array_namespace, beside, on_host
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

SHRINKAGES = ("ledoit-wolf",)


def hscore(
    features: Any,
    labels: Any = None,
    shrinkage: str | None = None,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by the H-score: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor, or FisherScatter
        Features of the target's samples, float16, bfloat16, float32, float64 or integers; or their
        sums by `transfer_kernels.ops.fisher_scatter`, which hold the classes too: then no labels.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    shrinkage : {"ledoit-wolf"}, optional
        Shrink the covariance of the features; it then says something for n <= d too. By default
        none, as first published: the score is then the same for all features of full rank that are
        as many as the samples or more.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In [0, min(C - 1, d)]: the number of directions in which the features tell the C classes
        apart, each counted by how well they do.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur.

    Warns
    -----
    UninformativeScoreWarning
        If the features fit any labels, n - 1 being their rank, so that the score is C - 1 whatever
        they are; without shrinkage only.

    References
    ----------
    Bao et al., "An Information-Theoretic Approach to Transferability in Task Transfer Learning",
    ICIP 2019; Ibrahim et al., "Newer is not always better", ECML-PKDD 2022.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend, shrinkage=shrinkage)


@np.errstate(all="ignore")
def compute(problem: Problem, shrinkage: str | None = None) -> float:
    """The score of a problem; see `hscore`."""
    problem, _ = problem.rescaled  # the score does not depend on the scale
    if shrinkage is not None:
        return _regularised(problem)
    primal = problem.only_sums or problem.n_samples >= problem.n_features
    sums = problem.centred.shifted_sums.T if primal else _centred_indicators(problem)
    forms, rank = problem.ops.quadratic_forms(problem.centred_gram, sums)
    inside = None
    if primal and rank < int((problem.centred_gram.diagonal() > 0.0).sum()):
        # Columns may depend on others, or a loud row drown them: the rows themselves tell.
        if not problem.only_sums:
            inside, rank = _from_rows(problem)
        elif rank < problem.n_samples - 1:
            warn_uninformative(
                "the H-score may lack digits here: columns depend on others, or a few loud samples "
                "drown them, which the sums of a FisherScatter cannot tell; pass the features"
            )
    if rank >= problem.n_samples - 1:
        warn_uninformative(
            "the H-score cannot tell models apart here: the features fit any labels of these "
            f"{problem.n_samples} samples, so that it is the number of classes less one; use "
            'shrinkage="ledoit-wolf" or more samples'
        )
        return float(len(problem.classes) - 1)
    if inside is not None:
        return inside
    if not primal:
        return _projected(problem.centred_gram, sums, rank)
    return float((on_host(forms) / problem.class_counts).sum())


def _from_rows(problem: Problem) -> tuple[float, int]:
    """tr Y^T P Y for the projection P on the centred features' columns, and their rank.

    By QR factorisations with the loudest rows first, which leaves the others their digits; which
    columns do not depend on others is told by pivoting in the (d, d) factor.
    """
    from scipy.linalg import qr

    rows = problem.centred_rows
    linalg = array_namespace(rows).linalg
    order = beside(rows, on_host((-(rows * rows).sum(axis=1)).argsort()))
    lengths = on_host((rows * rows).sum(axis=0) ** 0.5)
    scaled = rows[order] * beside(rows, 1.0 / np.where(lengths > 0.0, lengths, 1.0))
    pivoted, pivots = qr(on_host(linalg.qr(scaled)[1]), mode="r", pivoting=True)
    sizes = np.abs(pivoted.diagonal())
    rank = int((sizes > max(rows.shape) * np.finfo(np.float64).eps * sizes[0]).sum())
    basis, _ = linalg.qr(scaled[:, beside(rows, pivots[:rank].astype(np.int64))])
    indicators = beside(rows, _centred_indicators(problem))[order]
    return float(((basis.T @ indicators) ** 2).sum()), rank


def _projected(gram: Array, indicators: Array, rank: int) -> float:
    """tr Y^T P Y for the projection P on the range of a (n, n) Gram matrix of known rank."""
    _, vectors = array_namespace(gram).linalg.eigh(gram, UPLO="U")
    inside = vectors[:, len(gram) - rank :].T @ beside(gram, indicators)
    return float((inside**2).sum())


def _centred_indicators(problem: Problem) -> Any:
    """(n, C) indicators of the classes less their means, of the length that they had before."""
    counts = problem.class_counts
    shares = counts / problem.n_samples
    indicators = (np.eye(len(counts))[problem.host_codes] - shares) / np.sqrt(counts)
    return beside(problem.features, indicators)


def _regularised(problem: Problem) -> float:
    n, counts = problem.n_samples, problem.class_counts
    share, mean_variance = ledoit_wolf(problem)
    if share >= 1.0:
        return 0.0
    ridge = n * share * mean_variance / (1.0 - share)
    if ridge == 0.0:
        return compute(problem) * n / (n - 1)
    gram = problem.centred_gram
    shifted = gram + ridge * array_namespace(gram).eye(len(gram), dtype=gram.dtype, **_on(gram))
    if n >= problem.n_features:
        forms, _ = problem.ops.quadratic_forms(shifted, problem.centred.shifted_sums.T)
        between = (on_host(forms) / counts).sum()
    else:
        # K (K + t I)^-1 = I - t (K + t I)^-1
        forms, _ = problem.ops.quadratic_forms(shifted, _centred_indicators(problem))
        between = len(counts) - 1.0 - ridge * float(forms.sum())
    return float(between * n / (n - 1))


def ledoit_wolf(problem: Problem) -> tuple[float, float]:
    """Ledoit and Wolf's share of the identity in the covariance, and the mean variance.

    O. Ledoit, M. Wolf: "A well-conditioned estimator for large-dimensional covariance matrices",
    Journal of Multivariate Analysis 88 (2004). The fourth moments enter only as the sum over the
    samples of the fourth power of their distance from the mean.
    """
    n, d = problem.n_samples, problem.n_features
    gram = problem.centred_gram
    if d == 1:  # the identity is the covariance
        return 0.0, float(gram[0, 0]) / n
    xp = array_namespace(gram)
    trace = float(gram.diagonal().sum()) / n
    square = float((xp.triu(gram) ** 2).sum() + (xp.triu(gram, 1) ** 2).sum()) / n**2
    fourth = float((problem.row_statistics[0] ** 2).sum()) / n
    spread = square - trace**2 / d
    noise = min((fourth - square) / n, spread)
    return (noise / spread if noise > 0.0 else 0.0), trace / d


def _on(array: Any) -> dict[str, Any]:
    return {} if array_namespace(array) is np else {"device": array.device}


METRIC = Metric(
    "hscore",
    compute,
    "share of the features' variance that lies between the classes, counted in directions",
    paper="Bao et al., ICIP 2019; Ibrahim et al., ECML-PKDD 2022",
    choices={"shrinkage": (None, *SHRINKAGES)},
    from_scatter=True,
)
