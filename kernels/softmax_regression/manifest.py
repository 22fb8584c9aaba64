"""What `softmax_regression` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Codes, Doubles, Features, declare


def _split(found: tuple[float, Array, float]) -> tuple[float, Array, Array, float]:
    """The gradient is two results, by coef^T and by the intercept."""
    loss, gradient, curvature = found
    return loss, gradient[:-1], gradient[-1], curvature


@declare(
    Doubles(),
    Doubles("d", "C"),
    Doubles("C"),
    Doubles(),
    gives=_split,
    X=Features(),
    codes=Codes("C"),
    coef=Doubles("C", "d"),
    intercept=Doubles("C"),
    shift=Doubles("d"),
)
def softmax_regression(
    X: Array,
    codes: Array,
    coef: Array,
    intercept: Array,
    shift: Array,
    *,
    backend: str | None = None,
) -> tuple[float, Array, float]:
    """Loss, gradient and curvature of a linear softmax classifier, in one read of the features.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Class of each sample, in [0, C).
    coef : (C, d) float64 array
    intercept : (C,) float64 array
        The classes' scores of a sample are coef (x - shift) + intercept.
    shift : (d,) float64 array
        Subtracted from every sample.
    backend : str, optional
        Force a backend.

    Returns
    -------
    loss : float
        Sum over the samples of -ln p(own class), in nats.
    gradient : (d + 1, C) float64 array
        Of the loss by coef^T, and by the intercept in the last row.
    curvature : float
        Trace of the loss's Hessian: the sum over the samples of ``|x - shift|^2 + 1`` times the sum
        over the classes of p (1 - p).

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or the codes are no integers.
    ValueError
        If the shapes do not fit, a code is out of range or the backend is not available.
    """
