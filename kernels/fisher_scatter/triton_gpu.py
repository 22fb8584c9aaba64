"""`fisher_scatter` by Triton: tiles of the upper triangle over splits of the rows; sums by class.

Each program multiplies one tile over one range of rows into its own place of a workspace, and a
second kernel adds the ranges in order: the same bits every time, and small matrices fill the device
all the same. Rows are converted, shifted and weighted between load and product; no copy is made.

The class sums take a second read of X, through an order sorted by class, in segments of one class
each that are added in order too. By its bytes that is a few percent of the products' time at
d = 2048, whatever the number of classes; products with one-hot tiles would take n d C operations.

Precision by name: "float64" multiplies on the FP64 tensor cores. "float32" rounds the shifted,
weighted features to float32 and takes three TF32 products for each, whose float32 sums over a few
rows are added in float64; relative to the features' norms the Gram matrix is good to a few 1e-6.
The class sums are float64 in both.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import triton
import triton.language as tl

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_doubles, as_features, on_device_of
from ..triton_runtime import LAUNCH, processors, vector_width, widened_blocks
from . import FisherScatter, default_shift

PRECISIONS = ("float64", "float32")

#: Features up to which small tiles are used: few large ones would be mostly padding.
NARROW = 512
#: Rows whose product takes as long as writing and reading a tile's part in the workspace.
PARTIAL_ROWS = 128
#: Most ranges of rows where there are tiles enough to fill the device without them.
MAX_SPLITS = 16
#: Elements of the workspace that one program adds up.
ADD_ELEMENTS = 1024
#: Rows of a segment of the class sums, and the most segments besides one a class.
SEGMENT_ROWS = 256
MAX_SEGMENTS = 512
#: Rows and columns that a program of the class sums takes at a time.
SUM_ROWS = 16
SUM_COLUMNS = 128


@dataclass(frozen=True)
class Tiling:
    """How the products are cut: a tile is (LEFT, RIGHT), LEFT a multiple of RIGHT."""

    LEFT: int
    RIGHT: int
    ROWS: int
    num_stages: int
    num_warps: int


def tiling(precision: str, vector: int, n_features: int) -> Tiling:
    """Tiles that keep a multiprocessor busy with registers to spare: no kernel spills.

    Where loads are not aligned, their addresses take the registers of the larger tile.
    """
    narrow = n_features <= NARROW or vector == 1
    if precision == "float32":
        return Tiling(64, 64, 16, 3, 4) if narrow else Tiling(128, 64, 32, 3, 8)
    return Tiling(64, 64, 16, 3, 4) if narrow else Tiling(128, 128, 16, 3, 8)


def n_tiles(n_features: int, cut: Tiling) -> int:
    """Tiles that cover the upper triangle."""
    blocks = triton.cdiv(n_features, cut.LEFT)
    return blocks * (blocks + 1) // 2 * (cut.LEFT // cut.RIGHT)


def choose_splits(n: int, tiles: int, at_a_time: int, row_step: int) -> int:
    """Ranges of rows for which waves of `at_a_time` programs and the workspace cost least."""
    most = max(1, min(max(MAX_SPLITS, at_a_time // tiles), n // row_step))

    def cost(splits: Any) -> Any:
        waves = -(-tiles * splits // at_a_time)
        return waves * (n / splits + PARTIAL_ROWS)

    return min(range(1, most + 1), key=cost)


@triton.jit
def _tile_columns(tile, LEFT: tl.constexpr, RIGHT: tl.constexpr):
    """First left and right columns of a tile, numbered along the columns of the triangle."""
    pair = tile // (LEFT // RIGHT)
    j = ((tl.sqrt(8.0 * pair.to(tl.float64) + 1.0) - 1.0) * 0.5).to(tl.int32)
    i = pair - j * (j + 1) // 2
    return i * LEFT, j * LEFT + tile % (LEFT // RIGHT) * RIGHT


@triton.jit(do_not_specialize=["n", "d", "stride_n", "stride_d", "rows_per_split"])
def _multiply_tiles(
    X, weights, shift, partials, n, d, stride_n, stride_d, rows_per_split,
    SINGLE: tl.constexpr, VECTOR: tl.constexpr,
    LEFT: tl.constexpr, RIGHT: tl.constexpr, ROWS: tl.constexpr, num_stages: tl.constexpr,
):  # fmt: skip
    """Weighted products of a tile's columns over one range of rows."""
    first_left, first_right = _tile_columns(tl.program_id(0), LEFT, RIGHT)
    stride_n = tl.cast(stride_n, tl.int64)
    stride_d = tl.cast(stride_d, tl.int64)
    if VECTOR > 1:
        d = d // VECTOR * VECTOR
        stride_n = stride_n // VECTOR * VECTOR
        stride_d = 1
    # Loaded as the product wants them, (left, rows) and (rows, right): aligned copies to shared
    # memory then need no transposition.
    left = first_left + tl.arange(0, LEFT)
    right = first_right + tl.arange(0, RIGHT)
    left_columns = X + left.to(tl.int64)[:, None] * stride_d
    right_columns = X + right.to(tl.int64)[None, :] * stride_d
    left_exists = (left < d)[:, None]
    right_exists = (right < d)[None, :]
    left_shift = tl.load(shift + left, mask=left < d, other=0.0)[:, None]
    right_shift = tl.load(shift + right, mask=right < d, other=0.0)[None, :]

    first = tl.program_id(1).to(tl.int64) * rows_per_split
    last = tl.minimum(first + rows_per_split, n)
    total = tl.zeros((LEFT, RIGHT), tl.float64)
    for start in tl.range(first, last, ROWS, num_stages=num_stages):
        rows = start + tl.arange(0, ROWS)
        exists = rows < last
        offsets = rows * stride_n
        a = tl.load(left_columns + offsets[None, :], mask=left_exists & exists[None, :], other=0.0)
        b = tl.load(
            right_columns + offsets[:, None], mask=right_exists & exists[:, None], other=0.0
        )
        a = _shifted(a, left_shift, SINGLE)
        b = _shifted(b, right_shift, SINGLE)
        w = tl.load(weights + rows, mask=exists, other=0.0)
        a *= w.to(a.dtype)[None, :]
        if SINGLE:
            total += tl.dot(a, b, input_precision="tf32x3")
        else:
            total = tl.dot(a, b, total, out_dtype=tl.float64)

    part = tl.program_id(1).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    places = tl.arange(0, LEFT)[:, None] * RIGHT + tl.arange(0, RIGHT)[None, :]
    tl.store(partials + part * (LEFT * RIGHT) + places, total)


