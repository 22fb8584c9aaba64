"""`parc_correlation` by the compiled kernels: pairs are sorted where few, else binned."""

import numpy as np

from ..native_runtime import as_codes, native_module, runtime_arguments

#: Up to so many pairs are sorted outright; a gigabyte of memory would be needed soon after.
SORT_LIMIT = 2**24
#: With label vectors: 11 585 rows, a gigabyte.
VECTORS_SORT_LIMIT = 2**26

#: Beyond, distances are binned. Bound of the error that this may cause in the coefficient;
#: otherwise bins are counted again, finer. Typical errors are a hundred times smaller.
TOLERANCE = 1e-9


def bounded_correlation(X, codes, sort_limit=SORT_LIMIT, tolerance=TOLERANCE):
    """The coefficient and the bound of the error that binning may have caused (0 when sorted)."""
    return native_module().parc_correlation(
        X, as_codes(codes), sort_limit=sort_limit, tolerance=tolerance, **runtime_arguments()
    )


def parc_correlation(X, codes):
    """See the contract in the package's docstring."""
    return bounded_correlation(X, codes)[0]


def bounded_correlation_vectors(X, Y, sort_limit=VECTORS_SORT_LIMIT, tolerance=TOLERANCE):
    """As `bounded_correlation`, with label vectors."""
    Y = np.asarray(Y, dtype=np.float64)
    return native_module().parc_correlation_vectors(
        X,
        Y,
        label_magnitude=float(np.abs(Y).max()) or 1.0,
        sort_limit=sort_limit,
        tolerance=tolerance,
        **runtime_arguments(),
    )


def parc_correlation_vectors(X, Y):
    """See the contract in the package's docstring."""
    return bounded_correlation_vectors(X, Y)[0]
