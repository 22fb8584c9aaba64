"""The ops as PyTorch operators, ``torch.ops.transfer_kernels``, so that `torch.compile` sees them.

Importing this module registers them; each is also a function here. They take tensors, on the CPU or
on a GPU, and give float64 tensors on the same device; the contracts are those of
``transfer_kernels.kernels.<op>``. They are not differentiable. Backends are chosen as everywhere:
by device, or by ``TRANSFER_KERNELS_BACKEND``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from .. import ops
from ..inputs.arrays import as_array, as_features
from . import EvidenceRule, LargestEvidence

__all__ = [
    "class_logdets",
    "dominant_eigenvalue",
    "first_nonfinite",
    "fisher_discriminant",
    "fisher_scatter",
    "log_determinant",
    "logme_evidence",
    "parc_correlation",
    "parc_correlation_vectors",
    "quadratic_forms",
    "randomized_pca",
    "row_space",
    "row_statistics",
    "self_challenging",
    "target_moments",
    "within_scatter",
]


def _doubles(like: Tensor, *shape) -> Tensor:
    return like.new_empty(shape, dtype=torch.float64)


def _call(op: Callable, *arguments) -> Any:
    """An op's results, float64 tensors on the device of the first argument.

    The ops take NumPy arrays on the host. Results share memory with nothing, as PyTorch demands.
    """
    first = arguments[0]
    results = op(*(_as_op_takes_it(argument) for argument in arguments))
    if isinstance(results, tuple):
        return tuple(_fresh(first, result) for result in results)
    return _fresh(first, results)


def _as_op_takes_it(argument):
    if isinstance(argument, Tensor) and argument.device.type == "cpu":
        return as_array(argument, "an argument")
    return argument


def _fresh(like: Tensor, values) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64, device=like.device).clone()


@custom_op("transfer_kernels::fisher_scatter", mutates_args=())
def fisher_scatter(
    X: Tensor, codes: Tensor, n_classes: int, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Weight (C,) and weighted sum (C, d) of each class, and the Gram matrix (d, d)."""

    def public_sums(X, codes, n_classes, weights):
        scatter = ops.fisher_scatter(X, codes, n_classes, weights)
        return scatter.counts, scatter.sums, scatter.gram

    return _call(public_sums, X, codes, n_classes, weights)


@fisher_scatter.register_fake
def _(X, codes, n_classes, weights=None):
    d = X.shape[1]
    return _doubles(X, n_classes), _doubles(X, n_classes, d), _doubles(X, d, d)


