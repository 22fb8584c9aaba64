"""What `class_scatter` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Codes, Count, Doubles, Features, Given, declare


@declare(
    Doubles("n_classes"),
    X=Features(),
    codes=Codes("n_classes"),
    n_classes=Count(),
    shift=Doubles("d"),
    scales=Doubles("n_classes", not_negative=True),
)
def class_logdets(
    X: Array,
    codes: Array,
    n_classes: int,
    shift: Array,
    scales: Array,
    *,
    backend: str | None = None,
) -> Array:
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


@declare(
    Doubles("n_classes", "d", "d"),
    X=Features(),
    codes=Codes("n_classes"),
    n_classes=Count(),
    unbiased=Given(),
)
def class_covariances(
    X: Array, codes: Array, n_classes: int, unbiased: bool = False, *, backend: str | None = None
) -> Array:
    """Covariance of the features within each class, around its own mean.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides; few of them, such as scores along
        principal axes.
    codes : (n,) integer array
        Classes in [0, n_classes).
    n_classes : int
        Number of classes, C.
    unbiased : bool, default False
        Divide by the number of samples less one instead of by that number.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (C, d, d) float64 array
        Zeros for a class without samples, and with ``unbiased`` for one with a single sample.

    Raises
    ------
    TypeError
        If X holds no real numbers, or the codes or n_classes are no integers.
    ValueError
        If the shapes do not fit, a code is out of range, or the backend is not available.
    """


@declare(Doubles("n_classes", "d"), X=Features(), codes=Codes("n_classes"), n_classes=Count())
def class_variances(X: Array, codes: Array, n_classes: int, *, backend: str | None = None) -> Array:
    """Variance of each feature within each class, divided by the number of samples.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes in [0, n_classes).
    n_classes : int
        Number of classes, C.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (C, d) float64 array
        Zeros for a class without samples. Taken around the mean of the class.

    Raises
    ------
    TypeError
        If X holds no real numbers, or the codes or n_classes are no integers.
    ValueError
        If the shapes do not fit, a code is out of range, or the backend is not available.
    """
