"""What callers of the CUDA kernels share: the module for a device, addresses, matrices.

The kernels exist twice: in `_cuda` for GPUs, and in `_cuda_on_host`, where the same sources run on
the CPU, slowly and checked, so that they can be tested anywhere.
"""

from functools import cache
from importlib import import_module
from types import ModuleType

import torch

#: In the order of `ElementType` in csrc/device/device_matrix.h.
ELEMENT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@cache
def gpu_module() -> ModuleType:
    """The kernels for GPUs; raises ImportError with the reason where they were not built."""
    return import_module("transfer_kernels._cuda")


@cache
def host_module() -> ModuleType:
    """The same kernels run on the host; raises ImportError where they were not built."""
    return import_module("transfer_kernels._cuda_on_host")


def module_for(tensor: torch.Tensor) -> ModuleType:
    """The module whose kernels can read the tensor's memory."""
    return gpu_module() if tensor.is_cuda else host_module()


def matrix(X: torch.Tensor) -> tuple:
    """What the bindings take for a two-dimensional tensor: any strides, nothing is copied."""
    return (X.data_ptr(), ELEMENT_TYPES.index(X.dtype), *X.shape, *X.stride())


def address(tensor: torch.Tensor | None) -> int:
    """Address of a contiguous tensor's first element; 0 for None."""
    if tensor is None:
        return 0
    if not tensor.is_contiguous():
        raise ValueError("kernels read and write this tensor as contiguous")
    return tensor.data_ptr()
