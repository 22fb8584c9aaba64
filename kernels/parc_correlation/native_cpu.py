"""`parc_correlation` by the compiled kernels: few pairs are sorted or looked up, many binned."""

import numpy as np

from ..array_namespace import Array
from ..native_runtime import as_codes, native_module, runtime_arguments
from . import TOLERANCE

#: Up to so many pairs are sorted outright; a gigabyte of memory would be needed soon after.
SORT_LIMIT = 2**24
#: Where at most this share of them is within a class, those go into a table and all others are
#: looked up in it: faster than sorting.
LOOKUP_SHARE = 1 / 16
#: With label vectors: 11 585 rows, a gigabyte.
VECTORS_SORT_LIMIT = 2**26

#: Up to so many pairs, those of 92 682 rows, are counted in 32 bits; in half the memory of 64.
NARROW_LIMIT = 2**32 - 1


def bounded_correlation(
    X: Array,
    codes: np.ndarray,
    sort_limit: int = SORT_LIMIT,
    tolerance: float = TOLERANCE,
    lookup_share: float = LOOKUP_SHARE,
    narrow_limit: int = NARROW_LIMIT,
) -> tuple[float, float]:
    """The coefficient and the error that it may have: 0 when pairs are sorted.

    Proven when they are looked up, estimated when binned; see the contract.
    """
    return native_module().parc_correlation(
        X,
        as_codes(codes),
        sort_limit=sort_limit,
        lookup_share=lookup_share,
        tolerance=tolerance,
        narrow_limit=narrow_limit,
        **runtime_arguments(),
    )


def parc_correlation(X: Array, codes: np.ndarray) -> float:
    """See the contract in the package's docstring."""
    return bounded_correlation(X, codes)[0]


def bounded_correlation_vectors(
    X: Array,
    Y: np.ndarray,
    sort_limit: int = VECTORS_SORT_LIMIT,
    tolerance: float = TOLERANCE,
    narrow_limit: int = NARROW_LIMIT,
) -> tuple[float, float]:
    """As `bounded_correlation`, with label vectors."""
    Y = np.asarray(Y, dtype=np.float64)
    return native_module().parc_correlation_vectors(
        X,
        Y,
        label_magnitude=float(np.abs(Y).max()) or 1.0,
        sort_limit=sort_limit,
        tolerance=tolerance,
        narrow_limit=narrow_limit,
        **runtime_arguments(),
    )


def parc_correlation_vectors(X: Array, Y: np.ndarray) -> float:
    """See the contract in the package's docstring."""
    return bounded_correlation_vectors(X, Y)[0]
