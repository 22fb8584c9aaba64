"""`fisher_scatter` in CUDA: FP64 tensor cores, one triangle only, sums in a fixed order."""

from typing import Any

import torch

from ..array_namespace import Array
from ..cuda_runtime import address, matrix, module_for
from ..torch_runtime import as_codes, as_doubles, as_features, current_stream, on_device_of
from . import FisherScatter, default_shift


def fisher_scatter(
    X: Array, codes: Array, n_classes: int, weights: Array = None, shift: Array | None = None
) -> FisherScatter:
    """See the contract in the package's docstring."""
    X = as_features(X)
    codes = as_codes(codes, X)
    weights = None if weights is None else as_doubles(weights, X)
    shift = as_doubles(default_shift(X) if shift is None else shift, X).clone()
    with on_device_of(X):
        return _on_current_device(X, codes, n_classes, weights, shift, module_for(X))


def _on_current_device(
    X: torch.Tensor, codes: Array, n_classes: int, weights: Any, shift: Array, module: Any
) -> Any:
    n, d = X.shape
    sorted_codes, order = torch.sort(codes, stable=True)
    classes = torch.arange(n_classes + 1, dtype=torch.int64, device=X.device)
    starts = torch.searchsorted(sorted_codes, classes)

    doubles: dict[str, Any] = {"dtype": torch.float64, "device": X.device}
    weighted = weights is not None
    kinds = 2 if weighted else 1
    if not weighted:
        weights = torch.ones(n, **doubles)
    n_blocks = module.multiprocessor_count()
    size = module.fisher_scatter_workspace(n, d, n_classes, weighted, n_blocks)
    workspace = torch.empty(size, **doubles)
    gram = torch.empty((d, d), **doubles)
    sums = torch.empty((kinds, n_classes, d), **doubles)
    counts = torch.empty((kinds, n_classes), **doubles)
    module.fisher_scatter(
        matrix(X),
        order=address(order),
        codes=address(sorted_codes),
        starts=address(starts),
        n_classes=n_classes,
        weights=address(weights),
        weighted=weighted,
        shift=address(shift),
        workspace=address(workspace),
        gram=address(gram),
        sums=address(sums),
        counts=address(counts),
        n_blocks=n_blocks,
        stream=current_stream(X),
    )
    return FisherScatter(shift, counts[0], sums[0], gram, counts[-1], sums[-1])
