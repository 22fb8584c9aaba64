"""How many threads the CPU kernels use, and a loop that spreads blocks over them."""

import os
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .processors import processor_count

VARIABLES = ("TRANSFER_KERNELS_NUM_THREADS", "OMP_NUM_THREADS")

#: What stands for the default, as elsewhere: nothing, "auto", and 0.
_DEFAULT = re.compile(r"(auto|[+-]?0+(\.0*)?)?", re.IGNORECASE)
_COUNT = re.compile(r"\+?0*([0-9]+)(\.0*)?")

_warned: set[tuple[str, str]] = set()


def thread_count() -> int:
    """Threads per call: the environment's word, else the processors this process may use.

    Never more than these processors (affinity and the container's quota): more only wait for one
    another, and a slip of the keyboard would start as many as the system can hold. Of a list, as
    OpenMP takes it for nested loops, the first counts. What is no number counts as absent, as
    OpenMP and Numba treat it.

    Warns
    -----
    RuntimeWarning
        Once for each value of ``TRANSFER_KERNELS_NUM_THREADS`` or ``OMP_NUM_THREADS`` that is no
        number or above the processors.
    """
    for variable in VARIABLES:
        given = os.environ.get(variable, "").split(",")[0].strip()
        if _DEFAULT.fullmatch(given):
            if given:
                break
            continue
        count = _COUNT.fullmatch(given)
        if count:
            digits = count[1]
            wanted = int(digits) if len(digits) < 10 else 10**9
            return at_most_processors(wanted, variable, given)
        _warn_once(
            variable, given, f"is no number of threads and is passed over; {processor_count()} run"
        )
    return processor_count()


def most_threads() -> int:
    """The most threads or processes that are started, whatever is asked for."""
    return processor_count()


def at_most_processors(wanted: int, name: str, given: str = "", least: int = 1) -> int:
    """The number that is wanted, or that of the processors, with one warning where it is less.

    Parameters
    ----------
    wanted : int
    name : str
        Of the variable or argument, for the warning.
    given : str, optional
        What it holds, by default the number.
    least : int, default 1
        Allowed with fewer processors too.
    """
    processors = most_threads()
    most = max(processors, least)
    if wanted > most:
        _warn_once(
            name,
            given or str(wanted),
            f"is more than the {processors} processor{'s' * (processors > 1)} that this process "
            f"may use; {most} {'are' if most > 1 else 'is'} used",
        )
    return min(wanted, most)


def _warn_once(name: str, given: str, what: str) -> None:
    if (name, given) not in _warned:
        _warned.add((name, given))
        shown = given if len(given) <= 40 else given[:40] + "..."
        shown = shown if given.isdecimal() and given.isascii() else repr(shown)
        warnings.warn(f"{name}={shown} {what}", RuntimeWarning, stacklevel=4)


def run_in_threads(work: Callable[..., Any], items: Any) -> list:
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
