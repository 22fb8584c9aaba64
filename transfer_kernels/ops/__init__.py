"""The hot operations as plain functions: each picks the backend and hands over, no mathematics.

The contracts that every version of an op keeps are the docstrings of the packages
``transfer_kernels.kernels.<op>``. Arrays must be as the contracts say: the metrics bring a user's
arrays into that form, and ``transfer_kernels.inputs.arrays`` helps who calls the ops directly. The
device that holds an op's first argument decides where it runs; results are NumPy arrays for arrays
on the host, tensors for those on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..inputs import arrays
from ..inputs.bfloat16 import BFloat16Matrix, ByBlocks
from ..kernels.array_namespace import is_tensor
from ..kernels.fisher_scatter import FisherScatter
from ..kernels.logme_evidence import Evidence, EvidenceRule, Known, LargestEvidence
from .backends import Backend, choose_backend, implementation, version_for

__all__ = [
    "BoundOps",
    "Evidence",
    "EvidenceRule",
    "FisherScatter",
    "Known",
    "LargestEvidence",
    "bound_ops",
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


DEFAULT_PRECISION = "float64"


#: Ops whose folder has another name than they.
_FOLDERS = {
    "class_logdets": "class_scatter",
    "log_determinant": "positive_definite",
    "quadratic_forms": "positive_definite",
    "dominant_eigenvalue": "fisher_discriminant",
    "parc_correlation_vectors": "parc_correlation",
    "within_scatter": "fisher_discriminant",
}


class BoundOps:
    """The ops of one backend as attributes, chosen once and unchecked.

    They are the versions themselves: arrays must be as the contracts say, and are consumed where
    those allow it. For who has checked the arrays once, as `transfer_kernels.Problem` does.

    Parameters
    ----------
    backend : transfer_kernels.ops.backends.Backend

    Attributes
    ----------
    backend : str
        Name of the backend.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend.name
        self._backend = backend

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("_") or op not in __all__:
            raise AttributeError(f"there is no op {op!r}")
        version = version_for(_FOLDERS.get(op, op), self._backend)
        function = getattr(version, op)
        setattr(self, op, function)  # found without this method from now on
        return function


class _OpsByBlocks(BoundOps):
    """The same where the features are a `BFloat16Matrix`, beside other arrays."""

    def __getattr__(self, op: str) -> Callable[..., Any]:
        plain = super().__getattr__(op)
        by_blocks = getattr(ByBlocks(version_for(_FOLDERS.get(op, op), self._backend)), op)

        def function(X, *arguments, **options):
            chosen = by_blocks if isinstance(X, BFloat16Matrix) else plain
            return chosen(X, *arguments, **options)

        setattr(self, op, function)
        return function


@cache
def _bound(backend: Backend, by_blocks: bool) -> BoundOps:
    return _OpsByBlocks(backend) if by_blocks else BoundOps(backend)


def bound_ops(array: Any, backend: str | None = None) -> BoundOps:
    """The ops of the backend that serves arrays beside ``array``.

    Parameters
    ----------
    array : array or tensor
        Its device decides which backends serve.
    backend : str, optional
        Force a backend.

    Raises
    ------
    ValueError
        See `transfer_kernels.ops.backends.choose_backend`.
    """
    chosen = choose_backend(backend, arrays.device_kind(array))
    return _bound(chosen, isinstance(array, BFloat16Matrix))


def _is_c_ordered(array) -> bool:
    return array.is_contiguous() if is_tensor(array) else array.flags.c_contiguous


def _version(op: str, backend: str | None, array):
    version = implementation(op, backend, arrays.device_kind(array))
    return ByBlocks(version) if isinstance(array, BFloat16Matrix) else version


