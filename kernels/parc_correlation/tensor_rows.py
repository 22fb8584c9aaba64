"""For the GPU versions: rows of length one, whose products are Pearson correlations.

The rows of a tensor are centred and scaled.

They stay on the tensor's device: kept where they are small, else made again for every pair of
stripes. A key is a distance 1 - r in multiples of the contract's resolution, 0 ... 2^KEY_BITS.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch

from . import RESOLUTION

KEY_BITS = round(-math.log2(RESOLUTION)) + 1

#: Unit rows are kept if they take no more than this, in bytes; else two stripes of this together.
KEPT_BYTES = 1 << 28
#: Elements that are converted to float64 at a time.
BLOCK_ELEMENTS = 1 << 23

#: The doubles in [UNIT, 2 UNIT) are multiples of the resolution: adding UNIT rounds to one.
UNIT = RESOLUTION * 2.0**52
UNIT_BITS = torch.tensor(UNIT, dtype=torch.float64).view(torch.int64).item()


def distance_keys(correlations: Any) -> torch.Tensor:
    """int64 keys of the distances 1 - r."""
    return (UNIT + 1.0 - correlations).view(torch.int64).sub_(UNIT_BITS)


def ranges(count: Any, step: int) -> Any:
    """Slices that cover 0 ... count - 1, each of at most ``step``."""
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


class UnitRows:
    """Centred rows of length one of X; zero where a row has no variance.

    Parameters
    ----------
    X : (n, d) floating tensor, any strides
    order : (n,) int64 tensor
        Row of X at each position.
    standardise : bool
        Whether the columns are standardised first.
    multiples : pair of int
        The matrices given out have zeros appended up to multiples of these rows and columns.
    kept_bytes : int
        See `KEPT_BYTES`.
    """

    def __init__(
        self,
        X: torch.Tensor,
        order: Any,
        standardise: bool = True,
        multiples: Any = (1, 1),
        kept_bytes: Any = KEPT_BYTES,
    ) -> None:
        self._X, self._order = X, order
        self.n_rows, self._n_columns = X.shape
        self.device = X.device
        self._row_multiple, column_multiple = multiples
        self._width = -(-self._n_columns // column_multiple) * column_multiple
        self._mean = torch.zeros(self._n_columns, dtype=torch.float64, device=self.device)
        self._scale = torch.ones_like(self._mean)
        if standardise:
            self._measure_columns()
        largest = self._largest_entry()
        if not standardise:
            # Rows of any magnitude: their squares must neither overflow nor vanish.
            self._scale = self._scale / torch.where(largest > 0, largest, 1.0)
            largest = torch.ones_like(largest)
        # What a constant row leaves is rounding noise of its values and centring, not variance.
        self._smallest_length = 1e-14 * math.sqrt(self._n_columns) * largest

        self._stripe = self.n_rows
        if 8 * self._width * self.n_rows > kept_bytes:
            rows = kept_bytes // (16 * self._width) // self._row_multiple
            self._stripe = max(1, rows) * self._row_multiple
        self._kept = self.take(order) if self._stripe >= self.n_rows else None

    def _blocks(self) -> Iterator[Any]:
        for rows in ranges(self.n_rows, max(1, BLOCK_ELEMENTS // self._n_columns)):
            yield self._X[rows].to(torch.float64, copy=True)

    def _measure_columns(self) -> None:
        """Column means and reciprocal standard deviations; 0 where a column has no variance."""
        n = self.n_rows
        mean = sum(block.sum(dim=0) for block in self._blocks()) / n
        rest, squares = torch.zeros_like(mean), torch.zeros_like(mean)
        for block in self._blocks():
            block -= mean
            rest += block.sum(dim=0)
            squares += block.square_().sum(dim=0)
        # Deviations from a rounded mean do not sum to zero: what is left corrects it.
        rest /= n
        mean += rest
        variance = squares / n - rest * rest
        epsilon = torch.finfo(torch.float64).eps
        noise = n * epsilon * (variance + n * epsilon * mean * mean)
        self._mean = mean
        self._scale = torch.where(variance > noise, variance.rsqrt(), 0.0)

    def _largest_entry(self) -> Any:
        largest = [block.sub_(self._mean).mul_(self._scale).abs().max() for block in self._blocks()]
        return torch.stack(largest).max()

    def take(self, rows: torch.Tensor) -> Any:
        """Unit rows of these rows of X, an int64 tensor, as a matrix."""
        count = -(-len(rows) // self._row_multiple) * self._row_multiple
        out = torch.zeros(count, self._width, dtype=torch.float64, device=self.device)
        for part in ranges(len(rows), max(1, BLOCK_ELEMENTS // self._n_columns)):
            block = self._X[rows[part]].to(torch.float64)
            block = block.sub_(self._mean).mul_(self._scale)
            block -= block.mean(dim=1, keepdim=True)
            length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
            block *= torch.where(length > self._smallest_length, 1.0 / length, 0.0)
            out[part, : self._n_columns] = block
        return out

    def sample(self, n_runs: Any, run: Any) -> Any:
        """Positions of ``n_runs`` evenly spread runs of ``run``; all positions if these overlap."""
        n = self.n_rows
        if n <= n_runs * run:
            return torch.arange(n, device=self.device)
        starts = torch.arange(n_runs, device=self.device) * (n - run) // max(1, n_runs - 1)
        return (starts[:, None] + torch.arange(run, device=self.device)).flatten()

    def at(self, positions: Any) -> Any:
        """Unit rows at these positions, an int64 tensor, as a matrix."""
        if self._kept is not None and self._row_multiple == 1:
            return self._kept[positions]
        return self.take(self._order[positions])

    def stripe_pairs(self) -> Iterator[Any]:
        """Yield first position and matrix of two stripes of rows, for all pairs of stripes."""
        if self._kept is not None:
            yield 0, self._kept, 0, self._kept
            return
        stripes = ranges(self.n_rows, self._stripe)
        for number, first in enumerate(stripes):
            rows = self.take(self._order[first])
            yield first.start, rows, first.start, rows
            for second in stripes[number + 1 :]:
                yield first.start, rows, second.start, self.take(self._order[second])

    def tiles(self, size: Any) -> Iterator[Any]:
        """Yield positions i and j, keys and which of them are of pairs i < j, tile by tile."""
        for first, rows, second, columns in self.stripe_pairs():
            yield from key_tiles(first, rows, second, columns, self.n_rows, size)


def key_tiles(
    first: int, rows: torch.Tensor, second: int, columns: torch.Tensor, n_rows: int, size: int
) -> Iterator[Any]:
    """As `UnitRows.tiles`, of two stripes of which ``first`` and ``second`` are first positions."""
    n_first, n_second = min(len(rows), n_rows - first), min(len(columns), n_rows - second)
    for part in ranges(n_first, size):
        i = torch.arange(first + part.start, first + part.stop, device=rows.device)
        for other in ranges(n_second, size):
            if second + other.stop - 1 <= first + part.start:
                continue
            j = torch.arange(second + other.start, second + other.stop, device=rows.device)
            keys = distance_keys(rows[part] @ columns[other].T)
            yield i, j, keys, i[:, None] < j


def all_keys(rows: UnitRows, size: int) -> torch.Tensor:
    """Keys of all pairs i < j in row-major order."""
    n = rows.n_rows
    out = torch.empty(n * (n - 1) // 2, dtype=torch.int64, device=rows.device)
    for i, j, keys, wanted in rows.tiles(size):
        out[((i * (2 * n - i - 3)) // 2 - 1)[:, None].add(j)[wanted]] = keys[wanted]
    return out
