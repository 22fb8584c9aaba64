"""For the Numba version: feature distances of pairs of rows as integer keys, tile by tile.

The key of a pair is its distance 1 - r in multiples of the contract's resolution, a power of two;
an integer from 0 to 2 / resolution, but for rounding. A tile comes from one matrix product and is
split among the threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..array_namespace import Array
from ..blas_blocks import row_products
from ..numba_runtime import as_vector, even_ranges, kernel, ranges, row_block
from ..threads import run_in_threads, thread_count
from . import RESOLUTION

#: All keys lie in [KEY_START, KEY_START + 2^KEY_BITS).
KEY_START = -16
KEY_BITS = round(-np.log2(RESOLUTION)) + 2

MIN_TILE_ROWS = 512
TILE_ROWS = 2048
TILE_COLUMNS = 1024
#: Rows that a thread takes through all its kernels before it goes on: they stay in its cache.
BAND_ROWS = 32
#: Standardised rows are kept if they have no more elements than this, else made for each tile.
KEPT_ELEMENTS = 1 << 24

#: Adding this to a float64 of at most 2^50 leaves the nearest integer in its low bits.
ROUNDER = 1.5 * 2.0**52
ROUNDER_BITS = np.float64(ROUNDER).view(np.int64).item()


@kernel
def _centre(
    row: np.ndarray, mean: np.ndarray, inverse_deviation: np.ndarray, out: np.ndarray
) -> None:
    total = 0.0
    for j in range(len(row)):
        out[j] = (row[j] - mean[j]) * inverse_deviation[j]
        total += out[j]
    total /= len(row)
    for j in range(len(row)):
        out[j] -= total


@kernel
def _largest_entry(X: Array, mean: np.ndarray, inverse_deviation: np.ndarray) -> Any:
    largest = 0.0
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            largest = max(largest, abs((X[i, j] - mean[j]) * inverse_deviation[j]))
    return largest


@kernel
def _unit_rows(
    X: Array, mean: np.ndarray, inverse_deviation: np.ndarray, smallest_norm: float, out: np.ndarray
) -> None:
    for i in range(X.shape[0]):
        row = out[i]
        _centre(X[i], mean, inverse_deviation, row)
        square = 0.0
        for j in range(len(row)):
            square += row[j] * row[j]
        norm = np.sqrt(square)
        factor = 1.0 / norm if norm > smallest_norm else 0.0
        for j in range(len(row)):
            row[j] *= factor


@kernel
def _to_keys(products: np.ndarray, keys: np.ndarray, inverse_resolution: float) -> None:
    """Turn -r / resolution into keys, which ``keys`` reads from the same memory."""
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            products[i, j] += ROUNDER + inverse_resolution
        for j in range(products.shape[1]):
            keys[i, j] -= ROUNDER_BITS


class PairKeys:
    """The keys of all pairs of rows of X, in a given order of the rows.

    Parameters
    ----------
    X : (n, d) array
    order : (n,) integer array
        Row of X at each position.
    standardise : bool
        Whether the columns are standardised first.
    """

    def __init__(self, X: Array, order: np.ndarray, standardise: bool = True) -> None:
        self._X, self._order = X, order
        self.n_rows, self._n_columns = X.shape
        self._tile = np.empty(TILE_ROWS * TILE_COLUMNS)
        if standardise:
            mean, inverse_deviation = self._moments()
        else:
            mean, inverse_deviation = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self._scaling = as_vector(mean), as_vector(inverse_deviation)
        # What a constant row leaves is rounding noise of its values and centring, not variance.
        largest = max(_largest_entry(row_block(X, rows), *self._scaling) for rows in self._blocks())
        self._smallest_norm = 1e-14 * np.sqrt(X.shape[1]) * largest
        self._kept = None
        if X.size <= KEPT_ELEMENTS:
            self._kept = self._make_unit_rows(slice(0, self.n_rows))

    def _blocks(self) -> list[slice]:
        return ranges(self.n_rows, max(1, (1 << 20) // self._n_columns))

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Column means and inverse standard deviations, zero where a column has no variance."""
        n = self.n_rows
        mean = sum(self._X[rows].sum(axis=0, dtype=np.float64) for rows in self._blocks()) / n
        squares = sum(((self._X[rows] - mean) ** 2).sum(axis=0) for rows in self._blocks())
        variance = squares / n
        epsilon = np.finfo(np.float64).eps
        noise = n * epsilon * (variance + n * epsilon * mean**2)
        varies = variance > noise
        return mean, np.where(varies, 1.0 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)

    def _make_unit_rows(self, positions: slice) -> np.ndarray:
        out = np.empty((positions.stop - positions.start, self._n_columns))

        def make(part: slice) -> None:
            block = row_block(self._X, self._order[positions][part])
            _unit_rows(block, *self._scaling, self._smallest_norm, out[part])

        run_in_threads(make, even_ranges(len(out), thread_count()))
        return out

    def _unit_rows(self, positions: slice) -> Any:
        if self._kept is not None:
            return self._kept[positions]
        return self._make_unit_rows(positions)

    def visit(self, first: np.ndarray, last: np.ndarray, work: Callable[..., Any]) -> None:
        """Call ``work(worker, keys, first, last, origin)`` on bands that cover the wanted pairs.

        Parameters
        ----------
        first, last : (n,) integer arrays
            The pairs (i, j) with first[i] <= j < last[i] are wanted.
        work : callable
            Gets the number of the worker, below `thread_count`, of which no two calls run at a
            time; a matrix of keys (its own to change); which columns of each of its rows are
            wanted; and row and column of its first entry among all.
        """
        # Where the ranges are short and follow the diagonal, so do smaller tiles.
        mean_width = int((last - first).mean())
        for rows in ranges(self.n_rows, min(TILE_ROWS, max(MIN_TILE_ROWS, mean_width))):
            wanted = np.flatnonzero(first[rows] < last[rows]) + rows.start
            if not len(wanted):
                continue
            left = self._unit_rows(rows)
            begin, end = first[wanted].min(), last[wanted].max()
            for offset in ranges(end - begin, TILE_COLUMNS):
                columns = slice(int(begin) + offset.start, int(begin) + offset.stop)
                self._visit_tile(rows, left, columns, first, last, work)

    def _visit_tile(
        self,
        rows: slice,
        left: np.ndarray,
        columns: slice,
        first: np.ndarray,
        last: np.ndarray,
        work: Callable[..., Any],
    ) -> None:
        width = columns.stop - columns.start
        products = self._tile[: len(left) * width].reshape(len(left), width)
        row_products(left, self._unit_rows(columns), products, scale=-1.0 / RESOLUTION)
        first = np.clip(first[rows] - columns.start, 0, width)
        last = np.clip(last[rows] - columns.start, 0, width)

        def share(numbered: tuple[int, slice]) -> None:
            worker, part = numbered
            for start in range(part.start, part.stop, BAND_ROWS):
                band = slice(start, min(start + BAND_ROWS, part.stop))
                begin, end = first[band].min(), last[band].max()
                if begin >= end:
                    continue
                used = products[band, begin:end]
                keys = used.view(np.int64)
                _to_keys(used, keys, 1.0 / RESOLUTION)
                origin = rows.start + band.start, columns.start + begin
                work(worker, keys, first[band] - begin, last[band] - begin, origin)

        run_in_threads(share, enumerate(even_ranges(len(left), thread_count())))
