"""What `class_scatter` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Codes, Count, Doubles, Features, declare


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
