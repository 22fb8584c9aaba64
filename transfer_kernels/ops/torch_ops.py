"""The ops as PyTorch operators, ``torch.ops.transfer_kernels``, so that `torch.compile` sees them.

Importing this module registers them; each is also a function here. They take tensors, on the CPU or
on a GPU, and give float64 tensors on the same device; the contracts are those of
``transfer_kernels.kernels.<op>``. They are not differentiable. Backends are chosen as everywhere:
by device, or by ``TRANSFER_KERNELS_BACKEND``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.library import custom_op

from .. import ops
from ..inputs.arrays import as_array
from ..kernels import declarations as kinds
from ..kernels.declarations import Declaration, declarations
from . import EvidenceRule, LargestEvidence

__all__ = [*declarations()]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Any]: ...


def _doubles(like: Tensor, *shape: int) -> Tensor:
    return like.new_empty(shape, dtype=torch.float64)


def _call(op: Callable[..., Any], *arguments: Any) -> Any:
    """An op's results, float64 tensors on the device of the first argument.

    The ops take NumPy arrays on the host. Results share memory with nothing, as PyTorch demands.
    """
    first = arguments[0]
    results = op(*(_as_op_takes_it(argument) for argument in arguments))
    if isinstance(results, tuple):
        return tuple(_fresh(first, result) for result in results)
    return _fresh(first, results)


def _as_op_takes_it(argument: Any) -> Any:
    if isinstance(argument, Tensor) and argument.device.type == "cpu":
        return as_array(argument, "an argument")
    return argument


def _fresh(like: Tensor, values: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.as_tensor(values, dtype=dtype, device=like.device).clone()


class _Operator:
    """A PyTorch operator from an op's declaration.

    Parameters
    ----------
    declaration : Declaration
    """

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        #: Name in the schema, kind and default of every argument.
        self._arguments: list[tuple[str, Any, Any]] = []
        for name, parameter in inspect.signature(declaration.function).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                continue
            kind = declaration.arguments[name]
            if isinstance(kind, kinds.Pair):
                self._arguments += [(part, k, None) for part, k in kind.parts.items()]
            elif not isinstance(kind, kinds.Given):
                self._arguments.append((name, kind, parameter.default))

    def register(self) -> Any:
        """PyTorch's object for it, which can be called."""
        name = self._declaration.name

        def run(*values: Any, **named: Any) -> Any:
            return self._run(self._by_name(values, named))

        def fake(*values: Any, **named: Any) -> Any:
            return self._fake(self._by_name(values, named))

        run.__name__ = run.__qualname__ = name
        run.__doc__ = self._docstring()
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(arg, kind, default=default) for arg, _, default in self._arguments]
        )
        schema = f"({', '.join(map(self._in_schema, self._arguments))}) -> {self._results()}"
        operator = custom_op(f"transfer_kernels::{name}", run, mutates_args=(), schema=schema)
        operator.register_fake(fake)
        return operator

    def _docstring(self) -> str:
        name, results = self._declaration.name, self._declaration.results
        summary = inspect.cleandoc(self._declaration.function.__doc__ or "").partition("\n\n")[0]
        shapes = [
            f"({', '.join(map(str, one.shape))}{',' * (len(one.shape) == 1)})" for one in results
        ]
        gives = self._declaration.gives
        return (
            f"{summary}\n\nThe arguments are those of `transfer_kernels.ops.{name}`; "
            f"results of shape {' and '.join(shapes)}. {(gives and gives.__doc__) or ''}"
        ).rstrip()

    @staticmethod
    def _in_schema(argument: tuple[str, Any, Any]) -> str:
        name, kind, default = argument
        if isinstance(kind, (kinds.Count, kinds.Components)):
            return f"int {name}"
        if isinstance(kind, kinds.Number):
            return f"float {name}"
        if isinstance(kind, kinds.Choice):
            return f'str {name}="{default}"'
        return f"Tensor? {name}=None" if default is None else f"Tensor {name}"

    def _results(self) -> str:
        each = ["Tensor"] * len(self._declaration.results)
        return each[0] if len(each) == 1 else f"({', '.join(each)})"

    def _by_name(self, values: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """The arguments; PyTorch leaves out those at the end that have their default."""
        names = [name for name, _, _ in self._arguments]
        return dict.fromkeys(names) | dict(zip(names, values, strict=False)) | named

    def _run(self, given: dict[str, Any]) -> Any:
        declaration, arguments = self._declaration, {}
        for name, kind in declaration.arguments.items():
            if isinstance(kind, kinds.Pair):
                parts = [given[part] for part in kind.parts]
                missing = [part is None for part in parts]
                if any(missing) and not all(missing):
                    names = " and ".join(kind.parts)
                    raise ValueError(f"{names} go together: give both or none")
                arguments[name] = None if any(missing) else tuple(map(_as_op_takes_it, parts))
            elif isinstance(kind, kinds.Choice) and given[name] is None:
                continue  # PyTorch leaves out what has its default
            elif name in given:
                arguments[name] = _as_op_takes_it(given[name])
        found = getattr(ops, declaration.name)(**arguments)
        if declaration.gives is not None:
            found = declaration.gives(found)
        like, results = next(iter(given.values())), declaration.results
        tensors = [
            _fresh(like, one, torch.int64 if isinstance(kind, kinds.Integers) else torch.float64)
            for kind, one in zip(results, found if len(results) > 1 else (found,), strict=True)
        ]
        return tensors[0] if len(results) == 1 else tuple(tensors)

    def _fake(self, given: dict[str, Any]) -> Any:
        sizes: dict[str, Any] = {}
        for name, kind, _ in self._arguments:
            value = given[name]
            if isinstance(kind, kinds.Features):
                sizes["n"], sizes["d"] = value.shape
            elif isinstance(kind, (kinds.Count, kinds.Components)):
                sizes[name] = value
            elif isinstance(kind, kinds.Doubles) and value is not None:
                sizes |= zip(kind.shape, value.shape, strict=False)
        like = next(iter(given.values()))
        tensors = [
            like.new_empty(
                [sizes[size] if isinstance(size, str) else size for size in one.shape],
                dtype=torch.int64,
            )
            if isinstance(one, kinds.Integers)
            else _doubles(like, *(sizes[size] for size in one.shape))
            for one in self._declaration.results
        ]
        return tensors[0] if len(tensors) == 1 else tuple(tensors)


@custom_op("transfer_kernels::logme_evidence", mutates_args=())
def logme_evidence(
    gram: Tensor,
    moments: Tensor,
    squares: Tensor,
    n_samples: int,
    n_features: int,
    dual: bool = False,
    epsilon: float = 1e-5,
    tolerance: float = 1e-3,
    max_rounds: int = 11,
    epsilon_in_evidence: bool = False,
    full_spectrum: bool = True,
    warm_start: bool = False,
    largest: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Evidence, alpha, beta and last t of every target, (K,) each.

    The settings are those of `transfer_kernels.ops.EvidenceRule`; with ``largest`` the rule is
    `transfer_kernels.ops.LargestEvidence`, which has none: those of the fixed point must then be
    left alone. An evidence that the Gram matrix lacks the digits for is NaN.
    """
    rule: EvidenceRule | LargestEvidence = EvidenceRule(
        epsilon, tolerance, max_rounds, epsilon_in_evidence, full_spectrum, warm_start
    )
    if largest:
        if rule != EvidenceRule():
            raise ValueError(
                "largest=True has no settings, and was given those of a fixed point; leave out "
                "epsilon, tolerance, max_rounds, epsilon_in_evidence, full_spectrum and warm_start"
            )
        rule = LargestEvidence()

    def columns(gram: Any, moments: Any, squares: Any) -> tuple[Any, ...]:
        found = ops.logme_evidence(gram, moments, squares, n_samples, n_features, rule, dual)
        return found.evidences, found.alphas, found.betas, found.ratios

    return _call(columns, gram, moments, squares)


@logme_evidence.register_fake
def _(gram: Tensor, moments: Tensor, *_: Any, **__: Any) -> tuple[Tensor, ...]:
    n_targets = moments.shape[1]
    return tuple(_doubles(gram, n_targets) for _ in range(4))


# All others: PyTorch's schemas have no place for a rule.
globals().update(
    (name, _Operator(declaration).register())
    for name, declaration in declarations().items()
    if name not in globals()
)
