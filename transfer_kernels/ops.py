"""The hot operations as plain functions: each picks the backend and hands over, no mathematics.

The contracts (shapes, units, formulas, sources) are the docstrings of the packages
``transfer_kernels.kernels.<op>``. Arrays must be as the contracts say: the metrics bring a user's
arrays into that form, and `transfer_kernels.arrays` helps who calls the ops directly. The device
that holds an op's first argument decides where it runs; results are NumPy arrays for arrays on the
host, tensors for those on a GPU.
"""

from __future__ import annotations

import numpy as np

from . import arrays
from .backends import implementation
from .kernels.array_namespace import as_float64, is_tensor
from .kernels.fisher_scatter import FisherScatter
from .kernels.logme_evidence import Evidence, EvidenceRule, LargestEvidence

__all__ = [
    "Evidence",
    "EvidenceRule",
    "FisherScatter",
    "LargestEvidence",
    "dominant_eigenvalue",
    "first_nonfinite",
    "fisher_discriminant",
    "fisher_scatter",
    "logme_evidence",
    "parc_correlation",
    "parc_correlation_vectors",
    "randomized_pca",
    "row_space",
    "self_challenging",
    "target_moments",
    "within_scatter",
]


DEFAULT_PRECISION = "float64"


def _version(op: str, backend: str | None, array):
    return implementation(op, backend, arrays.device_kind(array))


def first_nonfinite(X, *, backend: str | None = None) -> tuple[int, int] | None:
    """Row and column of the first NaN or infinity of X (n, d), or None.

    The contract is that of `transfer_kernels.kernels.first_nonfinite`.
    """
    return _version("first_nonfinite", backend, X).first_nonfinite(X)


def fisher_scatter(
    X,
    codes,
    n_classes: int,
    weights=None,
    *,
    shift=None,
    precision: str = "float64",
    backend: str | None = None,
) -> FisherScatter:
    """Class sums and Gram matrix of the features in one pass over them.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes in [0, n_classes).
    n_classes : int
        Number of classes, C.
    weights : (n,) array, optional
        Weights, not negative; one each by default.
    shift : (d,) array, optional
        Point around which to accumulate; by default near the mean.
    precision : {"float64", "float32"}
        Of the products of the Gram matrix. "float32", on a GPU with the backend "triton", takes
        three TF32 products for each and sums blocks of rows in float64: good to a few 1e-6
        relative to the features' norms, where "float64" is to 1e-12 and better.
    backend : str, optional
        Force a backend.

    Returns
    -------
    FisherScatter
        ``.counts`` (C,), ``.sums`` (C, d), ``.gram`` (d, d), float64. Scatters of disjoint samples
        add with ``+``; ``.save(path)`` and ``FisherScatter.load(path)`` keep them.

    Raises
    ------
    ValueError
        If the shapes do not fit, a code is outside [0, n_classes), a weight is negative or not
        finite, or the backend is not available or lacks the precision.
    """
    X = arrays.as_features(X, "X")
    codes = arrays.as_codes(codes, len(X), n_classes)
    if weights is not None:
        weights = arrays.as_weights(weights, len(X))
    version = _version("fisher_scatter", backend, X)
    if precision == DEFAULT_PRECISION:
        return version.fisher_scatter(X, codes, n_classes, weights, shift)
    offered = getattr(version, "PRECISIONS", (DEFAULT_PRECISION,))
    if precision not in offered:
        raise ValueError(
            f"precision={precision!r} is not to be had here, only {', '.join(offered)}; "
            '"float32" needs backend="triton"'
        )
    return version.fisher_scatter(X, codes, n_classes, weights, shift, precision)


def within_scatter(gram, left, right, n_samples: int, *, backend: str | None = None):
    """(gram + (left^T right + right^T left) / 2) / n_samples, upper triangle.

    The contract is that of `transfer_kernels.kernels.fisher_discriminant`.
    """
    return _version("fisher_discriminant", backend, gram).within_scatter(
        gram, left, right, n_samples
    )


