"""What `self_challenging` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Codes, Doubles, Features, Pair, declare


@declare(
    Doubles("n"),
    Doubles("n"),
    X=Features(narrow=True),
    codes=Codes("C"),
    coef=Doubles("C", "d"),
    intercept=Doubles("C"),
    mixing=Pair(share=Doubles("n"), anchors=Doubles("C", "d")),
)
def self_challenging(
    X: Array,
    codes: Array,
    coef: Array,
    intercept: Array,
    mixing: tuple[Array, Array] | None = None,
    *,
    backend: str | None = None,
) -> tuple[Array, Array]:
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
