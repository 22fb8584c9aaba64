"""What the GPU backends share: tensors on the features' device, its stream, running on the host.

The modules `triton_gpu`, `cuda_gpu` and `torch_gpu` take NumPy arrays or tensors and give tensors.
They work where the features are: on a GPU as a rule; on the CPU where Triton's interpreter or the
host execution layer of the CUDA kernels was asked for.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from .array_namespace import Array

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_tensor(
    values: Array, like: torch.Tensor | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Tensor of the values, on the device of ``like``; a view where that is possible.

    Parameters
    ----------
    values : array or tensor
    like : tensor, optional
        Names the device.
    dtype : torch.dtype, optional
        Converts where it differs.
    """
    if not isinstance(values, torch.Tensor):
        values = np.asarray(values)
        strides = values.strides
        if not values.flags.writeable or any(s < 0 or s % values.itemsize for s in strides):
            values = values.copy()  # PyTorch has no read-only tensors and no negative strides
        values = torch.from_numpy(values)
    return values.detach().to(device=None if like is None else like.device, dtype=dtype)


def as_features(X: torch.Tensor) -> torch.Tensor:
    """(n, d) floating tensor, any strides."""
    X = as_tensor(X)
    return X if X.dtype in FLOATING else X.to(torch.float64)


def as_codes(codes: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """(n,) contiguous int64 tensor on the device of ``like``."""
    return as_tensor(codes, like, torch.int64).contiguous()


def as_doubles(values: Array, like: torch.Tensor) -> torch.Tensor:
    """Contiguous float64 tensor on the device of ``like``."""
    return as_tensor(values, like, torch.float64).contiguous()


def on_device_of(tensor: Any) -> Any:
    """Context in which kernels are launched on the tensor's device."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def current_stream(tensor: Any) -> int:
    """Handle of the caller's current stream on the tensor's device; 0 on the host."""
    return torch.cuda.current_stream(tensor.device).cuda_stream if tensor.is_cuda else 0
