"""For the GPU versions: Spearman's correlation of keys with two classes of pairs, binned.

The contract explains the bins and the estimate of their error. Here bins are split level by level.
All counts are integers and all sums are taken in a fixed order: same pairs, same bits.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..array_namespace import Array
from . import SIGMAS, TOLERANCE
from .tensor_rows import KEY_BITS

#: log2 of the keys in a cell of the first level, within which bins are of equal width.
CELL_BITS = 26
N_CELLS = (1 << (KEY_BITS - CELL_BITS)) + 1
#: Bins that a level may have, a power of two; no fewer than `FEWEST_BINS`.
BINS = 1 << 23
FEWEST_BINS = 1 << 12
#: Part of the bins that follows the number of pairs alone, so that none holds very many.
EVEN_PART = 0.125
#: A level divides each bin of the one before that it refines into at least so many.
FEWEST_PARTS = 32


@dataclass
class FirstLevel:
    """Bins of all keys: those of cell c begin with first[c] and are 2^shift[c] keys wide."""

    #: (N_CELLS,) int64 tensors.
    first: torch.Tensor
    shift: torch.Tensor

    def bins_of(self, keys: Any) -> Any:
        """Bin of every key."""
        cell = keys >> CELL_BITS
        within = keys & ((1 << CELL_BITS) - 1)
        return within.bitwise_right_shift_(self.shift[cell]).add_(self.first[cell])

    def refined(self, bins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First key and log2 of the width of these bins."""
        cell = torch.searchsorted(self.first, bins, right=True) - 1
        shift = self.shift[cell]
        return (cell << CELL_BITS) + ((bins - self.first[cell]) << shift), shift


