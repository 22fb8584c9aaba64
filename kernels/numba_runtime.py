"""What the Numba kernels share: compiler options, a cache that may be missing, and row blocks."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numba import njit

#: Sums may be reordered and products fused, but NaN and infinity keep their meaning.
FAST_MATH = {"arcp", "contract", "nsz", "reassoc"}


OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": FAST_MATH}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` at its first call: sequential, GIL released, cached on disk if possible.

    Threads are Python's (`threads.run_in_threads`): Numba's own thread layers survive neither a
    fork nor calls from several threads. Where neither the package's folder nor the user's cache
    folder (or ``NUMBA_CACHE_DIR``) can be written, or the disk is full, each process compiles anew.
    """
    try:
        compiled = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:
        return njit(**OPTIONS)(function)
    _tolerate_full_disk(compiled)
    return compiled


def _tolerate_full_disk(compiled: Callable[..., Any]) -> None:
    """Let what was compiled be used though it cannot be kept."""
    cache: Any = getattr(compiled, "_cache", None)
    save = getattr(cache, "save_overload", None)
    if save is None:  # another Numba than those known; its errors then stand
        return

    def save_if_possible(*arguments: Any) -> None:
        with suppress(OSError):
            save(*arguments)

    cache.save_overload = save_if_possible


def inlined_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` into its callers: a call counts references to its arrays, atomically."""
    return njit(inline="always", **OPTIONS)(function)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written: one compiled version serves writable and read-only arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_codes(codes: np.ndarray) -> np.ndarray:
    """Class codes as the kernels read them: contiguous int64."""
    return read_only(np.ascontiguousarray(codes, dtype=np.int64))


def as_vector(values: np.ndarray) -> np.ndarray:
    """A float64 vector as the kernels read it: contiguous."""
    return read_only(np.ascontiguousarray(values, dtype=np.float64))


def row_block(X: np.ndarray, rows: Any) -> np.ndarray:
    """``X[rows]`` contiguous, float32 or float64; a view where X is so already.

    Numba has no fast float16 on CPUs, so half precision is widened here.
    """
    block = X[rows]
    if block.dtype == np.float16:
        block = block.astype(np.float32)
    return read_only(np.ascontiguousarray(block))


def ranges(length: int, step: int) -> list[slice]:
    """Slices of ``step`` that cover 0 ... length - 1."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def even_ranges(length: int, parts: int, multiple: int = 1) -> list[slice]:
    """At most ``parts`` slices of equal size, a multiple of ``multiple``, but for the last."""
    step = -(-length // (parts * multiple)) * multiple
    return ranges(length, step)
