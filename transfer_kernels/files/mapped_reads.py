"""Mapped files that are cut short while they are read: an error, and not the end of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..inputs.bfloat16 import BFloat16Matrix
from ..kernels.array_namespace import is_tensor
from ..text.quoting import plain


def can_watch() -> bool:
    """Whether a file that shrinks while it is mapped can be survived: the compiled module can."""
    return _module() is not None


@contextmanager
def intact(array: Any, path: Any) -> Iterator[Callable[[], None]]:
    """Watch what is mapped of a file; the function that is given tells whether all was there.

    Parameters
    ----------
    array : NumPy array or tensor
        Of `transfer_kernels.files.feature_files.read_features`. Nothing happens to one in memory.
    path : str or Path
        What messages call the file.

    Yields
    ------
    function
        Raises ValueError if a part of the file was gone when it was read; what was made of the
        array since the beginning is then to be thrown away.
    """
    module, place = _module(), _mapped_bytes(array)
    if module is None or place is None:
        yield lambda: None
        return
    watch = module.watch_pages(*place)

    def check() -> None:
        if module.pages_replaced(watch):
            raise ValueError(f"{plain(path)}: was cut short while it was read")

    try:
        yield check
    finally:
        module.unwatch_pages(watch)


def _mapped_bytes(array: Any) -> tuple[int, int] | None:
    """Address and number of the bytes of a mapped array, or of what may be one: a CPU tensor."""
    array = array.halves if isinstance(array, BFloat16Matrix) else array
    if isinstance(array, np.memmap):
        return array.__array_interface__["data"][0], array.nbytes
    if is_tensor(array) and array.device.type == "cpu" and array.layout == _strided(array):
        storage = array.untyped_storage()
        return storage.data_ptr(), storage.nbytes()
    return None


def _strided(array: Any) -> Any:
    import torch

    return torch.strided


def _module() -> Any:
    from ..kernels.native_runtime import native_module

    try:
        module = native_module()
    except Exception:  # missing, or there and broken, which `backends` tells
        return None
    return module if hasattr(module, "watch_pages") else None