def first_nonfinite(X, *, backend: str | None = None) -> tuple[int, int] | None:
    """Row and column of the first NaN or infinity, in row-major order.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides. They are read once.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (row, column) or None
        None where all are finite.
    """
    X = arrays.as_features(X, "X")
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
        add with ``+``; ``.save(path)`` and ``FisherScatter.load(path)`` keep them. Beyond X they
        take O(d^2 + C d) memory.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or the codes or n_classes are no integers.
    ValueError
        If the shapes do not fit, a code is outside [0, n_classes), a weight is negative or not
        finite, or the backend is not available or lacks the precision.
    """
    X = arrays.as_features(X, "X", narrow=True)
    arrays.require_positive_integer(n_classes, "n_classes")
    codes = arrays.as_codes(codes, len(X), n_classes)
    if weights is not None:
        weights = arrays.as_weights(weights, len(X))
    if shift is not None:
        shift = arrays.as_operand(shift, "shift", (X.shape[1],))
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
    """Within-class scatter: (gram + (left^T right + right^T left) / 2) / n_samples.

    With ``left`` minus the class sums and ``right`` the class means it is the scatter around the
    class means.

    Parameters
    ----------
    gram : (d, d) float64 array
        Second moments of the features, upper triangle; not changed.
    left, right : (m, d) float64 arrays
    n_samples : int
    backend : str, optional
        Force a backend.

    Returns
    -------
    (d, d) float64 array
        Only the upper triangle is meant; what stands below the diagonal is undefined.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or n_samples is no integer.
    ValueError
        If the shapes do not fit, n_samples is less than 1, or the backend is not available.
    """
    gram = arrays.as_operand(gram, "gram", ("d", "d"))
    left = arrays.as_operand(left, "left", ("m", gram.shape[1]))
    right = arrays.as_operand(right, "right", tuple(left.shape))
    arrays.require_positive_integer(n_samples, "n_samples")
    return _version("fisher_discriminant", backend, gram).within_scatter(
        gram, left, right, n_samples
    )


def dominant_eigenvalue(within, ones, *, backend: str | None = None) -> float:
    """SFDA's power-iteration estimate of the largest eigenvalue (Shao et al., ECCV 2022).

    From x = A 1, three rounds of y = A x / norm(A x), x = A y / norm(A y); then x . A y.

    Parameters
    ----------
    within : (d, d) float64 array
        A, upper triangle; not changed.
    ones : (d,) float64 array
        The vector of ones, or its image where the features were rotated.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        Zero for a zero matrix.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
    within = arrays.as_operand(within, "within", ("d", "d"))
    ones = arrays.as_operand(ones, "ones", (within.shape[0],))
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
    """Coefficients and offsets of the shrunk linear discriminant.

    With S = (1 - s) Sw + s trace(Sw) / n_features I, s the shrinkage: coef = means S^-1 and
    offset = diag(coef means^T) / 2, so that class c scores x . coef[c] - offset[c] + ln prior[c].

    Parameters
    ----------
    within : (d, d) array
        Sw of any real dtype and layout, upper triangle.
    means : (C, d) float64 array
        Class means.
    shrinkage : float
        s, in [0, 1].
    n_features : int
        By which the trace is divided: d, or the number of features before a rotation to fewer.
    overwrite_within : bool, default False
        Whether ``within``, float64 and C-ordered then, may be overwritten, which saves a copy.
    backend : str, optional
        Force a backend.

    Returns
    -------
    coef : (C, d) float64 array
    offset : (C,) float64 array

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or n_features is no integer.
    ValueError
        If S is not positive definite to working precision, the shapes do not fit, the shrinkage
        is not in [0, 1], ``within`` cannot be overwritten, or the backend is not available.
    """
    given = within
    within = arrays.as_operand(within, "within", ("d", "d"))
    means = arrays.as_operand(means, "means", ("C", within.shape[0]))
    arrays.require_positive_integer(n_features, "n_features")
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"shrinkage={shrinkage!r} is out of range: it must lie in [0, 1]")
    if not overwrite_within:
        within = within.clone() if is_tensor(within) else within.copy(order="C")
    elif within is not given or not _is_c_ordered(within):
        raise ValueError(
            "within must be a C-ordered float64 array to be overwritten; leave overwrite_within out"
        )
    return _version("fisher_discriminant", backend, within).fisher_discriminant(
        within, means, shrinkage, n_features
    )


