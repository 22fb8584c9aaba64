"""`parc_correlation` by the compiled kernels.

Few label vectors are the exception: up to `DEFINITION_LIMIT` pairs they go through the definition
in `reference`, which is exact and quick enough; there is no compiled sort of two real distances.
"""

import numpy as np

from ..native_runtime import as_codes, native_module, runtime_arguments
from . import reference

#: Up to so many pairs are sorted outright; a gigabyte of memory would be needed soon after.
SORT_LIMIT = 2**24

#: Beyond, distances are binned. Bound of the error that this may cause in the coefficient;
#: otherwise bins are counted again, finer. Typical errors are a hundred times smaller.
TOLERANCE = 1e-9

#: Label vectors: up to so many pairs the definition itself is fast. Beyond, feature distances
#: are binned to 2^-22, which costs some 1e-10, and label distances are exact up to so many distinct
#: vectors, else binned alike.
DEFINITION_LIMIT = 2**22
KINDS_LIMIT = 2048


def bounded_correlation(X, codes, sort_limit=SORT_LIMIT, tolerance=TOLERANCE):
    """The coefficient and the bound of the error that binning may have caused (0 when sorted)."""
    return native_module().parc_correlation(
        X, as_codes(codes), sort_limit=sort_limit, tolerance=tolerance, **runtime_arguments()
    )


def parc_correlation(X, codes):
    """See the contract in the package's docstring."""
    return bounded_correlation(X, codes)[0]


def parc_correlation_vectors(X, Y, definition_limit=DEFINITION_LIMIT, kinds_limit=KINDS_LIMIT):
    """See the contract in the package's docstring."""
    if len(X) * (len(X) - 1) // 2 <= definition_limit:
        return reference.parc_correlation_vectors(X, Y)
    Y = np.ascontiguousarray(Y, dtype=np.float64)
    rows, kinds = np.unique(Y, axis=0, return_inverse=True)
    if len(rows) > kinds_limit:
        magnitude = float(np.abs(Y).max()) or 1.0
        return native_module().parc_correlation_by_vectors(
            X, Y, label_magnitude=magnitude, **runtime_arguments()
        )
    weights, squares = _label_weights(rows, np.bincount(kinds.ravel()))
    return native_module().parc_correlation_by_table(
        X, as_codes(kinds.ravel()), weights, weight_squares=squares, **runtime_arguments()
    )


def _label_weights(rows, counts):
    """Twice the centred rank of the label distance of each two kinds of rows, as a square table.

    Also the sum of the squares over all pairs of samples, of which ``counts`` are of each kind.
    """
    i, j = np.triu_indices(len(rows))
    pairs = np.where(i == j, counts[i] * (counts[i] - 1) // 2, counts[i] * counts[j])
    values, group = np.unique(reference.distance_matrix(rows)[i, j], return_inverse=True)
    group_pairs = np.bincount(group, weights=pairs, minlength=len(values)).astype(np.int64)
    below = np.cumsum(group_pairs) - group_pairs
    ranks = 2 * below + group_pairs - group_pairs.sum()
    weights = np.empty((len(rows), len(rows)), dtype=np.int64)
    weights[i, j] = weights[j, i] = ranks[group]
    return weights, float(np.sum(group_pairs * ranks.astype(np.float64) ** 2))
