"""`nearest_neighbors` by cuBLAS through PyTorch: products of blocks, `topk`, differences."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_features
from . import DEPTH, RESOLUTION, UNIT, n_candidates, product_error, uncertified

#: Products that are held at once.
BLOCK_PRODUCTS = 1 << 26
#: Elements of a block of differences.
BLOCK_ELEMENTS = 1 << 24


def _directions(X: Array) -> Any:
    """Unit rows; those of zeros have a coordinate of their own."""
    peaks = X.abs().amax(dim=1, keepdim=True)
    X = X / torch.where(peaks > 0.0, peaks, 1.0)
    return torch.cat([X / X.norm(dim=1, keepdim=True).clamp_min(1.0), (peaks == 0.0).double()], 1)


def _comparable(tensors: Any, metric: str) -> Any:
    """The rows in float64, of entries up to one, and the exponent of their unit."""
    tensors = [as_features(tensor).double() for tensor in tensors]
    if metric == "cosine":
        return [_directions(tensor) for tensor in tensors], 0
    exponent = math.frexp(max(float(tensor.abs().max()) for tensor in tensors))[1]
    half = -exponent // 2  # a power of two that is no number may be the product of two that are
    return [t * 2.0**half * 2.0 ** (-exponent - half) for t in tensors], exponent


def _products(left: Any, right: Any, exact: bool) -> Any:
    """left right^T; in float32 some features at a time, which bounds the error."""
    if exact:
        return left @ right.T
    out = left[:, :DEPTH] @ right[:, :DEPTH].T
    for start in range(DEPTH, left.shape[1], DEPTH):
        part = slice(start, start + DEPTH)
        out.addmm_(left[:, part], right[:, part].T)
    return out


def _squares(queries: Any, rows: Any, candidates: Any, resolution: float) -> Any:
    """(n, c) squared distances of each query from its candidates."""
    squares = torch.empty(candidates.shape, dtype=torch.float64, device=rows.device)
    step = max(1, BLOCK_ELEMENTS // (candidates.shape[1] * rows.shape[1]))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        differences = rows[candidates[part]] - queries[part, None]
        squares[part] = differences.square_().sum(dim=2)
    return _rounded(squares, resolution)


def _rounded(squares: Any, resolution: float) -> Any:
    return (squares / resolution).round_().mul_(resolution) if resolution else squares


def _sorted(squares: Any, indices: Array) -> Any:
    """Nearest first, and of equal ones the lower index."""
    order = torch.argsort(indices, dim=1)
    squares, indices = squares.gather(1, order), indices.gather(1, order)
    squares, order = torch.sort(squares, dim=1, stable=True)
    return squares, indices.gather(1, order)


def _compared_with_all(x: Any, oneself: Any, rows: Any, k: int, resolution: float) -> Any:
    """The k nearest of all rows to one; it is the row ``oneself`` itself, or none for -1."""
    squares = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    step = max(1, BLOCK_ELEMENTS // rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        squares[part] = (rows[part] - x).square_().sum(dim=1)
    squares = _rounded(squares, resolution)
    if oneself >= 0:
        squares[oneself] = torch.inf
    squares, indices = torch.sort(squares, stable=True)
    return squares[:k], indices[:k]


def nearest_neighbors(
    X: Array, k: int, metric: str = "euclidean", others: Array | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    oneself = others is None
    resolution = RESOLUTION if metric == "cosine" else 0.0
    both, exponent = _comparable([X] if oneself else [X, others], metric)
    queries, rows = both[0], both[-1]
    n, d = rows.shape
    kept = n_candidates(k, n - oneself)
    origin = rows.mean(dim=0)
    floor = 2.0**-51 * (math.sqrt(d) + float(origin.norm()))
    # Reduced precision, where the caller has allowed it, has no bound that would prove anything.
    exact = torch.get_float32_matmul_precision() != "highest"
    kind = torch.float64 if exact else torch.float32
    centred = rows - origin
    norms = centred.norm(dim=1)
    halves = (0.5 * norms**2).to(kind)
    centred = centred.to(kind)
    query_norms = norms if oneself else (queries - origin).norm(dim=1)
    candidates = torch.empty((len(queries), kept), dtype=torch.int64, device=rows.device)
    cutoffs = torch.empty(len(queries), dtype=torch.float64, device=rows.device)
    step = max(1, BLOCK_PRODUCTS // n)
    for start in range(0, len(queries), step):
        part = slice(start, min(start + step, len(queries)))
        left = centred[part] if oneself else (queries[part] - origin).to(kind)
        scores = _products(left, centred, exact).sub_(halves)
        if oneself:
            scores[:, part].fill_diagonal_(-torch.inf)
        best, candidates[part] = torch.topk(scores, kept, dim=1)
        cutoffs[part] = best[:, -1].double()
    if kept == n - oneself:
        cutoffs.fill_(-torch.inf)
    squares, candidates = _sorted(_squares(queries, rows, candidates, resolution), candidates)
    indices, squares = candidates[:, :k].clone(), squares[:, :k].clone()
    error = d * 2.0**-52 + 4.0 * UNIT**2 if exact else product_error(d)
    again = uncertified(query_norms, cutoffs, (squares[:, -1] + resolution).sqrt(), error, floor)
    for i in torch.nonzero(again)[:, 0].tolist():
        squares[i], indices[i] = _compared_with_all(
            queries[i], i if oneself else -1, rows, k, resolution
        )
    if metric == "cosine":
        return indices, 0.5 * squares
    distances = squares.sqrt()
    half = exponent // 2
    return indices, distances * 2.0**half * 2.0 ** (exponent - half)