@dataclass
class RefinedLevel:
    """Finer bins in place of some bins of the level above: those are its cells."""

    #: Cell of each bin of the level above, -1 where it was not refined; int32.
    cell_of: torch.Tensor
    #: First key of each cell; int64.
    start: torch.Tensor
    #: log2 of the width of a cell's bins; int32.
    shift: torch.Tensor
    #: log2 of the number of bins in each cell.
    bits: int

    def bins_of(self, keys: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
        """Bin of every key that has this bin on the level above; -1 where that was not refined."""
        cell = torch.where(bins >= 0, self.cell_of[bins], -1).to(torch.int64)
        offset = (keys - self.start[cell]) >> self.shift[cell]
        return torch.where(cell >= 0, (cell << self.bits) + offset, -1)

    def several(self) -> Any:
        """Whether each bin has more than one key."""
        return (self.shift > 0).repeat_interleave(
            1 << self.bits, output_size=len(self.shift) << self.bits
        )

    def refined(self, bins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First key and log2 of the width of these bins."""
        cell = bins >> self.bits
        shift = self.shift[cell].to(torch.int64)
        return self.start[cell] + ((bins & ((1 << self.bits) - 1)) << shift), shift


def refined_level(above: Any, chosen: Any, bins: int) -> Any:
    """Level of at most ``bins`` bins in place of the chosen ones of the level above, ascending."""
    start, width = above.refined(chosen)
    bits = int(math.log2(bins // len(chosen)))
    cell_of = torch.full((bins,), -1, dtype=torch.int32, device=chosen.device)
    cell_of[chosen] = torch.arange(len(chosen), dtype=torch.int32, device=chosen.device)
    shift = (width - bits).clamp(min=0).to(torch.int32)
    return RefinedLevel(cell_of, start, shift, bits)


def deepest_bins(levels: Any, keys: Array) -> Any:
    """Bin of every key on the last of the levels, -1 where there is none."""
    bins = levels[0].bins_of(keys)
    for level in levels[1:]:
        bins = level.bins_of(keys, bins)
    return bins


def uniform_level(device: Any) -> Any:
    """One bin a cell: what samples are counted in."""
    cells = torch.arange(N_CELLS, device=device)
    return FirstLevel(cells, torch.full_like(cells, CELL_BITS))


def fitted_level(sampled: Any, bins: int = BINS) -> Any:
    """First level whose bins follow the (2, N_CELLS) counts of a sample, of both classes of pairs.

    The squared errors of m bins in a cell with s and d pairs sum to (s d)^2 / (4 m^3), and the sum
    over the cells is least where m is in proportion to the root of s d.
    """
    shares = sampled.to(torch.float64)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1.0)
    weights = (shares[0] * shares[1]).sqrt()
    weights = weights / weights.sum().clamp(min=1e-300) + EVEN_PART * shares.mean(dim=0)
    weights = weights / weights.sum().clamp(min=1e-300)
    fewest = max(0, int(math.log2(bins)) - 17)
    # Numbers of bins are powers of two: the largest factor whose bins are no more than allowed.
    factors = bins * 2.0 ** (torch.arange(64, device=weights.device) / 16 - 2)
    _, exponents = torch.frexp(weights[None] * factors[:, None])
    bits = (exponents - 1).clamp(fewest, CELL_BITS)
    fits = (torch.ones_like(bits, dtype=torch.int64) << bits).sum(dim=1) <= bins
    # index_select takes the number from the device, where an index would wait for it.
    bits = bits.index_select(0, (fits.sum() - 1).clamp(min=0).reshape(1))[0]
    width = torch.ones_like(bits, dtype=torch.int64) << bits
    return FirstLevel(torch.cumsum(width, dim=0) - width, (CELL_BITS - bits).to(torch.int64))


class _Errors:
    """Possible error of the correlation through bins that hold several keys, added up."""

    def __init__(self, n_same: Any, n_different: Any, tolerance: float) -> None:
        self._n_pairs = n_same + n_different
        self._tolerance = tolerance
        # Effects of a unit of the rank sum and, at most, of a unit of the sum of t^3 over ties.
        spread = float(self._n_pairs) ** 3
        self._swap = 1.0 / math.sqrt(spread / 12.0 * n_same * n_different / self._n_pairs)
        self._tie = 0.5 / spread
        self._unresolved = (0.0, 0.0)
        self.bound = 0.0

    def heavy_bins(self, counts: Any, several: Any, squares: Any, n_waiting: Any) -> Any:
        """Indices of the bins that must be refined; the errors of all others are added.

        Parameters
        ----------
        counts : (2, m) int64 tensor
        several : (m,) bool tensor or None
            Whether a bin may hold distinct keys; all may where this is None.
        squares : float
            Sum over the pairs of the squared deviations of twice the ranks.
        n_waiting : int
            How many more times this will be called at least.
        """
        different, same = counts.to(torch.float64).unbind(0)
        swaps = 0.5 * self._swap * same * different
        tied = same + different
        ties = torch.where(tied > 1, self._tie * tied * tied * tied, 0.0)
        if several is not None:
            swaps, ties = swaps * several, ties * several
        # The units suppose the rank variance without ties.
        inflation = float(self._n_pairs) ** 3 / (3.0 * squares) if squares > 0 else math.inf

        def with_these(swaps: Any, ties: Any) -> Any:
            both = torch.stack([swaps.square().sum(), ties.sum()]).tolist()
            return self._unresolved[0] + both[0], self._unresolved[1] + both[1]

        def bound(both: Any) -> Any:
            error = SIGMAS * math.sqrt(both[0]) + both[1]
            return error * inflation if error > 0 else 0.0

        share = (self._tolerance - self.bound) / (1 + n_waiting)
        everything = with_these(swaps, ties)
        if bound(everything) <= self.bound + share:
            self._unresolved, self.bound = everything, bound(everything)
            return torch.empty(0, dtype=torch.int64, device=counts.device)
        # Bins are graded by the exponent of their possible error; the lightest may stay.
        candidates = torch.nonzero(swaps + ties).flatten()
        swaps, ties = swaps[candidates], ties[candidates]
        _, grades = torch.frexp(swaps + ties)

        def below(grade: Any) -> Any:
            light = grades < grade
            return with_these(swaps * light, ties * light)

        grade, too_high = -1999, 1100
        while too_high - grade > 1:
            middle = (grade + too_high) // 2
            if bound(below(middle)) <= self.bound + 0.5 * share:
                grade = middle
            else:
                too_high = middle
        self._unresolved = below(grade)
        self.bound = bound(self._unresolved)
        return candidates[grades >= grade]


def binned_deviations(tied: Any) -> Any:
    """Twice the averaged rank of the pairs of each bin, less its mean: integers."""
    below = torch.cumsum(tied, dim=0) - tied
    return 2 * below + tied - tied.sum()


def _cell_deviations(tied: Any, below: Any, n_pairs: Any) -> Any:
    """As `binned_deviations`, of equally many bins in each of the cells that have pairs below."""
    tied = tied.view(len(below), -1)
    within = torch.cumsum(tied, dim=1) - tied
    return (2 * (below[:, None] + within) + tied - n_pairs).flatten()


def _coefficient(product: Any, squares: Any, n_same: Any, n_different: Any) -> Any:
    scale = squares * (n_same * n_different / (n_same + n_different))
    return product / math.sqrt(scale) if scale > 0 else math.nan


def _sums(counts: Any, deviations: Any, n_same: Any, n_different: Any) -> tuple[float, float]:
    """Sums of deviation x "different", through the rarer class, and of the squared deviations."""
    different, same = counts.unbind(0)
    rarer = -same if n_same < n_different else different
    ranks = deviations.to(torch.float64)
    product = (rarer * ranks).sum()
    squares = ((different + same) * ranks * ranks).sum()
    product, squares = torch.stack([product, squares]).tolist()
    return product, squares


def binned_correlation(
    count: Any,
    level: Any,
    n_same: Any,
    n_different: Any,
    bins: int = BINS,
    tolerance: float = TOLERANCE,
) -> Any:
    """The coefficient, and the estimate of the error that binning may have caused.

    Parameters
    ----------
    count : callable
        ``count(levels)`` gives the (2, bins) int64 counts of all pairs of different and of the same
        class in the bins of the last level; the caller may change them.
    level : FirstLevel
    n_same, n_different : int
        Number of pairs of either class.
    bins : int
    tolerance : float
        Bins are refined until the estimate is no more than this.
    """
    if n_same == 0 or n_different == 0:
        return math.nan, 0.0
    n_pairs = n_same + n_different
    errors = _Errors(n_same, n_different, tolerance)
    product, squares = 0.0, 0.0
    below = torch.zeros(1, dtype=torch.int64, device=level.first.device)
    levels, several = [level], None
    waiting: list[tuple[torch.Tensor, torch.Tensor, list[FirstLevel]]] = []
    while True:
        counts = count(levels)
        if several is not None:
            counts = counts[:, : len(several)]
        deviations = _cell_deviations(counts.sum(dim=0), below, n_pairs)
        sums = _sums(counts, deviations, n_same, n_different)
        heavy = errors.heavy_bins(counts, several, squares + sums[1], len(waiting))
        if len(heavy):
            # Of these bins the next levels take the place.
            tied = counts[:, heavy].sum(dim=0)
            below = (deviations[heavy] - tied + n_pairs) // 2
            counts[:, heavy] = 0
            sums = _sums(counts, deviations, n_same, n_different)
            step = bins // FEWEST_PARTS
            waiting += zip(
                heavy.split(step), below.split(step), [levels] * len(heavy), strict=False
            )
        product, squares = product + sums[0], squares + sums[1]
        if not waiting:
            return _coefficient(product, squares, n_same, n_different), errors.bound
        heavy, below, above = waiting.pop()
        levels = [*above, refined_level(above[-1], heavy, bins)]
        several = levels[-1].several()


def sorted_correlation(keys: Array, same: Any, n_same: Any, n_different: Any) -> Any:
    """The exact coefficient of these keys of all pairs, where ``same`` marks those of one class."""
    if n_same == 0 or n_different == 0:
        return math.nan
    words = torch.sort(2 * keys + same).values
    keys, same = words >> 1, words & 1
    last = torch.nonzero(torch.diff(keys, append=keys[-1:] + 1)).flatten()
    ends = torch.stack([last + 1, torch.cumsum(same, dim=0)[last]])
    tied, tied_same = torch.diff(ends, prepend=torch.zeros_like(ends[:, :1]), dim=1)
    counts = torch.stack([tied - tied_same, tied_same])
    sums = _sums(counts, binned_deviations(tied), n_same, n_different)
    return _coefficient(*sums, n_same, n_different)
