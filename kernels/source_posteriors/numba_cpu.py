"""`source_posteriors` by Numba: pieces of classes over the threads."""

import math

import numpy as np

from ..numba_runtime import as_codes, kernel, ranges, read_only, row_block
from ..threads import run_in_threads
from . import PIECE_ROWS, is_sparse
from .lapack_pieces import summed_by_class


@kernel
def _add_rows(block, total, totals, lowest):
    for i in range(block.shape[0]):
        row_total, least = 0.0, np.float64(block[i, 0])
        for z in range(block.shape[1]):
            value = np.float64(block[i, z])
            total[z] += value
            row_total += value
            least = min(least, value)
        totals[i], lowest[i] = row_total, least


@kernel
def _add_sparse_rows(data, indices, indptr, rows, total, totals, lowest):
    for place in range(len(rows)):
        i = rows[place]
        row_total = 0.0
        least = 0.0 if indptr[i + 1] - indptr[i] < len(total) else np.inf
        for k in range(indptr[i], indptr[i + 1]):
            value = np.float64(data[k])
            total[indices[k]] += value
            row_total += value
            least = min(least, value)
        totals[place], lowest[place] = row_total, least


@kernel
def _products(block, codes, table, values):
    for i in range(block.shape[0]):
        value, own = 0.0, codes[i]
        for z in range(block.shape[1]):
            value += np.float64(block[i, z]) * table[own, z]
        values[i] = value


@kernel
def _sparse_products(data, indices, indptr, first, codes, table, values):
    for i in range(len(values)):
        value, own = 0.0, codes[i]
        for k in range(indptr[first + i], indptr[first + i + 1]):
            value += np.float64(data[k]) * table[own, indices[k]]
        values[i] = value


@kernel
def _add_tilted(block, tilt, base, total):
    """Rows over their norms, without the floor's part; and the sums of 1 / norm and ln norm."""
    inverses, logs = 0.0, 0.0
    for i in range(block.shape[0]):
        norm = 0.0
        for z in range(block.shape[1]):
            norm += np.float64(block[i, z]) * tilt[z]
        norm += base
        share = 1.0 / norm
        for z in range(block.shape[1]):
            total[z] += share * np.float64(block[i, z])
        inverses += share
        logs += math.log(norm)
    return inverses, logs


@kernel
def _add_sparse_tilted(data, indices, indptr, rows, tilt, base, total):
    inverses, logs = 0.0, 0.0
    for place in range(len(rows)):
        i = rows[place]
        norm = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            norm += np.float64(data[k]) * tilt[indices[k]]
        norm += base
        share = 1.0 / norm
        for k in range(indptr[i], indptr[i + 1]):
            total[indices[k]] += share * np.float64(data[k])
        inverses += share
        logs += math.log(norm)
    return inverses, logs


def _arrays(theta):
    """What the kernels read of CSR rows."""
    arrays = theta.data, theta.indices.astype(np.int64), theta.indptr.astype(np.int64)
    return tuple(map(read_only, arrays))


def class_sums(theta, codes, n_classes):
    """See the contract in the package's docstring."""
    n, width = theta.shape
    totals, lowest = np.empty(n), np.empty(n)
    arrays = _arrays(theta) if is_sparse(theta) else None

    def work(c, rows, total):
        row_totals, least = np.empty(len(rows)), np.empty(len(rows))
        if arrays is None:
            _add_rows(row_block(theta, rows), total, row_totals, least)
        else:
            _add_sparse_rows(*arrays, read_only(rows), total, row_totals, least)
        totals[rows], lowest[rows] = row_totals, least

    return summed_by_class(work, codes, n_classes, width), totals, lowest


def own_class(theta, codes, table):
    """See the contract in the package's docstring."""
    values, codes = np.empty(theta.shape[0]), as_codes(codes)
    table = read_only(np.ascontiguousarray(table))
    arrays = _arrays(theta) if is_sparse(theta) else None

    def work(rows):
        if arrays is None:
            _products(row_block(theta, rows), codes[rows], table, values[rows])
        else:
            _sparse_products(*arrays, rows.start, codes[rows], table, values[rows])

    run_in_threads(work, ranges(len(values), PIECE_ROWS))
    return values


def tilted_sums(theta, codes, table, floor):
    """See the contract in the package's docstring."""
    n_classes, width = table.shape
    table = np.ascontiguousarray(table)
    bases = floor * table.sum(axis=1)
    arrays = _arrays(theta) if is_sparse(theta) else None

    def work(c, rows, total):
        tilt = read_only(table[c])
        if arrays is None:
            sums = _add_tilted(row_block(theta, rows), tilt, bases[c], total[:-2])
        else:
            sums = _add_sparse_tilted(*arrays, read_only(rows), tilt, bases[c], total[:-2])
        total[-2:] += sums

    found = summed_by_class(work, codes, n_classes, width + 2)
    sums = table * (found[:, :width] + floor * found[:, width:-1])
    return sums, float(found[:, -1].sum())
