"""`first_nonfinite` by Triton: one pass over tiles, the first place of each, the least of all."""

import torch
import triton
import triton.language as tl

from ..array_namespace import Array
from ..torch_runtime import as_features, on_device_of
from ..triton_runtime import LAUNCH, vector_width

#: Rows and columns of a tile, and tiles below each other that one program scans.
ROWS = 8
COLUMNS = 256
TILES = 16
NOWHERE = torch.iinfo(torch.int64).max


@triton.jit(do_not_specialize=["n", "d", "stride_n", "stride_d"])
def _first_place(
    X, place, n, d, stride_n, stride_d,
    VECTOR: tl.constexpr, NOWHERE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Lowers `place` to the row-major index of the first value here that is not finite."""
    stride_n = tl.cast(stride_n, tl.int64)
    stride_d = tl.cast(stride_d, tl.int64)
    if VECTOR > 1:
        d = d // VECTOR * VECTOR
        stride_n = stride_n // VECTOR * VECTOR
        stride_d = 1
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    starts = X + (columns.to(tl.int64) * stride_d)[None, :]
    first_row = tl.program_id(0).to(tl.int64) * (ROWS * TILES)
    nowhere = tl.full((ROWS, COLUMNS), NOWHERE, tl.int64)
    first = nowhere
    for tile in range(TILES):
        rows = first_row + tile * ROWS + tl.arange(0, ROWS)
        exists = (rows < n)[:, None] & (columns < d)[None, :]
        values = tl.load(starts + (rows * stride_n)[:, None], mask=exists, other=0.0)
        values = values.to(tl.float32) if values.dtype.primitive_bitwidth < 32 else values
        finite = tl.abs(values) < float("inf")  # false for NaN too
        places = (rows * d)[:, None] + columns[None, :]
        first = tl.minimum(first, tl.where(finite, nowhere, places))
    least = tl.min(tl.min(first, axis=1), axis=0)
    if least < NOWHERE:
        tl.atomic_min(place, least)


def first_nonfinite(X: Array) -> tuple[int, int] | None:
    """See the contract in the package's docstring."""
    X = as_features(X)
    n, d = X.shape
    place = torch.full((1,), NOWHERE, dtype=torch.int64, device=X.device)
    with on_device_of(X):
        _first_place[triton.cdiv(n, ROWS * TILES), triton.cdiv(d, COLUMNS)](
            X, place, n, d, X.stride(0), X.stride(1),
            VECTOR=vector_width(X), NOWHERE=NOWHERE,
            ROWS=ROWS, COLUMNS=COLUMNS, TILES=TILES, **LAUNCH,
        )  # fmt: skip
    found = int(place)
    return None if found == NOWHERE else divmod(found, d)
