"""DDS, duality diagram similarity: centred kernel alignment of features with reference features.

    K. Dwivedi, J. Huang, R. M. Cichy, G. Roig: "Duality Diagram Similarity: A Generic Framework
    for Initialization Selection in Task Transfer Learning", ECCV 2020.

With U and V the standardised features and reference features, their rows of length one, K = U U^T
and L = V V^T without their diagonals,

    HSIC(K, L) = <K, L> + (1'K1)(1'L1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'KL1
    DDS = 100 HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),

the unbiased estimate of the criterion. No (n, n) matrix is needed: <U U^T, V V^T> = |U^T V|^2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, beside
from .problem import Problem
from .registry import Metric
from .standardised import Standardised, standardised
from .uninformative import warn_uninformative

#: Samples that the unbiased estimate needs.
FEWEST_SAMPLES = 4

#: Which kernels meet: features and reference, each with itself.
_PAIRS = ((0, 1), (0, 0), (1, 1))


def dds(
    features: Any,
    labels: Any = None,
    *,
    reference: Any,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Similarity of features to reference features by DDS: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : optional
        Not looked at; only ``ignore_label`` is sought in them.
    reference : (n, m) array or tensor
        Features of the same samples, in the same order, by a model trained on the target.
    ignore_label : optional
        Samples with this label are left out.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In [-100, 100]. NaN, with a warning, where either kernel does not vary.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if the reference is no matrix of finite real numbers with a row for each
        sample, or there are fewer than four samples.

    Warns
    -----
    UninformativeScoreWarning
        If the kernel of the features, or that of the reference, does not vary.

    References
    ----------
    Dwivedi et al., "Duality Diagram Similarity: A Generic Framework for Initialization Selection
    in Task Transfer Learning", ECCV 2020.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend, reference=reference)


@np.errstate(all="ignore")
def compute(problem: Problem) -> float:
    """The score of a problem; see `dds`."""
    n = problem.n_samples
    if n < FEWEST_SAMPLES:
        raise ValueError(f"features of {n} samples given; DDS needs at least {FEWEST_SAMPLES}")
    X, R = standardised(problem.features), standardised(problem.inputs.reference)
    rows = _unit_rows(X), _unit_rows(R)
    # <K, L> by the smaller matrices: (n, n), or (d, d), (m, m) and (d, m).
    if n <= max(X.features.shape[1], R.features.shape[1]):
        kernels = [_gram(problem, unit.T) for unit in rows]
        inner = [_product(kernels[a], kernels[b]) for a, b in _PAIRS]
    else:
        cross = rows[0].T @ rows[1]
        inner = [float((cross**2).sum())]
        inner += [_product(gram, gram) for gram in (_gram(problem, unit) for unit in rows)]
    diagonals = [(unit**2).sum(axis=1) for unit in rows]
    sums = [
        unit @ unit.sum(axis=0) - diagonal for unit, diagonal in zip(rows, diagonals, strict=True)
    ]
    hsic = []
    for (a, b), product in zip(_PAIRS, inner, strict=True):
        total = float(sums[a].sum()) * float(sums[b].sum())
        hsic.append(
            product
            - float(diagonals[a] @ diagonals[b])
            + total / ((n - 1.0) * (n - 2.0))
            - 2.0 * float(sums[a] @ sums[b]) / (n - 2.0)
        )
    noise = n * n * float(np.finfo(np.float64).eps)
    if not (hsic[1] > noise and hsic[2] > noise):
        warn_uninformative(
            "DDS is undefined here: all samples are alike in the features or in the reference; use "
            "features that vary"
        )
        return math.nan
    return 100.0 * max(-1.0, min(1.0, hsic[0] / math.sqrt(hsic[1] * hsic[2])))


def _unit_rows(given: Standardised) -> Any:
    """(n, d) float64 rows of length one; those of zeros are left."""
    rows = given.whole()
    xp = array_namespace(rows)
    norms = (rows * rows).sum(axis=1) ** 0.5
    rows *= xp.where(norms > 0.0, 1.0 / norms, xp.zeros_like(norms))[:, None]
    return rows


def _gram(problem: Problem, rows: Any) -> Any:
    """rows^T rows, upper triangle."""
    codes = beside(rows, np.zeros(len(rows), dtype=np.int64))
    zero = beside(rows, np.zeros(rows.shape[1]))
    return problem.ops.fisher_scatter(rows, codes, 1, None, zero).shifted_gram


def _product(left: Any, right: Any) -> float:
    """Inner product of two symmetric matrices of which the upper triangle is given."""
    xp = array_namespace(left)
    products = xp.triu(left) * xp.triu(right)
    return 2.0 * float(products.sum()) - float((left.diagonal() * right.diagonal()).sum())


METRIC = Metric(
    "dds",
    compute,
    "alignment of the samples' cosine kernel with that of reference features",
    (),
    "Dwivedi et al., ECCV 2020",
    needs=frozenset({"features", "reference"}),
)