def self_challenging(X, codes, coef, intercept, mixing=None, *, backend: str | None = None):
    """Posterior of every sample's own class, and its second softmax (Shao et al., ECCV 2022).

    With z = coef x + intercept, p = softmax(z) and q = softmax(p), a sample of class c gets p[c]
    and q[c]. No (n, C) matrix is stored.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes in [0, C).
    coef : (C, d) float64 array
    intercept : (C,) float64 array
    mixing : tuple of (n,) and (C, d) float64 arrays, optional
        Shares q and anchors: the discriminant is taken on the mixed samples
        q[i] x[i] + (1 - q[i]) anchors[codes[i]], which are never made.
    backend : str, optional
        Force a backend.

    Returns
    -------
    posterior : (n,) float64 array
    challenge : (n,) float64 array

    Raises
    ------
    TypeError
        If an argument holds no real numbers, the codes are no integers or mixing is no pair.
    ValueError
        If the shapes do not fit, a code is out of range, or the backend is not available.
    """
    X = arrays.as_features(X, "X", narrow=True)
    coef = arrays.as_operand(coef, "coef", ("C", X.shape[1]))
    intercept = arrays.as_operand(intercept, "intercept", (coef.shape[0],))
    codes = arrays.as_codes(codes, len(X), coef.shape[0])
    if mixing is not None:
        if not isinstance(mixing, (tuple, list)) or len(mixing) != 2:
            raise TypeError(f"mixing must be a pair of arrays or None, not {type(mixing).__name__}")
        share = arrays.as_operand(mixing[0], "mixing[0]", (X.shape[0],))
        mixing = share, arrays.as_operand(mixing[1], "mixing[1]", tuple(coef.shape))
    return _version("self_challenging", backend, X).self_challenging(
        X, codes, coef, intercept, mixing
    )


def parc_correlation(X, codes, *, backend: str | None = None) -> float:
    """Spearman correlation of feature distance and "different class" over all pairs of samples.

    The feature distance of a pair is 1 - Pearson's correlation of its rows, the columns of X
    standardised first; ties are averaged. PARC (Bolya et al., NeurIPS 2021) is 100 times this. The
    n x n matrix is never stored.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes, from 0 on.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        In [-1, 1]; NaN where all feature distances or all label distances are equal. On the CPU it
        is exact for few pairs, else within an estimated 1e-9.

    Raises
    ------
    ValueError
        If the lengths differ, a code is negative, or the backend is not available.
    """
    X = arrays.as_features(X, "X", narrow=True)
    codes = arrays.as_codes(codes, len(X))
    return _version("parc_correlation", backend, X).parc_correlation(X, codes)


def parc_correlation_vectors(X, Y, *, backend: str | None = None) -> float:
    """Spearman correlation of feature distance and label-vector distance over all pairs.

    Both distances are 1 - Pearson's correlation of two rows, see `parc_correlation`.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    Y : (n, k) real array
        Label vectors, finite.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        In [-1, 1]; NaN where all feature distances or all label distances are equal.

    Raises
    ------
    ValueError
        If the lengths differ, Y is not finite, or the backend is not available or does not take so
        many samples: "numba" takes 23 170.
    """
    X = arrays.as_features(X, "X", narrow=True)
    Y = arrays.as_targets(arrays.as_array(Y, "Y"), "Y")
    arrays.require_length(Y, len(X), "Y")
    return _version("parc_correlation", backend, X).parc_correlation_vectors(X, Y)


