"""NumPy arrays and PyTorch tensors by one spelling, without importing PyTorch.

What is written with ``xp = array_namespace(x)`` runs where ``x`` is: the functions used are those
that NumPy and PyTorch spell alike.
"""

import sys
from typing import Any, TypeAlias

import numpy as np

#: A NumPy array or a PyTorch tensor: PyTorch is not imported to say so.
Array: TypeAlias = Any


def is_tensor(values: Any) -> bool:
    """Whether the values are a PyTorch tensor."""
    # A folder named torch, or an import that failed half-way, leaves a module without tensors.
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(values, tensor)


def array_namespace(array: Array) -> Any:
    """The module whose functions take the array: torch for a tensor, else NumPy."""
    return sys.modules["torch"] if is_tensor(array) else np


def beside(array: Array, values: Any) -> Array:
    """The values as an array of the same kind and on the same device as ``array``."""
    if is_tensor(array):
        return sys.modules["torch"].as_tensor(values, device=array.device)
    return on_host(values)


def on_host(values: Any) -> np.ndarray:
    """The values as a NumPy array; for small results, never for features."""
    return values.detach().cpu().numpy() if is_tensor(values) else np.asarray(values)


def as_float64(array: Array) -> Array:
    """The array in float64, itself where it is so already."""
    return array.double() if is_tensor(array) else np.asarray(array, dtype=np.float64)