@triton.jit
def _shifted(values, shift, SINGLE: tl.constexpr):
    """values - shift, rounded once; in float32 by two subtractions where values have no more."""
    if SINGLE and values.dtype != tl.float64:
        high = shift.to(tl.float32)
        low = (shift - high).to(tl.float32)
        return (values.to(tl.float32) - high) - low
    difference = values.to(tl.float64) - shift
    return difference.to(tl.float32) if SINGLE else difference


@triton.jit(do_not_specialize=["d", "splits"])
def _add_tiles(
    partials, gram, d, splits,
    LEFT: tl.constexpr, RIGHT: tl.constexpr, ELEMENTS: tl.constexpr,
):  # fmt: skip
    """Sum of the ranges of rows, in their order, for some elements of a tile."""
    first_left, first_right = _tile_columns(tl.program_id(0), LEFT, RIGHT)
    places = tl.program_id(1) * ELEMENTS + tl.arange(0, ELEMENTS)
    parts = partials + tl.program_id(0).to(tl.int64) * (LEFT * RIGHT) + places
    total = tl.zeros((ELEMENTS,), tl.float64)
    for split in range(splits):
        total += tl.load(parts + tl.cast(split, tl.int64) * tl.num_programs(0) * (LEFT * RIGHT))
    i = (first_left + places // RIGHT).to(tl.int64)
    j = first_right + places % RIGHT
    tl.store(gram + i * d + j, total, mask=(i < d) & (j < d))


@triton.jit(do_not_specialize=["d", "stride_n", "stride_d", "segment_rows", "n_classes"])
def _sum_segments(
    X, weights, shift, order, class_start, class_segment, segment_class, partials,
    d, stride_n, stride_d, segment_rows, n_classes,
    WEIGHTED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Sums over a segment's rows of w (x - shift), of w, and of both with the roots of w."""
    segment = tl.program_id(0)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    code = tl.load(segment_class + segment)
    if code >= n_classes:  # fewer segments than there might have been
        return
    within_class = segment - tl.load(class_segment + code)
    first = tl.load(class_start + code) + within_class.to(tl.int64) * segment_rows
    last = tl.minimum(first + segment_rows, tl.load(class_start + code + 1))
    column_shift = tl.load(shift + columns, mask=columns < d, other=0.0)[None, :]
    offsets = columns.to(tl.int64) * stride_d

    total = tl.zeros((ROWS, COLUMNS), tl.float64)
    root_total = tl.zeros((ROWS, COLUMNS), tl.float64)
    for start in range(first, last, ROWS):
        places = start + tl.arange(0, ROWS)
        exists = places < last
        rows = tl.load(order + places, mask=exists, other=0)
        x = tl.load(
            X + (rows * stride_n)[:, None] + offsets[None, :],
            mask=exists[:, None] & (columns < d)[None, :],
            other=0.0,
        )
        # After the last feature stands a column of ones, whose sum is the class's count.
        z = tl.where((columns < d)[None, :], x.to(tl.float64) - column_shift, 1.0)
        z = tl.where(exists[:, None], z, 0.0)
        if WEIGHTED:
            w = tl.load(weights + rows, mask=exists, other=0.0)
            root_total += tl.sqrt(w)[:, None] * z
            z *= w[:, None]
        total += z

    out = partials + segment.to(tl.int64) * (d + 1) + columns
    tl.store(out, tl.sum(total, axis=0), mask=columns <= d)
    if WEIGHTED:
        out += tl.num_programs(0).to(tl.int64) * (d + 1)
        tl.store(out, tl.sum(root_total, axis=0), mask=columns <= d)


@triton.jit(do_not_specialize=["d", "n_segments"])
def _add_segments(partials, class_segment, sums, counts, d, n_segments, COLUMNS: tl.constexpr):
    """Sum of a class's segments, in their order; one kind of weights after the other."""
    code = tl.program_id(0)
    kind = tl.program_id(2)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    first = tl.load(class_segment + code)
    last = tl.load(class_segment + code + 1)
    partials += tl.cast(kind, tl.int64) * n_segments * (d + 1)
    total = tl.zeros((COLUMNS,), tl.float64)
    for segment in range(first, last):
        places = partials + tl.cast(segment, tl.int64) * (d + 1) + columns
        total += tl.load(places, mask=columns <= d, other=0.0)
    row = kind.to(tl.int64) * tl.num_programs(0) + code
    tl.store(sums + row * d + columns, total, mask=columns < d)
    tl.store(counts + row + 0 * columns, total, mask=columns == d)


def _gram(X: torch.Tensor, weights: Any, shift: Array, precision: Any) -> Any:
    """(d, d) weighted products of the shifted features, upper triangle."""
    if weights is None:  # n ones cost less than a second version of the kernel
        weights = torch.ones(len(X), dtype=torch.float64, device=X.device)
    gram = None
    for rows, block in widened_blocks(X):
        part = _gram_of(block, weights[rows], shift, precision)
        gram = part if gram is None else gram.add_(part)
    return gram


def _gram_of(X: torch.Tensor, weights: Any, shift: Array, precision: Any) -> Any:
    """The same for features of 32 or 64 bits."""
    n, d = X.shape
    vector = vector_width(X)
    cut = tiling(precision, vector, d)
    tiles = n_tiles(d, cut)
    splits = choose_splits(n, tiles, processors(X.device) * (8 // cut.num_warps), cut.ROWS)
    rows_per_split = triton.cdiv(triton.cdiv(n, splits), cut.ROWS) * cut.ROWS
    tile_elements = cut.LEFT * cut.RIGHT
    partials = torch.empty(splits * tiles * tile_elements, dtype=torch.float64, device=X.device)
    gram = torch.empty((d, d), dtype=torch.float64, device=X.device)
    _multiply_tiles[tiles, splits](
        X, weights, shift, partials, n, d, X.stride(0), X.stride(1), rows_per_split,
        SINGLE=precision == "float32", VECTOR=vector, **asdict(cut), **LAUNCH,
    )  # fmt: skip
    _add_tiles[tiles, tile_elements // ADD_ELEMENTS](
        partials, gram, d, splits, LEFT=cut.LEFT, RIGHT=cut.RIGHT, ELEMENTS=ADD_ELEMENTS, **LAUNCH
    )
    return gram


def _class_sums(X: torch.Tensor, codes: Array, n_classes: int, weights: Any, shift: Array) -> Any:
    """Sums (kinds, C, d) and counts (kinds, C): with the weights, and with their roots if any."""
    n, d = X.shape
    integers: dict[str, Any] = {"dtype": torch.int64, "device": X.device}
    sorted_codes, order = torch.sort(codes, stable=True)
    class_start = torch.searchsorted(sorted_codes, torch.arange(n_classes + 1, **integers))
    segment_rows = max(SEGMENT_ROWS, triton.cdiv(n, MAX_SEGMENTS))
    class_segment = torch.zeros(n_classes + 1, **integers)
    class_segment[1:] = torch.cumsum((class_start.diff() + segment_rows - 1) // segment_rows, 0)
    n_segments = n // segment_rows + n_classes  # as many as there can be
    segments = torch.arange(n_segments, **integers)
    segment_class = torch.searchsorted(class_segment, segments, right=True) - 1

    kinds = 1 if weights is None else 2
    doubles: dict[str, Any] = {"dtype": torch.float64, "device": X.device}
    partials = torch.empty((kinds, n_segments, d + 1), **doubles)
    sums = torch.empty((kinds, n_classes, d), **doubles)
    counts = torch.empty((kinds, n_classes), **doubles)
    column_blocks = triton.cdiv(d + 1, SUM_COLUMNS)
    _sum_segments[n_segments, column_blocks](
        X, weights, shift, order, class_start, class_segment, segment_class, partials,
        d, X.stride(0), X.stride(1), segment_rows, n_classes,
        WEIGHTED=weights is not None, ROWS=SUM_ROWS, COLUMNS=SUM_COLUMNS, **LAUNCH,
    )  # fmt: skip
    _add_segments[n_classes, column_blocks, kinds](
        partials, class_segment, sums, counts, d, n_segments, COLUMNS=SUM_COLUMNS, **LAUNCH
    )
    return sums, counts


def fisher_scatter(
    X: Array,
    codes: Array,
    n_classes: int,
    weights: Array = None,
    shift: Array | None = None,
    precision: str = "float64",
) -> FisherScatter:
    """See the contract in the package's docstring; `precision` is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; choose one of {PRECISIONS}")
    X = as_features(X)
    codes = as_codes(codes, X)
    weights = None if weights is None else as_doubles(weights, X)
    shift = as_doubles(default_shift(X) if shift is None else shift, X).clone()
    with on_device_of(X):
        gram = _gram(X, weights, shift, precision)
        sums, counts = _class_sums(X, codes, n_classes, weights, shift)
    return FisherScatter(shift, counts[0], sums[0], gram, counts[-1], sums[-1])