def randomized_pca(X, n_components: int, *, backend: str | None = None) -> np.ndarray:
    """Projection on the leading principal components, as PARC takes it.

    The randomised range finder of Halko, Martinsson and Tropp (SIAM Review 2011) with one power
    iteration and ten extra directions from a fixed seed: the projection of PARC's published code,
    signs included.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides; centred without a copy of them.
    n_components : int
        In [1, min(n, d)].
    backend : str, optional
        Force a backend.

    Returns
    -------
    (n, n_components) float64 array

    Raises
    ------
    TypeError, ValueError
        If n_components is no integer or out of range, or the backend is not available.
    """
    X = arrays.as_features(X, "X", narrow=True)
    arrays.require_components(n_components, X.shape)
    return _version("randomized_pca", backend, X).randomized_pca(X, n_components)


def row_space(X, *, backend: str | None = None):
    """Centred features in an orthonormal basis of their own row space, for n < d.

    Nothing is lost: X = Z basis + origin.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, n < d.
    backend : str, optional
        Force a backend.

    Returns
    -------
    Z : (n, n) float64 array
        (X - origin) basis^T.
    basis : (n, d) float64 array
        Orthonormal rows.
    origin : (d,) float64 array
        Mean of the rows of X.

    Raises
    ------
    TypeError
        If X holds no real numbers.
    ValueError
        If X is not two-dimensional, has as many rows as columns, or the backend is not available.
    """
    X = arrays.as_features(X, "X")
    if X.shape[0] >= X.shape[1]:
        raise ValueError(f"X must have fewer rows than columns, not shape {tuple(X.shape)}")
    return _version("row_space", backend, X).row_space(X)


def target_moments(X, Y, origin=None, *, backend: str | None = None) -> np.ndarray:
    """Cross moments X^T Y of the features with real targets, or (X - origin)^T Y.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides; read once, in blocks.
    Y : (n, K) float64 array
    origin : (d,) float64 array, optional
        Subtracted from every sample, without loss of digits where it is far from zero.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (d, K) float64 array

    Raises
    ------
    TypeError
        If X or Y holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
    X = arrays.as_features(X, "X")
    Y = arrays.as_operand(Y, "Y", (X.shape[0], "K"))
    if origin is not None:
        origin = arrays.as_operand(origin, "origin", (X.shape[1],))
    return _version("target_moments", backend, X).target_moments(X, Y, origin)


def logme_evidence(
    gram,
    moments,
    squares,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence | None = None,
    dual: bool = False,
    known: Known | None = None,
    *,
    backend: str | None = None,
) -> Evidence:
    """Log evidence of Bayesian linear regression for many targets at once (You et al., ICML 2021).

    For features F (n, d) and each target y: y ~ N(F w, I / beta), w ~ N(0, I / alpha).

    Parameters
    ----------
    gram : (d, d) float64 array
        F^T F, upper triangle; with ``dual`` F F^T (n, n). Not changed.
    moments : (d, K) float64 array
        F^T Y; with ``dual`` Y (n, K) itself.
    squares : (K,) float64 array
        y . y of each target.
    n_samples, n_features : int
        n and d.
    rule : EvidenceRule or LargestEvidence, optional
        The fixed point of alpha and beta, with its settings, or the maximum over both. By default
        ``EvidenceRule()``.
    dual : bool, default False
        For n <= d.
    known : Known, optional
        Directions that the Gram matrix of the dual form has not.
    backend : str, optional
        Force a backend.

    Returns
    -------
    Evidence
        Log evidence per sample in nats, alpha, beta and their ratio, (K,) each. With
        `LargestEvidence` a value is NaN where the search ends at the rounding error of the Gram
        matrix; `transfer_kernels.logme` then factors the features themselves.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, n_samples or n_features is no integer, or the rule is
        none.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
    arrays.require_positive_integer(n_samples, "n_samples")
    arrays.require_positive_integer(n_features, "n_features")
    order: int | str = n_samples if dual else n_features
    gram = arrays.as_operand(gram, "gram", (order, order) if known is None else ("m", "m"))
    moments = arrays.as_operand(moments, "moments", (gram.shape[0], "K"))
    squares = arrays.as_operand(squares, "squares", (moments.shape[1],))
    if rule is not None and not isinstance(rule, (EvidenceRule, LargestEvidence)):
        raise TypeError(
            f"rule must be an EvidenceRule, LargestEvidence or None, not {type(rule).__name__}"
        )
    return _version("logme_evidence", backend, gram).logme_evidence(
        gram, moments, squares, n_samples, n_features, rule or EvidenceRule(), dual, known
    )


