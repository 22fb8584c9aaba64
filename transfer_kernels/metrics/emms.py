"""EMMS: how well the features fit embeddings of the labels by several language models.

    F. Meng, W. Shao, Z. Peng, C. Jiang, K. Zhang, Y. Qiao, P. Luo: "Foundation Model is Efficient
    Multimodal Multitask Model Selector", NeurIPS 2023.

With the embeddings Y_k (n, D) of the samples' labels by K models, each column standardised, Z the
centred features, P the projection on their columns, and B the mean of the Y_k, one round of the
published alternation is

    F = P B    w = sparsemax of the least squares solution of sum of w_k Y_k = F
    EMMS = - D |F - sum of w_k Y_k|^2 / n.

Where samples of one class share an embedding, Y = E[classes], the features enter by Q = S G^+ S^T,
(C, C), alone, with their class sums S and G = Z^T Z: F has the class sums Q B.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, as_float64, beside, on_host
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

#: Added to the standard deviations of the embeddings, as published.
EPSILON = 1e-8
#: Of the largest eigenvalue, below which embeddings count as combinations of the others.
DEPENDENT = 1e-13


def emms(
    features: Any,
    labels: Any,
    label_embeddings: Any,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by EMMS, the fit of label embeddings: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor, or FisherScatter
        Features of the target's samples, float16, bfloat16, float32, float64 or integers; or their
        sums by `transfer_kernels.ops.fisher_scatter`, where the embeddings are of classes.
    labels : (n,) array, tensor or list, or None
        Class labels of any hashable kind; not looked at where the embeddings are of samples. None
        for a scatter, which holds the classes too.
    label_embeddings : (C, D, K) or (n, D, K) real array
        Embeddings of width D of what the labels mean, by K language models: of the classes that
        occur, in the order of ``np.unique(labels)``, or of each sample, as for captions.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        At most 0, and the same in any unit of the features, and under all linear maps of them.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if the embeddings are of another shape or not finite, or if the features
        fit any labels, for want of more samples than their rank.

    Warns
    -----
    UninformativeScoreWarning
        If the features do not vary.

    References
    ----------
    Meng et al., "Foundation Model is Efficient Multimodal Multitask Model Selector", NeurIPS 2023.
    """
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        label_embeddings=label_embeddings,
    )


@np.errstate(all="ignore")
def compute(problem: Problem) -> float:
    """The score of a problem; see `emms`."""
    embeddings = problem.inputs.label_embeddings
    problem, _ = problem.rescaled  # the score does not depend on the scale
    n, rows = problem.n_samples, len(embeddings)
    counts = beside(embeddings, np.ones(n) if rows == n else problem.class_counts)
    Y = _standardised(embeddings, counts)
    mean = Y.mean(axis=2)
    fit, rank = (_fit_of_samples if rows == n else _fit_of_classes)(problem, mean)
    if rank >= n - 1:
        raise ValueError(
            f"EMMS is undefined for {n} samples and features of rank {rank}: they fit any labels, "
            "n > rank + 1 is needed; use more samples or fewer features"
        )
    if rank == 0:
        warn_uninformative("EMMS tells nothing here: the features do not vary; use others")
    # Moments of the embeddings with one another, with the fit, and of the fit.
    columns = Y.reshape(-1, Y.shape[2])
    weighted = (counts[:, None, None] * Y).reshape(-1, Y.shape[2]) if rows < n else columns
    together = on_host(columns.T @ weighted)
    with_fit = on_host(columns.T @ fit.reshape(-1))
    square = float((mean * fit).sum())
    weights = sparsemax(_least_squares(together, with_fit))
    residual = square - 2.0 * weights @ with_fit + weights @ together @ weights
    return -max(0.0, float(residual)) / n * embeddings.shape[1]


def _standardised(embeddings: np.ndarray, counts: np.ndarray) -> np.ndarray:
    share = (counts / counts.sum())[:, None, None]
    Y = embeddings - (share * embeddings).sum(axis=0)
    Y = Y - (share * Y).sum(axis=0)
    return Y / ((share * Y**2).sum(axis=0) ** 0.5 + EPSILON)


def _fit_of_classes(problem: Problem, mean: Any) -> tuple[Any, int]:
    """Class sums (C, D) of the fit to the class's embeddings ``mean``, and the features' rank."""
    if problem.only_sums or problem.n_samples > problem.n_features:
        sums = problem.centred.shifted_sums
        solutions, rank = problem.ops.semidefinite_solve(problem.centred_gram, sums.T)
        return beside(mean, sums @ solutions) @ mean, rank
    left = beside(mean, _row_space(problem))
    indicators = beside(mean, np.eye(len(problem.classes))[problem.host_codes])
    inside = left.T @ indicators
    return inside.T @ (inside @ mean), left.shape[1]


def _fit_of_samples(problem: Problem, mean: Any) -> tuple[Any, int]:
    """The fit (n, D) to embeddings of the samples, and the features' rank."""
    if problem.n_samples > problem.n_features:
        scatter = problem.gram_scatter  # labels may be no classes
        total = scatter.shifted_sums.sum(axis=0)
        centred = scatter.moved_to(scatter.shift + total / problem.n_samples)
        moments = problem.ops.target_moments(problem.features, mean, centred.shift)
        solutions, rank = problem.ops.semidefinite_solve(centred.shifted_gram, moments)
        fit = problem.ops.principal_scores(problem.features, centred.shift, solutions)
        return beside(mean, fit), rank
    left = beside(mean, _row_space(problem))
    return left @ (left.T @ mean), left.shape[1]


def _row_space(problem: Problem) -> Any:
    """Orthonormal basis (n, rank) of the columns of the centred features where n <= d."""
    rows = as_float64(problem.features)
    rows = rows - rows.mean(axis=0)
    rows = rows - rows.mean(axis=0)  # what the rounding of a large mean has left
    gram = rows @ rows.T
    values, vectors = array_namespace(gram).linalg.eigh(gram)
    largest = float(values.max())
    cut = len(gram) * float(np.finfo(np.float64).eps) * largest
    return vectors[:, int((on_host(values) <= cut).sum()) :]


def _least_squares(together: np.ndarray, with_fit: np.ndarray) -> np.ndarray:
    return np.linalg.pinv(together, rcond=DEPENDENT, hermitian=True) @ with_fit


def sparsemax(values: np.ndarray) -> np.ndarray:
    """The point of the simplex nearest to (K,) values (Martins and Astudillo, ICML 2016)."""
    ordered = np.sort(values)[::-1]
    excess = (np.cumsum(ordered) - 1.0) / np.arange(1, len(values) + 1)
    return np.maximum(0.0, values - excess[np.flatnonzero(ordered > excess)[-1]])


METRIC = Metric(
    "emms",
    compute,
    "fit of label embeddings by several language models, negated squared error",
    paper="Meng et al., NeurIPS 2023",
    needs=frozenset({"features", "label_embeddings"}),
    from_scatter=True,
)
