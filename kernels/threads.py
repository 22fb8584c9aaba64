"""How many threads the CPU kernels use, and a loop that spreads blocks over them."""

import os
from concurrent.futures import ThreadPoolExecutor

VARIABLES = ("TRANSFER_KERNELS_NUM_THREADS", "OMP_NUM_THREADS")


def thread_count() -> int:
    """Threads per call: the environment's word, else the processors this process may use.

    Raises
    ------
    ValueError
        If ``TRANSFER_KERNELS_NUM_THREADS`` or ``OMP_NUM_THREADS`` is no positive integer.
    """
    for variable in VARIABLES:
        value = os.environ.get(variable, "").split(",")[0].strip()
        if value:
            if not value.isdigit() or int(value) == 0:
                raise ValueError(f"{variable}={value!r} must be a positive integer")
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_threads(work, items) -> list:
    """``[work(item) for item in items]`` over the threads; results in the order of the items.

    The pool lives for this call only, so that forking and embedding stay safe. ``work`` gains from
    threads where it releases the GIL: BLAS calls and ``nogil`` Numba functions.
    """
    items = list(items)
    n_threads = min(thread_count(), len(items))
    if n_threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, items))