def dominant_eigenvalue(within, ones, *, backend: str | None = None) -> float:
    """SFDA's power-iteration estimate of the largest eigenvalue.

    The contract is that of `transfer_kernels.kernels.fisher_discriminant`.
    """
    return _version("fisher_discriminant", backend, within).dominant_eigenvalue(within, ones)


def fisher_discriminant(
    within,
    means,
    shrinkage: float,
    n_features: int,
    *,
    overwrite_within: bool = False,
    backend: str | None = None,
):
    """Coefficients (C, d) and offsets (C,) of the shrunk linear discriminant.

    The contract is that of `transfer_kernels.kernels.fisher_discriminant`, except that `within`
    may be of any real dtype and layout, and is left alone unless `overwrite_within` is true, which
    saves a copy of it.
    """
    if not overwrite_within:
        within = as_float64(within)
        within = within.clone() if is_tensor(within) else within.copy(order="C")
    return _version("fisher_discriminant", backend, within).fisher_discriminant(
        within, means, shrinkage, n_features
    )


def self_challenging(X, codes, coef, intercept, mixing=None, *, backend: str | None = None):
    """Posterior of every sample's own class, and its second softmax.

    The contract is that of `transfer_kernels.kernels.self_challenging`.

    Returns
    -------
    posterior, challenge : (n,) arrays
    """
    X = arrays.as_features(X, "X")
    codes = arrays.as_codes(codes, len(X), len(coef))
    return _version("self_challenging", backend, X).self_challenging(
        X, codes, coef, intercept, mixing
    )


def parc_correlation(X, codes, *, backend: str | None = None) -> float:
    """Spearman correlation of feature distance and "different class" over all pairs of samples.

    The contract is that of `transfer_kernels.kernels.parc_correlation`.
    """
    X = arrays.as_features(X, "X")
    codes = arrays.as_codes(codes, len(X))
    return _version("parc_correlation", backend, X).parc_correlation(X, codes)


def parc_correlation_vectors(X, Y, *, backend: str | None = None) -> float:
    """Spearman correlation of feature distance and label-vector distance over all pairs.

    The contract is that of `transfer_kernels.kernels.parc_correlation`.
    """
    X = arrays.as_features(X, "X")
    Y = arrays.as_targets(arrays.as_array(Y, "Y"), "Y")
    arrays.require_length(Y, len(X), "Y")
    return _version("parc_correlation", backend, X).parc_correlation_vectors(X, Y)


def randomized_pca(X, n_components: int, *, backend: str | None = None) -> np.ndarray:
    """(n, n_components) projection on the leading principal components, as PARC takes it.

    The contract is that of `transfer_kernels.kernels.randomized_pca`.
    """
    X = arrays.as_features(X, "X")
    arrays.require_components(n_components, X.shape)
    return _version("randomized_pca", backend, X).randomized_pca(X, n_components)


def row_space(X, *, backend: str | None = None):
    """Centred features in a basis of their row space, that basis, and their mean, for n < d.

    The contract is that of `transfer_kernels.kernels.row_space`.
    """
    return _version("row_space", backend, X).row_space(X)


def target_moments(X, Y, *, backend: str | None = None) -> np.ndarray:
    """(d, K) cross moments X^T Y.

    The contract is that of `transfer_kernels.kernels.target_moments`.
    """
    return _version("target_moments", backend, X).target_moments(X, Y)


def logme_evidence(
    gram,
    moments,
    squares,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence | None = None,
    dual: bool = False,
    *,
    backend: str | None = None,
) -> Evidence:
    """Log evidence of Bayesian linear regression for many targets at once.

    The contract is that of `transfer_kernels.kernels.logme_evidence`; ``rule`` defaults to
    ``EvidenceRule()``, a fixed point; ``LargestEvidence()`` asks for the maximum.
    """
    return _version("logme_evidence", backend, gram).logme_evidence(
        gram, moments, squares, n_samples, n_features, rule or EvidenceRule(), dual
    )
