"""`self_challenging` in CUDA: its .cu file in csrc; the anchors' discriminants by cuBLAS."""

from typing import Any

import torch

from ..array_namespace import Array
from ..cuda_runtime import address, matrix, module_for
from ..torch_runtime import as_codes, as_doubles, as_features, current_stream, on_device_of

#: Rows of a tile, as in csrc; samples are taken in whole tiles at a time.
TILE = 128
#: Most bytes of discriminants that are kept, unless one tile has more: about an L2 cache or two.
WORKSPACE_BYTES = 1 << 27


def self_challenging(
    X: Array, codes: Array, coef: Array, intercept: Array, mixing: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    X = as_features(X)
    codes = as_codes(codes, X)
    coef, intercept = as_doubles(coef, X), as_doubles(intercept, X)
    with on_device_of(X):
        return _on_current_device(X, codes, coef, intercept, mixing, module_for(X))


def _on_current_device(
    X: torch.Tensor,
    codes: Array,
    coef: Array,
    intercept: Array,
    mixing: tuple[Array, Array] | None,
    module: Any,
) -> Any:
    n_classes = len(coef)
    shares = anchor_scores = None
    if mixing is not None:
        shares, anchors = (as_doubles(part, X) for part in mixing)
        anchor_scores = anchors @ coef.T
    if abs(X.stride(0)) <= abs(X.stride(1)):
        # Columns of X are contiguous: the kernel reads the coefficients in the same order.
        coef = coef.T.contiguous().T
    doubles: dict[str, Any] = {"dtype": torch.float64, "device": X.device}
    share = module.self_challenging_workspace(n_classes)
    tiles = min(-(-len(X) // TILE), max(1, WORKSPACE_BYTES // (8 * share)))
    workspace = torch.empty(tiles * share, **doubles)
    posterior, challenge = torch.empty(len(X), **doubles), torch.empty(len(X), **doubles)
    module.self_challenging(
        matrix(X),
        codes=address(codes),
        coef=coef.data_ptr(),
        coef_row_stride=coef.stride(0),
        coef_col_stride=coef.stride(1),
        intercept=address(intercept),
        n_classes=n_classes,
        shares=address(shares),
        anchors=address(anchor_scores),
        chunk_rows=TILE * tiles,
        workspace=address(workspace),
        posterior=address(posterior),
        challenge=address(challenge),
        stream=current_stream(X),
    )
    return posterior, challenge
