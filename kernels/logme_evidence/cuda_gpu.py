"""CUDA version of `logme_evidence`: its .cu file in csrc, and cuBLAS for the large products."""

from dataclasses import asdict
from typing import Any

import torch

from ..array_namespace import Array
from ..cuda_runtime import address, module_for
from ..torch_runtime import as_doubles, as_tensor, current_stream, on_device_of
from . import SMALLEST_PRECISION, Evidence, EvidenceRule, Known, LargestEvidence
from .shared_profile import from_gram

BAND = 32  # rows of a panel and width of the band


def targets_at_once(kernels: Any) -> Any:
    """As many as the multiprocessors hold thread blocks; each takes some 33 d doubles."""
    return 2 * kernels.multiprocessor_count()


def stacked(gram: Array, moments: Array) -> Any:
    """The symmetric matrix, padded with zeros to panels, and the moments' transpose below it."""
    size, n_targets = moments.shape
    padded = -(-size // BAND) * BAND
    matrix = torch.zeros(padded + n_targets, padded, dtype=torch.float64, device=gram.device)
    matrix[:size, :size] = gram.triu()
    matrix[:size, :size] += gram.triu(1).T
    matrix[padded:, :size] = moments.T
    return matrix


def reduce_to_band(matrix: Array, kernels: Any, stream: Any) -> None:
    """Q^T G Q, a band, in the place of G and moments^T Q in that of moments^T."""
    rows, padded = matrix.shape
    scratch: dict[str, Any] = {"dtype": torch.float64, "device": matrix.device}
    factors = torch.empty(3 * BAND * rows, **scratch)
    products = torch.empty(BAND * rows, **scratch)
    taus = torch.empty(BAND, **scratch)
    partials = torch.empty(kernels.logme_partial_sums_size(), **scratch)
    reduction = kernels.LogmeReduction(
        matrix=address(matrix),
        padded=padded,
        n_targets=rows - padded,
        factors=address(factors),
        products=address(products),
        taus=address(taus),
        partials=address(partials),
        stream=stream,
    )
    for first in range(0, padded - BAND, BAND):
        rest = matrix[first + BAND :, first + BAND :]
        n_rows, n_columns = rest.shape
        factor = factors[: 3 * BAND * n_rows].view(3 * BAND, n_rows)  # V^T, W^T, V^T
        product = products[: BAND * n_rows].view(BAND, n_rows)
        reduction.factor_panel(first)
        torch.mm(factor[:BAND, :n_columns], rest.T, out=product)
        reduction.finish_update(first)
        rest.addmm_(factor[: 2 * BAND].T, factor[BAND:, :n_columns], alpha=-1)


def logme_evidence(
    gram: Array,
    moments: Array,
    squares: Array,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool = False,
    known: Known | None = None,
) -> Evidence:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram, dtype=torch.float64)
    moments = as_tensor(moments, gram, torch.float64)
    squares = as_doubles(squares, gram)
    size, n_targets = moments.shape
    results = torch.empty(4, n_targets, dtype=torch.float64, device=gram.device)
    if n_targets == 0:
        return Evidence(*results)
    if isinstance(rule, LargestEvidence):
        return from_gram(gram, moments, squares, n_samples, dual, known)
    kernels = module_for(gram)
    with on_device_of(gram):
        stream = current_stream(gram)
        matrix = stacked(gram, moments)
        reduce_to_band(matrix, kernels, stream)
        padded = matrix.shape[1]
        # To start warm, each target waits for its predecessor.
        n_blocks = 1 if rule.warm_start else min(n_targets, targets_at_once(kernels))
        workspace = torch.empty(
            n_blocks * kernels.logme_fit_workspace_size(padded),
            dtype=torch.float64,
            device=gram.device,
        )
        kernels.logme_fit(
            matrix=address(matrix),
            squares=address(squares),
            size=size,
            padded=padded,
            n_targets=n_targets,
            n_samples=n_samples,
            n_features=n_features,
            workspace=address(workspace),
            n_blocks=n_blocks,
            results=address(results),
            stream=stream,
            dual=dual,
            smallest_precision=SMALLEST_PRECISION,
            **asdict(rule),
        )
    return Evidence(*results)
