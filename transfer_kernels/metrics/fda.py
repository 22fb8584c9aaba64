"""FDA score: mean posterior of the true class under plain linear discriminant analysis.

    J. Bai, S. Wu, J. Song, J. Zhao, G. Chen: "Pre-Trained Model Recommendation for Downstream
    Fine-tuning", arXiv:2403.06382, 2024.

It stands for the fine-tuned performance of a model on a task in Fennec's transfer phase:

1. features projected on their 32 leading principal components, by the randomised method;
2. discriminants z_c = x.Sw^-1 mu_c - mu_c.Sw^-1 mu_c / 2 + ln pi_c, Sw the within-class scatter;
3. the mean over the samples of softmax(z) at their own class.

This is the first stage of SFDA (Shao et al., ECCV 2022) without its shrinkage. Published code finds
the discriminants by a generalised eigenproblem and fails where Sw is singular; here Sw is shrunk by
1e-6 towards its mean eigenvalue there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs import arrays
from ..kernels.array_namespace import on_host
from .discriminant import shrunk_discriminant
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

N_COMPONENTS = 32
RIDGE = 1e-6

#: Sw counts as singular where its eigenvalues reach from 1 to below this.
SINGULAR = 1e-12


def fda_score(
    features: Any,
    labels: Any,
    n_components: int = N_COMPONENTS,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by plain Fisher discriminant analysis: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    n_components : int, default 32
        Principal components to project on first; all are kept where there are no more. The
        projection is the randomised one of `transfer_kernels.parc`.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Mean posterior of the true class, in (0, 1]. It is measured on the samples that the
        discriminants were made from: with few samples or classes it is near 1 for any model.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, no class varies within itself, or
        n_components is not a positive integer.

    Warns
    -----
    UninformativeScoreWarning
        If there are too few samples for the within-class scatter to have full rank.

    References
    ----------
    Bai et al., "Pre-Trained Model Recommendation for Downstream Fine-tuning", arXiv:2403.06382,
    2024.
    """
    return METRIC(
        features, labels, ignore_label=ignore_label, backend=backend, n_components=n_components
    )


@np.errstate(all="ignore")  # exp underflows as it should, whatever the caller traps
def compute(problem: Problem, n_components: int = N_COMPONENTS) -> float:
    """The score of a problem; see `fda_score`."""
    arrays.require_positive_integer(n_components, "n_components")
    problem, _ = problem.rescaled  # the score does not depend on the scale
    ops, codes = problem.ops, problem.codes
    n, n_classes = problem.n_samples, len(problem.classes)
    d = min(n_components, n, problem.n_features)
    if d == problem.n_features:  # a rotation changes nothing in the discriminants
        X, scatter = problem.features, problem.scatter
    else:
        X = ops.randomized_pca(problem.features, d)
        scatter = ops.fisher_scatter(X, codes, n_classes)

    means = scatter.shifted_means
    within = ops.within_scatter(scatter.shifted_gram, -scatter.shifted_sums, means, n)
    shrinkage = RIDGE if n - n_classes < d or _is_singular(within) else 0.0
    found = shrunk_discriminant(ops, within, means, scatter.shift, scatter.counts, shrinkage, d)
    posterior, _ = ops.self_challenging(X, codes, found.coef, found.intercept)
    if n - n_classes < d:
        warn_uninformative(
            f"the FDA score cannot discriminate well here: {n} samples of {n_classes} classes give "
            f"the within-class scatter of {d} components no full rank, so that scores saturate "
            "near 1; use more samples or fewer components"
        )
    return float(posterior.mean())


def _is_singular(within: Any) -> bool:
    spectrum = np.linalg.eigvalsh(on_host(within), UPLO="U")
    return bool(spectrum[0] <= SINGULAR * spectrum[-1])


METRIC = Metric(
    "fda_score",
    compute,
    "mean posterior of the true class under plain linear discriminant analysis",
    paper="Bai et al., arXiv:2403.06382, 2024",
)
