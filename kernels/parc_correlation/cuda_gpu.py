"""`parc_correlation` by CUDA kernels: tiles of pairs, sorted and counted in shared memory.

Which bins are counted, and what follows from the counts, is up to `tensor_ranks`; the kernels are
in csrc/parc_correlation/parc_correlation.cu. Label vectors are left to `torch_gpu`.
"""

import math
from typing import Any

import torch

from ..array_namespace import Array
from ..cuda_runtime import address, module_for
from ..torch_runtime import current_stream
from . import TOLERANCE, torch_gpu
from .tensor_ranks import BINS, N_CELLS, uniform_level
from .tensor_rows import KEPT_BYTES
from .torch_gpu import SORT_LIMIT, parc_correlation_vectors

__all__ = ["bounded_correlation", "parc_correlation", "parc_correlation_vectors"]

#: Rows and columns of a tile of pairs, and what features are filled up to, as in csrc.
PAIR_TILE = 128
FEATURE_STEP = 16
#: Bytes of the sorted pairs of a tile.
ENTRY_BYTES = 2 * PAIR_TILE**2
#: Tiles of pairs that are sorted before they are counted, 32 KiB each. After each such chunk all
#: counters are added to in the GPU's memory, so few chunks are better.
CHUNK_TILES = 16384
#: Part of a GPU's free memory that they may take; `FEWEST_TILES` they are in any case.
MEMORY_PART = 0.25
FEWEST_TILES = 1024


def chunk_tiles(free_bytes: float) -> int:
    """Most tiles in a chunk with so much memory free: `CHUNK_TILES`, or some halves of that."""
    tiles = CHUNK_TILES
    while tiles > FEWEST_TILES and tiles * ENTRY_BYTES > MEMORY_PART * free_bytes:
        tiles //= 2
    return tiles


def free_memory(device: torch.device) -> float:
    """Bytes that can still be allocated on a device; without bound on the host."""
    if device.type != "cuda":
        return math.inf
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


class KeyCounter(torch_gpu.KeyCounter):
    """As `torch_gpu.KeyCounter`, by the kernels."""

    MULTIPLES = PAIR_TILE, FEATURE_STEP

    def sample(self) -> torch.Tensor:
        """(2, N_CELLS) counts in cells of the pairs of a few rows."""
        positions = self._sampled()
        rows = self._rows.at(positions)
        stripes = [(0, rows, 0, rows)]
        level = uniform_level(rows.device)
        counts = self._count(stripes, self._codes[positions], [level], N_CELLS.bit_length())
        return counts[:, :N_CELLS]

    def __call__(self, levels: list[Any]) -> torch.Tensor:
        """(2, bins) counts of pairs of different and of the same class."""
        return self._count(
            self._rows.stripe_pairs(), self._codes, levels, self._bins.bit_length() - 1
        )

    def _count(
        self, stripe_pairs: Any, codes: torch.Tensor, levels: list[Any], bin_bits: int
    ) -> torch.Tensor:
        count_pairs = _PairCounts(codes, levels, bin_bits)
        for stripes in stripe_pairs:
            count_pairs.add(*stripes)
        return count_pairs.counts.view(2, 1 << bin_bits)


class _PairCounts:
    """Counts of pairs in the bins of the last of the levels, and the kernels' scratch memory."""

    def __init__(self, codes: torch.Tensor, levels: list[Any], bin_bits: int) -> None:
        self._module = module_for(codes)
        self._codes, self._bin_bits = codes, bin_bits
        first, *self._refined = levels
        self._cells = torch.stack([first.first, first.shift], dim=1).to(torch.int32)
        self.counts = torch.zeros(2 << bin_bits, dtype=torch.int64, device=codes.device)
        tiles = -(-len(codes) // PAIR_TILE)
        self._chunk = min(chunk_tiles(free_memory(codes.device)), tiles * tiles)
        runs = self._module.digit_count(bin_bits) + 1
        scratch: dict[str, Any] = {"dtype": torch.int16, "device": codes.device}
        self._entries = torch.empty(self._chunk * PAIR_TILE * PAIR_TILE, **scratch)
        self._starts = torch.empty(self._chunk * runs, **scratch)

    def add(self, first: int, rows: torch.Tensor, second: int, columns: torch.Tensor) -> None:
        """Add the pairs i < j of two stripes of unit rows with these first positions."""
        self._module.count_pairs(
            self._stripe(first, rows),
            self._stripe(second, columns),
            depth=rows.shape[1],
            diagonal=first == second,
            cells=address(self._cells),
            refined=[
                (address(level.cell_of), address(level.start), address(level.shift), level.bits)
                for level in self._refined
            ],
            bin_bits=self._bin_bits,
            chunk_tiles=self._chunk,
            entries=address(self._entries),
            starts=address(self._starts),
            counts=address(self.counts),
            stream=current_stream(rows),
        )

    def _stripe(self, first: int, rows: torch.Tensor) -> tuple[int, int, int]:
        n_rows = min(len(rows), len(self._codes) - first)
        return address(rows), address(self._codes[first:]), n_rows


def bounded_correlation(
    X: Array,
    codes: Array,
    sort_limit: int = SORT_LIMIT,
    bins: int = BINS,
    tolerance: float = TOLERANCE,
    kept_bytes: int = KEPT_BYTES,
) -> tuple[float, float]:
    """The coefficient and the estimated error of binning, 0 where pairs are sorted."""
    return torch_gpu.bounded_correlation(
        X, codes, sort_limit, bins, tolerance, kept_bytes, counter=KeyCounter
    )


def parc_correlation(X: Array, codes: Array) -> float:
    """See the contract in the package's docstring."""
    return bounded_correlation(X, codes)[0]
