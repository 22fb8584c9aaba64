"""`fisher_scatter` by cuBLAS through PyTorch: blocks of rows, column blocks of the triangle.

A block of rows is gathered in the order of the classes while it is converted and shifted, so that
few classes meet in it: their sums are one more product, with indicators of those classes alone.
Every sum is a matrix product or runs along a tensor's axis: the same bits every time.
"""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_doubles, as_features
from . import FisherScatter, default_shift

#: Elements of a block of rows in float64; there are two such blocks where there are weights.
BLOCK_ELEMENTS = 1 << 24
#: Column blocks of the triangle: of p of them (p + 1) / 2p of the full product are computed.
COLUMN_BLOCKS = 8
#: Columns that a column block has at least; narrower ones would leave multiprocessors idle.
FEWEST_COLUMNS = 256
#: Rows of which the classes are summed at a time, at least.
SUM_ROWS = 1024
#: Beyond those, as many as make the products with indicators so small a part of all products.
SUM_PART = 1 / 32


def fisher_scatter(
    X: Array, codes: Array, n_classes: int, weights: Array | None = None, shift: Array | None = None
) -> FisherScatter:
    """See the contract in the package's docstring."""
    X = as_features(X)
    n, d = X.shape
    shift = as_doubles(default_shift(X) if shift is None else shift, X).clone()
    codes, order = torch.sort(as_codes(codes, X), stable=True)
    scales = []  # of the rows in the class sums
    if weights is not None:
        weights = as_doubles(weights, X)[order, None]
        scales = [weights, weights.sqrt()]
    doubles = {"dtype": torch.float64, "device": X.device}
    gram = torch.zeros((d, d), **doubles)
    sums = torch.zeros((max(1, len(scales)), n_classes, d), **doubles)
    counts = torch.zeros((max(1, len(scales)), n_classes), **doubles)
    block_rows = min(n, max(1, BLOCK_ELEMENTS // d))
    sum_rows = min(block_rows, max(SUM_ROWS, int(SUM_PART * n * d / (2 * n_classes))))
    blocks = _ranges(0, n, block_rows)
    parts = [_ranges(rows.start, rows.stop, sum_rows) for rows in blocks]
    spans = iter(_spans(codes, sum(parts, [])))
    for rows, ranges in zip(blocks, parts, strict=True):
        Z = X[order[rows]].double().sub_(shift)
        _add_gram(gram, Z, Z if weights is None else Z * weights[rows])
        for part in ranges:
            first, last = next(spans)
            classes = torch.arange(first, last + 1, device=X.device)
            members = (codes[part, None] == classes).double()
            within = Z[part.start - rows.start : part.stop - rows.start]
            for kind, chosen in enumerate([members * w[part] for w in scales] or [members]):
                sums[kind, first : last + 1].addmm_(chosen.T, within)
                counts[kind, first : last + 1] += chosen.sum(dim=0)
    return FisherScatter(shift, counts[0], sums[0], gram, counts[-1], sums[-1])


def _ranges(start: int, stop: int, step: int) -> list[slice]:
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def _spans(codes: torch.Tensor, parts: list[slice]) -> list[list[int]]:
    """First and last class of each range of the sorted codes, on the host: the one look there."""
    ends = [[part.start, part.stop - 1] for part in parts]
    return codes[torch.tensor(ends, device=codes.device)].tolist()


def _add_gram(gram: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Add left^T right to the upper triangle, and to what the column blocks have below it."""
    d = len(gram)
    for columns in _ranges(0, d, max(FEWEST_COLUMNS, -(-d // COLUMN_BLOCKS))):
        last = columns.stop
        gram[:last, columns].addmm_(left[:, :last].T, right[:, columns])