@custom_op("transfer_kernels::self_challenging", mutates_args=())
def self_challenging(
    X: Tensor,
    codes: Tensor,
    coef: Tensor,
    intercept: Tensor,
    share: Tensor | None = None,
    anchors: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Posterior (n,) of each sample's own class, and its second softmax (n,).

    ``share`` (n,) and ``anchors`` (C, d), both or none, mix the samples with their anchors.
    """
    if (share is None) != (anchors is None):
        raise ValueError("share and anchors go together: give both or none")
    if share is None:
        return _call(ops.self_challenging, X, codes, coef, intercept)

    def mixed(X, codes, coef, intercept, *mixing):
        return ops.self_challenging(X, codes, coef, intercept, mixing)

    return _call(mixed, X, codes, coef, intercept, share, anchors)


@self_challenging.register_fake
def _(X, codes, coef, intercept, share=None, anchors=None):
    return _doubles(X, X.shape[0]), _doubles(X, X.shape[0])


@custom_op("transfer_kernels::parc_correlation", mutates_args=())
def parc_correlation(X: Tensor, codes: Tensor) -> Tensor:
    """Spearman correlation () of feature distance and "different class" over all pairs."""
    return _call(ops.parc_correlation, X, codes)


@parc_correlation.register_fake
def _(X, codes):
    return _doubles(X)


@custom_op("transfer_kernels::parc_correlation_vectors", mutates_args=())
def parc_correlation_vectors(X: Tensor, Y: Tensor) -> Tensor:
    """Spearman correlation () of feature distance and label-vector distance over all pairs."""
    return _call(ops.parc_correlation_vectors, X, Y)


@parc_correlation_vectors.register_fake
def _(X, Y):
    return _doubles(X)


@custom_op("transfer_kernels::logme_evidence", mutates_args=())
def logme_evidence(
    gram: Tensor,
    moments: Tensor,
    squares: Tensor,
    n_samples: int,
    n_features: int,
    dual: bool = False,
    epsilon: float = 1e-5,
    tolerance: float = 1e-3,
    max_rounds: int = 11,
    epsilon_in_evidence: bool = False,
    full_spectrum: bool = True,
    warm_start: bool = False,
    largest: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Evidence, alpha, beta and last t of every target, (K,) each.

    The settings are those of `transfer_kernels.ops.EvidenceRule`; with ``largest`` the rule is
    `transfer_kernels.ops.LargestEvidence`, which has none: those of the fixed point must then be
    left alone. An evidence that the Gram matrix lacks the digits for is NaN.
    """
    rule: EvidenceRule | LargestEvidence = EvidenceRule(
        epsilon, tolerance, max_rounds, epsilon_in_evidence, full_spectrum, warm_start
    )
    if largest:
        if rule != EvidenceRule():
            raise ValueError(
                "largest=True has no settings, and was given those of a fixed point; leave out "
                "epsilon, tolerance, max_rounds, epsilon_in_evidence, full_spectrum and warm_start"
            )
        rule = LargestEvidence()

    def columns(gram, moments, squares):
        found = ops.logme_evidence(gram, moments, squares, n_samples, n_features, rule, dual)
        return found.evidences, found.alphas, found.betas, found.ratios

    return _call(columns, gram, moments, squares)


@logme_evidence.register_fake
def _(gram, moments, *_, **__):
    n_targets = moments.shape[1]
    return tuple(_doubles(gram, n_targets) for _ in range(4))


@custom_op("transfer_kernels::randomized_pca", mutates_args=())
def randomized_pca(X: Tensor, n_components: int) -> Tensor:
    """Projection (n, n_components) on the leading principal components, as PARC takes it."""
    return _call(ops.randomized_pca, X, n_components)


@randomized_pca.register_fake
def _(X, n_components):
    return _doubles(X, X.shape[0], n_components)


@custom_op("transfer_kernels::row_space", mutates_args=())
def row_space(X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centred features (n, n) in a basis (n, d) of their row space, and their mean (d,)."""
    return _call(ops.row_space, X)


@row_space.register_fake
def _(X):
    n, d = X.shape
    return _doubles(X, n, n), _doubles(X, n, d), _doubles(X, d)


@custom_op("transfer_kernels::target_moments", mutates_args=())
def target_moments(X: Tensor, Y: Tensor, origin: Tensor | None = None) -> Tensor:
    """Cross moments X^T Y (d, K), or (X - origin)^T Y."""
    return _call(ops.target_moments, X, Y, origin)


@target_moments.register_fake
def _(X, Y, origin=None):
    return _doubles(X, X.shape[1], Y.shape[1])


@custom_op("transfer_kernels::within_scatter", mutates_args=())
def within_scatter(gram: Tensor, left: Tensor, right: Tensor, n_samples: int) -> Tensor:
    """(gram + (left^T right + right^T left) / 2) / n_samples (d, d), zero below the diagonal."""
    return torch.triu(_call(ops.within_scatter, gram, left, right, n_samples))


@within_scatter.register_fake
def _(gram, left, right, n_samples):
    return _doubles(gram, *gram.shape)


@custom_op("transfer_kernels::dominant_eigenvalue", mutates_args=())
def dominant_eigenvalue(within: Tensor, ones: Tensor) -> Tensor:
    """SFDA's estimate () of the largest eigenvalue."""
    return _call(ops.dominant_eigenvalue, within, ones)


@dominant_eigenvalue.register_fake
def _(within, ones):
    return _doubles(within)


@custom_op("transfer_kernels::fisher_discriminant", mutates_args=())
def fisher_discriminant(
    within: Tensor, means: Tensor, shrinkage: float, n_features: int
) -> tuple[Tensor, Tensor]:
    """Coefficients (C, d) and offsets (C,) of the shrunk linear discriminant."""
    return _call(ops.fisher_discriminant, within, means, shrinkage, n_features)


@fisher_discriminant.register_fake
def _(within, means, shrinkage, n_features):
    return _doubles(within, *means.shape), _doubles(within, means.shape[0])


@custom_op("transfer_kernels::first_nonfinite", mutates_args=())
def first_nonfinite(X: Tensor) -> Tensor:
    """Row and column of the first NaN or infinity, int64 (2,); both -1 where there is none."""
    position = ops.first_nonfinite(as_features(X))
    return torch.tensor(position or (-1, -1), dtype=torch.int64, device=X.device)


@first_nonfinite.register_fake
def _(X):
    return X.new_empty(2, dtype=torch.int64)


@custom_op("transfer_kernels::quadratic_forms", mutates_args=())
def quadratic_forms(gram: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """x^T G^+ x (K,) of the columns x of a matrix, and the rank () of G."""
    return _call(ops.quadratic_forms, gram, columns)


@quadratic_forms.register_fake
def _(gram, columns):
    return _doubles(gram, columns.shape[1]), _doubles(gram)


@custom_op("transfer_kernels::log_determinant", mutates_args=())
def log_determinant(gram: Tensor, scale: float) -> Tensor:
    """Logarithm () of det(I + scale G)."""
    return _call(ops.log_determinant, gram, scale)


@log_determinant.register_fake
def _(gram, scale):
    return _doubles(gram)


@custom_op("transfer_kernels::class_logdets", mutates_args=())
def class_logdets(
    X: Tensor, codes: Tensor, n_classes: int, shift: Tensor, scales: Tensor
) -> Tensor:
    """Logarithm (C,) of det(I + scale Z^T Z) for the samples Z of each class less the shift."""
    return _call(ops.class_logdets, X, codes, n_classes, shift, scales)


@class_logdets.register_fake
def _(X, codes, n_classes, shift, scales):
    return _doubles(X, n_classes)


@custom_op("transfer_kernels::row_statistics", mutates_args=())
def row_statistics(X: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Squared norms (n,) of the rows less the shift, and log-sums (n,) of their exponentials."""
    return _call(ops.row_statistics, X, shift)


@row_statistics.register_fake
def _(X, shift):
    return _doubles(X, X.shape[0]), _doubles(X, X.shape[0])
