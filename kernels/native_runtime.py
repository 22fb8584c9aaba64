"""What every caller of the compiled module shares: the module, instruction set, threads, views."""

import os
from functools import cache, partial
from importlib import import_module
from types import ModuleType

import numpy as np

from .threads import thread_count

ISA_VARIABLE = "TRANSFER_KERNELS_ISA"


@cache
def native_module() -> ModuleType:
    """The compiled module; raises ImportError with the reason where it was not built."""
    return import_module("transfer_kernels._native")


def instruction_set() -> str:
    """Name of the instruction set in use: the widest available, or what the environment forces.

    Raises
    ------
    ValueError
        If ``TRANSFER_KERNELS_ISA`` names one that this build or processor does not have.
    """
    available = native_module().available_isas()
    forced = os.environ.get(ISA_VARIABLE)
    if not forced:
        return available[-1]
    if forced not in available:
        raise ValueError(
            f"{ISA_VARIABLE}={forced!r} is not available here; choose one of {', '.join(available)}"
        )
    return forced


def runtime_arguments() -> dict:
    """The keyword arguments ``isa`` and ``n_threads`` that every compiled kernel takes."""
    return {"isa": instruction_set(), "n_threads": thread_count()}


#: Class codes as the compiled kernels read them: contiguous int64.
as_codes = partial(np.ascontiguousarray, dtype=np.int64)
