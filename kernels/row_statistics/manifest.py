"""What `row_statistics` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Doubles, Features, declare


@declare(Doubles("n"), Doubles("n"), X=Features(), shift=Doubles("d"))
def row_statistics(X: Array, shift: Array, *, backend: str | None = None) -> tuple[Array, Array]:
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
