"""`parc_correlation` by Triton: tiles of pairs, multiplied and counted by one kernel, never stored.

Which bins are counted, and what follows from the counts, is up to `tensor_ranks`. A program
multiplies the unit rows of a tile of pairs on the FP64 tensor cores, turns the products into keys,
finds their bins level by level, and adds one to the counter of each pair's bin and class: integers,
so that the order in which programs come does not matter. The counters lie in the GPU's memory, an
atomic a pair; `cuda_gpu` sorts pairs by parts first and counts each part in shared memory, which
Triton has no way to address. Few pairs and label vectors are left to `torch_gpu`.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from ..array_namespace import Array
from ..torch_runtime import on_device_of
from ..triton_runtime import LAUNCH
from . import TOLERANCE, torch_gpu
from .tensor_ranks import BINS, CELL_BITS, N_CELLS, uniform_level
from .tensor_rows import KEPT_BYTES, UNIT, UNIT_BITS
from .torch_gpu import SORT_LIMIT, parc_correlation_vectors

__all__ = ["bounded_correlation", "parc_correlation", "parc_correlation_vectors"]

#: Rows and columns of a tile of pairs, and what features are filled up to.
PAIR_TILE = 64
FEATURES = 16
#: Of a program: with fewer, what the pairs' bins take of the registers spills.
WARPS = 8


@triton.jit
def _bins_of(
    keys, first, shift, refined, cell_of, start, width, n_refined, CELL_BITS: tl.constexpr
):
    """Bin of every key on the last level, -1 where its bin was not refined."""
    cell = keys >> CELL_BITS
    within = keys & ((1 << CELL_BITS) - 1)
    bins = tl.load(first + cell) + (within >> tl.load(shift + cell))
    for level in range(n_refined):
        # Where the level's bins above and its cells begin in the arrays, and log2 of a cell's bins.
        bins_before = tl.load(refined + 3 * level)
        cells_before = tl.load(refined + 3 * level + 1)
        bits = tl.load(refined + 3 * level + 2)
        is_there = bins >= 0
        at = tl.load(cell_of + bins_before + bins, mask=is_there, other=-1).to(tl.int64)
        is_there = at >= 0
        origin = tl.load(start + cells_before + at, mask=is_there, other=0)
        narrow = tl.load(width + cells_before + at, mask=is_there, other=0).to(tl.int64)
        bins = tl.where(is_there, (at << bits) + ((keys - origin) >> narrow), -1)
    return bins


@triton.jit(do_not_specialize=["n_rows", "n_columns", "depth", "n_refined", "n_bins"])
def _count_tile(
    rows, columns, row_codes, column_codes, first, shift, refined, cell_of, start, width, counts,
    n_rows, n_columns, depth, n_refined, n_bins,
    DIAGONAL: tl.constexpr, UNIT: tl.constexpr, UNIT_BITS: tl.constexpr, CELL_BITS: tl.constexpr,
    TILE: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """Adds the pairs of a tile of unit rows and columns to the counts, by bin and class."""
    if DIAGONAL:  # columns are the rows: pairs i < j only
        if tl.program_id(0) > tl.program_id(1):
            return
    i = tl.program_id(0) * TILE + tl.arange(0, TILE)
    j = tl.program_id(1) * TILE + tl.arange(0, TILE)
    depth = tl.cast(depth, tl.int64) // FEATURES * FEATURES
    left = rows + i.to(tl.int64)[:, None] * depth
    right = columns + j.to(tl.int64)[None, :] * depth
    features = tl.arange(0, FEATURES)
    correlations = tl.zeros((TILE, TILE), tl.float64)
    # Every sum is over the features in one order: duplicate rows have bit-equal correlations.
    for k in range(0, depth, FEATURES):
        a = tl.load(left + (k + features)[None, :])
        b = tl.load(right + (k + features)[:, None])
        correlations = tl.dot(a, b, correlations, out_dtype=tl.float64)
    keys = (UNIT + 1.0 - correlations).to(tl.int64, bitcast=True) - UNIT_BITS
    bins = _bins_of(keys, first, shift, refined, cell_of, start, width, n_refined, CELL_BITS)
    code = tl.load(row_codes + i, mask=i < n_rows, other=-1).to(tl.int32)
    other = tl.load(column_codes + j, mask=j < n_columns, other=-1).to(tl.int32)
    wanted = (code >= 0)[:, None] & (other >= 0)[None, :] & (bins >= 0)
    if DIAGONAL:
        wanted &= i[:, None] < j[None, :]
    same = code[:, None] == other[None, :]
    slots = bins + same.to(tl.int64) * n_bins
    ones = tl.full((TILE, TILE), 1, tl.int64)
    tl.atomic_add(counts + slots, ones, mask=wanted, sem="relaxed")


class KeyCounter(torch_gpu.KeyCounter):
    """As `torch_gpu.KeyCounter`, by the kernel."""

    MULTIPLES = PAIR_TILE, FEATURES

    def sample(self) -> Any:
        """(2, N_CELLS) counts in cells of the pairs of a few rows."""
        positions = self._sampled()
        rows = self._rows.at(positions)
        level = uniform_level(rows.device)
        return count([(0, rows, 0, rows)], self._codes[positions], [level], N_CELLS)

    def __call__(self, levels: list[Any]) -> Any:
        """(2, bins) counts of pairs of different and of the same class."""
        return count(self._rows.stripe_pairs(), self._codes, levels, self._bins)


def count(stripe_pairs: Any, codes: Array, levels: list[Any], n_bins: int) -> Any:
    """(2, n_bins) counts of the pairs of stripes of unit rows in the bins of the last level."""
    first, *refined = levels
    refinements = _joined(refined, codes.device)
    counts = torch.zeros(2 * n_bins, dtype=torch.int64, device=codes.device)
    with on_device_of(codes):
        for at, rows, other, columns in stripe_pairs:
            n_rows = min(len(rows), len(codes) - at)
            n_columns = min(len(columns), len(codes) - other)
            _count_tile[triton.cdiv(n_rows, PAIR_TILE), triton.cdiv(n_columns, PAIR_TILE)](
                rows, columns, codes[at:], codes[other:], first.first, first.shift, *refinements,
                counts, n_rows, n_columns, rows.shape[1], len(refined), n_bins,
                DIAGONAL=at == other, UNIT=UNIT, UNIT_BITS=UNIT_BITS, CELL_BITS=CELL_BITS,
                TILE=PAIR_TILE, FEATURES=FEATURES, num_warps=WARPS, **LAUNCH,
            )  # fmt: skip
    return counts.view(2, n_bins)


def _joined(levels: list[Any], device: torch.device) -> Any:
    """Where each of the refined levels begins in the arrays that follow, and these arrays."""
    bins_before = cells_before = 0
    places = [[0, 0, 0]]
    for level in levels:
        places.append([bins_before, cells_before, level.bits])
        bins_before += len(level.cell_of)
        cells_before += len(level.start)
    types = {"cell_of": torch.int32, "start": torch.int64, "shift": torch.int32}
    return (
        torch.tensor(places[1:] or places, dtype=torch.int64, device=device),
        *(
            torch.cat([torch.zeros(0, dtype=dtype, device=device)]
                      + [getattr(level, name) for level in levels])
            for name, dtype in types.items()
        ),
    )  # fmt: skip


def bounded_correlation(
    X: Array,
    codes: Array,
    sort_limit: int = SORT_LIMIT,
    bins: int = BINS,
    tolerance: float = TOLERANCE,
    kept_bytes: int = KEPT_BYTES,
) -> Any:
    """The coefficient and the estimated error of binning, 0 where pairs are sorted."""
    return torch_gpu.bounded_correlation(
        X, codes, sort_limit, bins, tolerance, kept_bytes, counter=KeyCounter
    )


def parc_correlation(X: Array, codes: Array) -> float:
    """See the contract in the package's docstring."""
    return bounded_correlation(X, codes)[0]
