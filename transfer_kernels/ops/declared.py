"""Public functions of ops from their declarations: arguments checked, a backend chosen, called."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..inputs import arrays
from ..inputs.bfloat16 import BFloat16Matrix, ByBlocks
from ..kernels import declarations as kinds
from ..kernels.array_namespace import as_float64
from ..kernels.declarations import Declaration
from .backends import implementation


def public_function(declaration: Declaration, module: str) -> Callable[..., Any]:
    """The function that a declaration promises.

    Parameters
    ----------
    declaration : Declaration
    module : str
        The module that it is to be a function of.
    """
    signature = inspect.signature(declaration.function)

    @functools.wraps(declaration.function)
    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{declaration.name}() {error}") from None
        bound.apply_defaults()
        backend = bound.arguments.pop("backend")
        arguments = checked_arguments(declaration, bound.arguments)
        first = next(iter(arguments.values()))
        version: Any = implementation(declaration.folder, backend, arrays.device_kind(first))
        if isinstance(first, BFloat16Matrix):
            version = ByBlocks(version)
        if declaration.call is not None:
            return declaration.call(version, **arguments)
        return getattr(version, declaration.name)(*arguments.values())

    function.__module__ = module
    return function


def checked_arguments(declaration: Declaration, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in the form that the op's contract demands.

    Raises
    ------
    TypeError, ValueError
        Naming the argument that is not as it is declared.
    """
    parameters = inspect.signature(declaration.function).parameters
    checked = dict(given)
    present = {
        name: kind
        for name, kind in declaration.arguments.items()
        if given[name] is not None or parameters[name].default is not None
    }
    sizes: dict[str, int] = {}
    # Counts are sizes of others, and codes are held to sizes that others have.
    for name, kind in sorted(present.items(), key=lambda item: _TURNS.get(type(item[1]), 1)):
        if isinstance(kind, kinds.Count):
            arrays.require_positive_integer(given[name], name)
            sizes[name] = int(given[name])
            continue
        if declaration.sizes is not None:
            sizes = declaration.sizes(given) | sizes
        checked[name] = _checked(kind, given[name], name, sizes)
    if declaration.check is not None:
        declaration.check(given, checked)
    return checked


_TURNS = {kinds.Count: 0, kinds.Codes: 2, kinds.Given: 3}


def _checked(kind: Any, value: Any, name: str, sizes: dict[str, int]) -> Any:
    """A value as its kind demands; enters what sizes it has."""
    match kind:
        case kinds.Features():
            features = _features(kind, value, name)
            sizes["n"], sizes["d"] = map(int, features.shape)
            return features
        case kinds.Doubles():
            return _operand(kind, value, name, sizes)
        case kinds.Pair():
            if not isinstance(value, (tuple, list)) or len(value) != len(kind.parts):
                raise TypeError(
                    f"{name} must be a pair of arrays or None, not {type(value).__name__}"
                )
            parts = zip(kind.parts.values(), value, strict=True)
            return tuple(_operand(k, v, f"{name}[{i}]", sizes) for i, (k, v) in enumerate(parts))
        case kinds.Codes():
            below = None if kind.classes is None else sizes[kind.classes]
            return arrays.as_codes(value, sizes["n"], below)
        case kinds.Weights():
            return arrays.as_weights(value, sizes["n"])
        case kinds.Targets():
            targets = arrays.as_targets(arrays.as_array(value, name), name)
            arrays.require_length(targets, sizes["n"], name)
            return targets
        case kinds.Components():
            arrays.require_components(value, (sizes["n"], sizes["d"]))
            sizes[name] = int(value)
        case kinds.Choice():
            if value not in kind.texts:
                raise ValueError(
                    f"{name}={value!r} is unknown; choose one of {', '.join(kind.texts)}"
                )
        case kinds.Number():
            _require_number(kind, value, name)
    return value


def _features(kind: kinds.Features, value: Any, name: str) -> Any:
    if kind.sparse:
        return arrays.as_posteriors(value, name)
    features = arrays.as_features(value, name, narrow=kind.narrow)
    return as_float64(features) if kind.double else features


def _operand(kind: kinds.Doubles, value: Any, name: str, sizes: dict[str, int]) -> Any:
    wanted = tuple(sizes.get(size, size) for size in kind.shape)
    if kind.fewest < len(wanted):
        given = value if hasattr(value, "ndim") else np.asarray(value)
        wanted = wanted[: max(kind.fewest, given.ndim)]
    array = arrays.as_operand(value, name, wanted)
    sizes.update(zip(kind.shape, map(int, array.shape), strict=False))
    if kind.not_negative and not bool(((array >= 0.0) & (array < np.inf)).all()):
        raise ValueError(f"{name} must be finite and not negative")
    return array


def _require_number(kind: kinds.Number, value: Any, name: str) -> None:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    most = math.inf if kind.most is None else kind.most
    if kind.least <= float(value) <= most and float(value) < math.inf:
        return
    if kind.most is not None:
        allowed = f"lie in [{kind.least:g}, {kind.most:g}]"
    else:
        allowed = (
            f"be finite and {'not negative' if kind.least == 0.0 else f'at least {kind.least:g}'}"
        )
    raise ValueError(f"{name}={value!r} is out of range: it must {allowed}")
