"""`self_challenging` by Triton: discriminants of a block of rows, both softmaxes, in one kernel.

A program keeps the discriminants of its rows in registers as long as all classes fit in one tile.
With more classes it goes over the tiles twice: first for the maximum and the sum of the softmax as
they grow, then, with both known, for the sum of the second softmax over every class; the products
are made again, so that no more than a tile is ever stored. Products are float64, on the FP64 tensor
cores; features in half precision are widened before them, see `triton_runtime.widened_blocks`.
"""

from dataclasses import asdict, dataclass

import torch
import triton
import triton.language as tl

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_doubles, as_features, on_device_of
from ..triton_runtime import LAUNCH, vector_width, widened_blocks


@dataclass(frozen=True)
class Tiling:
    """How the work is cut: rows of a program, classes of a tile, features of a step."""

    ROWS: int
    CLASSES: int
    FEATURES: int
    num_stages: int
    num_warps: int


def tiling(n_classes: int, vector: int) -> Tiling:
    """Tiles of which the exponentials leave registers over, next to the second sweep's state.

    Where loads are not aligned, their addresses take some too.
    """
    if vector == 1:
        return Tiling(32, 64, 16, 2, 8)
    return Tiling(64, 128 if 64 < n_classes <= 128 else 64, 16, 3, 8)


@triton.jit
def _discriminants(
    x_rows, rows_exist, coef, intercept, share, anchor_discriminants, codes, classes,
    d, stride_d, n_classes,
    MIXED: tl.constexpr, VECTOR: tl.constexpr,
    ROWS: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, num_stages: tl.constexpr,
):  # fmt: skip
    """(ROWS, CLASSES) discriminants; minus infinity for classes that there are not."""
    exists = (classes < n_classes)[None, :]
    coef_rows = coef + classes.to(tl.int64)[None, :] * d
    z = tl.load(intercept + classes, mask=classes < n_classes, other=0.0)[None, :]
    if MIXED:
        at_anchors = tl.load(
            anchor_discriminants + (codes * n_classes)[:, None] + classes[None, :],
            mask=exists,
            other=0.0,
        )
        z += (1.0 - share)[:, None] * at_anchors
    else:
        z = tl.broadcast_to(z, (ROWS, CLASSES))
    for start in tl.range(0, d, FEATURES, num_stages=num_stages):
        features = start + tl.arange(0, FEATURES)
        x = tl.load(
            x_rows + features.to(tl.int64)[None, :] * stride_d,
            mask=rows_exist[:, None] & (features < d)[None, :],
            other=0.0,
        )
        w = tl.load(coef_rows + features[:, None], mask=exists & (features < d)[:, None], other=0.0)
        x = x.to(tl.float64)
        if MIXED:
            x *= share[:, None]
        z = tl.dot(x, w, z, out_dtype=tl.float64)
    return tl.where(exists, z, -float("inf"))


@triton.jit
def _entry(z, classes, code):
    """Entry of each row's own class; zero where another tile holds it."""
    return tl.sum(tl.where(classes[None, :] == code[:, None], z, 0.0), axis=1)


@triton.jit
def _sum_of_exponentials(p, classes, n_classes):
    """Sum over the classes that there are; probabilities lie in [0, 1] and need no maximum."""
    return tl.sum(tl.where((classes < n_classes)[None, :], tl.exp(p), 0.0), axis=1)


@triton.jit(do_not_specialize=["n", "d", "n_classes", "stride_n", "stride_d"])
def _self_challenge(
    X, codes, coef, intercept, shares, anchor_discriminants, posterior, challenge,
    n, d, n_classes, stride_n, stride_d,
    ONE_TILE: tl.constexpr, MIXED: tl.constexpr, VECTOR: tl.constexpr,
    ROWS: tl.constexpr, CLASSES: tl.constexpr, FEATURES: tl.constexpr, num_stages: tl.constexpr,
):  # fmt: skip
    """Posterior of the own class and its softmax for a block of rows."""
    stride_n = tl.cast(stride_n, tl.int64)
    stride_d = tl.cast(stride_d, tl.int64)
    if VECTOR > 1:
        d = d // VECTOR * VECTOR
        stride_n = stride_n // VECTOR * VECTOR
        stride_d = 1
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    exist = rows < n
    code = tl.load(codes + rows, mask=exist, other=0)
    share = tl.load(shares + rows, mask=exist, other=1.0) if MIXED else None
    x_rows = X + (rows * stride_n)[:, None]
    tile = tl.arange(0, CLASSES)

    if ONE_TILE:
        z = _discriminants(
            x_rows, exist, coef, intercept, share, anchor_discriminants, code, tile,
            d, stride_d, n_classes, MIXED, VECTOR, ROWS, CLASSES, FEATURES, num_stages,
        )  # fmt: skip
        highest = tl.max(z, axis=1)
        own = _entry(z, tile, code)
        z = tl.exp(z - highest[:, None])
        total = tl.sum(z, axis=1)
        second_total = _sum_of_exponentials(z / total[:, None], tile, n_classes)
    else:
        highest = tl.full((ROWS,), -float("inf"), tl.float64)
        total = tl.zeros((ROWS,), tl.float64)
        own = tl.zeros((ROWS,), tl.float64)
        second_total = tl.zeros((ROWS,), tl.float64)
        n_tiles = tl.cdiv(n_classes, CLASSES)
        for step in range(2 * n_tiles):
            classes = step % n_tiles * CLASSES + tile
            z = _discriminants(
                x_rows, exist, coef, intercept, share, anchor_discriminants, code, classes,
                d, stride_d, n_classes, MIXED, VECTOR, ROWS, CLASSES, FEATURES, num_stages,
            )  # fmt: skip
            if step < n_tiles:
                higher = tl.maximum(highest, tl.max(z, axis=1))
                total *= tl.exp(highest - higher)
                total += tl.sum(tl.exp(z - higher[:, None]), axis=1)
                highest = higher
                own += _entry(z, classes, code)
            else:
                p = tl.exp(z - highest[:, None]) / total[:, None]
                second_total += _sum_of_exponentials(p, classes, n_classes)
    p = tl.exp(own - highest) / total
    tl.store(posterior + rows, p, mask=exist)
    tl.store(challenge + rows, tl.exp(p) / second_total, mask=exist)


def self_challenging(
    X: Array, codes: Array, coef: Array, intercept: Array, mixing: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    X = as_features(X)
    n, d = X.shape
    codes = as_codes(codes, X)
    coef = as_doubles(coef, X)
    intercept = as_doubles(intercept, X)
    n_classes = len(coef)
    shares = anchor_discriminants = None
    if mixing is not None:
        shares, anchors = (as_doubles(part, X) for part in mixing)
        anchor_discriminants = anchors @ coef.T
    posterior = torch.empty(n, dtype=torch.float64, device=X.device)
    challenge = torch.empty_like(posterior)
    with on_device_of(X):
        for rows, block in widened_blocks(X):
            vector = vector_width(block)
            cut = tiling(n_classes, vector)
            _self_challenge[(triton.cdiv(len(block), cut.ROWS),)](
                block, codes[rows], coef, intercept, None if shares is None else shares[rows],
                anchor_discriminants, posterior[rows], challenge[rows],
                len(block), d, n_classes, block.stride(0), block.stride(1),
                ONE_TILE=n_classes <= cut.CLASSES, MIXED=mixing is not None, VECTOR=vector,
                **asdict(cut), **LAUNCH,
            )  # fmt: skip
    return posterior, challenge
