"""The hot operations as plain functions: each picks the backend and hands over, no mathematics.

The contracts that every version of an op keeps are the docstrings of the packages
``transfer_kernels.kernels.<op>``, and ``manifest.py`` there declares its functions. The device that
holds an op's first argument decides where it runs; results are NumPy arrays for arrays on the host,
tensors for those on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from ..inputs import arrays
from ..inputs.bfloat16 import BFloat16Matrix, ByBlocks
from ..kernels.declarations import declarations
from ..kernels.fisher_scatter import FisherScatter as FisherScatter
from ..kernels.logme_evidence import Evidence as Evidence
from ..kernels.logme_evidence import EvidenceRule as EvidenceRule
from ..kernels.logme_evidence import Known as Known
from ..kernels.logme_evidence import LargestEvidence as LargestEvidence
from ..kernels.mixture_em import Responsibilities as Responsibilities
from .backends import BACKENDS, Backend, choose_backend, version_for
from .declared import public_function

_OTHERS = [
    "BoundOps",
    "Evidence",
    "EvidenceRule",
    "FisherScatter",
    "Known",
    "LargestEvidence",
    "Responsibilities",
    "bound_ops",
]


def __getattr__(name: str) -> Any:
    """The functions that the folders' manifests declare, made when they are first asked for."""
    if name == "__all__":
        return [*_OTHERS, *declarations()]
    if name.startswith("_") or name not in declarations():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, public_function(declarations()[name], __name__))


def __dir__() -> list[str]:
    return sorted({*globals(), *declarations()})


def _version(op: str, backend: Backend) -> Any:
    """The module that holds an op's version for a backend."""
    if op not in declarations():
        raise AttributeError(f"there is no op {op!r}")
    return version_for(declarations()[op].folder, backend)


class BoundOps:
    """The ops of one backend as attributes, chosen once and unchecked.

    They are the versions themselves: arrays must be as the contracts say, and are consumed where
    those allow it. For who has checked the arrays once, as `transfer_kernels.Problem` does.

    Parameters
    ----------
    backend : transfer_kernels.ops.backends.Backend

    Attributes
    ----------
    backend : str
        Name of the backend.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend.name
        self._backend = backend

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("_"):  # asked for by pickle and copy, of an object that has nothing yet
            raise AttributeError(op)
        function = getattr(_version(op, self._backend), op)
        setattr(self, op, function)  # found without this method from now on
        return function

    def __reduce__(self) -> Any:
        return _bound_by_name, (self.backend, isinstance(self, _OpsByBlocks))


class _OpsByBlocks(BoundOps):
    """The same where the features are a `BFloat16Matrix`, beside other arrays."""

    def __getattr__(self, op: str) -> Callable[..., Any]:
        plain = super().__getattr__(op)
        by_blocks = getattr(ByBlocks(_version(op, self._backend)), op)

        def function(X: Any, *arguments: Any, **options: Any) -> Any:
            chosen = by_blocks if isinstance(X, BFloat16Matrix) else plain
            return chosen(X, *arguments, **options)

        setattr(self, op, function)
        return function


@cache
def _bound(backend: Backend, by_blocks: bool) -> BoundOps:
    return _OpsByBlocks(backend) if by_blocks else BoundOps(backend)


def _bound_by_name(backend: str, by_blocks: bool) -> BoundOps:
    return _bound(next(one for one in BACKENDS if one.name == backend), by_blocks)


def bound_ops(array: Any, backend: str | None = None) -> BoundOps:
    """The ops of the backend that serves arrays beside ``array``.

    Parameters
    ----------
    array : array or tensor
        Its device decides which backends serve.
    backend : str, optional
        Force a backend.

    Raises
    ------
    ValueError
        See `transfer_kernels.ops.backends.choose_backend`.
    """
    chosen = choose_backend(backend, arrays.device_kind(array))
    return _bound(chosen, isinstance(array, BFloat16Matrix))