def quadratic_forms(gram, columns, *, backend: str | None = None) -> tuple[np.ndarray, int]:
    """x^T G^+ x of vectors in the range of a Gram matrix, and its rank.

    Parameters
    ----------
    gram : (m, m) float64 array
        G, positive semidefinite, upper triangle; not changed. Its units do not matter: it is scaled
        to a unit diagonal, of which m times float64's rounding counts as nothing.
    columns : (m, K) float64 array
        The vectors x, in the range of G.
    backend : str, optional
        Force a backend.

    Returns
    -------
    forms : (K,) float64 array
    rank : int

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
    gram = arrays.as_operand(gram, "gram", ("m", "m"))
    columns = arrays.as_operand(columns, "columns", (gram.shape[0], "K"))
    return _version("positive_definite", backend, gram).quadratic_forms(gram, columns)


def log_determinant(gram, scale: float, *, backend: str | None = None) -> float:
    """Logarithm of det(I + scale G) for a Gram matrix G.

    Parameters
    ----------
    gram : (m, m) float64 array
        G, positive semidefinite, upper triangle; not changed.
    scale : float
        Not negative.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        In nats. NaN where the Gram matrix has lost the digits that it depends on, beside a sample
        that drowns all others; `transfer_kernels.transrate` then takes the samples themselves.

    Raises
    ------
    TypeError
        If gram holds no real numbers.
    ValueError
        If gram is not square, scale is negative or not finite, or the backend is not available.
    """
    gram = arrays.as_operand(gram, "gram", ("m", "m"))
    if not 0.0 <= scale < np.inf:
        raise ValueError(f"scale={scale!r} is out of range: it must be finite and not negative")
    return _version("positive_definite", backend, gram).log_determinant(gram, scale)


def class_logdets(X, codes, n_classes: int, shift, scales, *, backend: str | None = None):
    """Logarithm of det(I + scale Z^T Z) for the samples Z of each class, less a common shift.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes in [0, n_classes).
    n_classes : int
        Number of classes, C.
    shift : (d,) float64 array
        Subtracted from every sample.
    scales : (C,) float64 array
        Not negative.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (C,) float64 array
        In nats; 0 for a class without samples. Beyond X one class is held at a time.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or the codes or n_classes are no integers.
    ValueError
        If the shapes do not fit, a code is out of range, a scale is negative or not finite, or the
        backend is not available.
    """
    X = arrays.as_features(X, "X")
    arrays.require_positive_integer(n_classes, "n_classes")
    codes = arrays.as_codes(codes, len(X), n_classes)
    shift = arrays.as_operand(shift, "shift", (X.shape[1],))
    scales = arrays.as_operand(scales, "scales", (n_classes,))
    if not bool(((scales >= 0.0) & (scales < np.inf)).all()):
        raise ValueError("scales must be finite and not negative")
    return _version("class_scatter", backend, X).class_logdets(X, codes, n_classes, shift, scales)


def row_statistics(X, shift, *, backend: str | None = None):
    """Squared norms and log-sums of exponentials of the rows, in one pass.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    shift : (d,) float64 array
        Subtracted for the squared norms only.
    backend : str, optional
        Force a backend.

    Returns
    -------
    squares : (n,) float64 array
        Sum over the features of (x - shift)^2.
    logsums : (n,) float64 array
        Logarithm of the sum over the features of exp(x), in nats.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
    X = arrays.as_features(X, "X")
    shift = arrays.as_operand(shift, "shift", (X.shape[1],))
    return _version("row_statistics", backend, X).row_statistics(X, shift)
