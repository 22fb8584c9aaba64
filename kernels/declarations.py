"""How an op is declared, once: arguments and results, from which all that is public of it is made.

The file ``manifest.py`` in an op's folder declares the functions of its versions. From a
declaration `transfer_kernels.ops` makes the function that checks its arguments, and
`transfer_kernels.ops.torch_ops` the PyTorch operator. Sizes have names, "n" or "d", and the same
name is the same size throughout a declaration. Nothing here imports NumPy or PyTorch.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Features:
    """(n, d) features, float16, float32 or float64, any strides.

    Parameters
    ----------
    narrow : bool
        Whether on the host bfloat16 comes as it is, a `BFloat16Matrix`, not widened to float32.
    sparse : bool
        Whether they may be a SciPy matrix in CSR form, float32 or float64.
    double : bool
        Whether they are taken in float64.
    """

    narrow: bool = False
    sparse: bool = False
    double: bool = False


class Doubles:
    """Float64 array of these sizes, as an argument or a result; a number where there are none.

    Parameters
    ----------
    *shape : str
        Names of the sizes, or of arguments that are sizes.
    not_negative : bool
        Whether it must be finite and not negative.
    fewest : int, optional
        Of how many of these sizes it may be at least, the first ones; by default of all.
    """

    def __init__(self, *shape: str, not_negative: bool = False, fewest: int | None = None) -> None:
        self.shape = shape
        self.not_negative = not_negative
        self.fewest = len(shape) if fewest is None else fewest


class Integers:
    """Int64 array of these numbers of entries, or of sizes by their names, as a result."""

    def __init__(self, *shape: int | str) -> None:
        self.shape = shape


@dataclass(frozen=True)
class Codes:
    """(n,) integers that are not negative.

    Parameters
    ----------
    classes : str, optional
        Name of the size that they are below.
    """

    classes: str | None = None


@dataclass(frozen=True)
class Weights:
    """(n,) weights, finite and not negative."""


@dataclass(frozen=True)
class Targets:
    """(n, k) real numbers, finite; (n,) is one column."""


@dataclass(frozen=True)
class Count:
    """Positive integer, a size by its own name."""


@dataclass(frozen=True)
class Components:
    """Integer in [1, min(n, d)], a size by its own name."""


@dataclass(frozen=True)
class Number:
    """Real number in [least, most], or from ``least`` on and finite."""

    least: float
    most: float | None = None


class Choice:
    """One of these texts.

    Parameters
    ----------
    *texts : str
    """

    def __init__(self, *texts: str) -> None:
        self.texts = texts


class Pair:
    """Two arrays that go together, by their names as arguments of the PyTorch operator."""

    def __init__(self, **parts: Doubles) -> None:
        self.parts = parts


@dataclass(frozen=True)
class Given:
    """Anything, which the declaration's own ``check`` looks at; no argument of the operator."""


#: What an argument can be.
Argument: TypeAlias = (
    Features
    | Doubles
    | Codes
    | Weights
    | Targets
    | Count
    | Components
    | Number
    | Choice
    | Pair
    | Given
)


@dataclass(frozen=True)
class Declaration:
    """A function of an op.

    Parameters
    ----------
    function : callable
        Its signature, with ``backend`` as the last argument, and docstring; it is never called.
    folder : str
        The op's folder, which holds its versions.
    arguments : dict
        What each argument must be. One whose default is None may be None.
    results : tuple
        Of the PyTorch operator.
    sizes : callable, optional
        Sizes known beforehand, from the arguments by name.
    check : callable, optional
        Called with the arguments as given and as checked, by name: raises, or changes the latter.
    call : callable, optional
        Calls a version, its first argument, with the others by name; else it is called with all.
    gives : callable, optional
        The operator's results from the function's, where these are other ones; its docstring says
        how.
    """

    function: Callable[..., Any]
    folder: str
    arguments: Mapping[str, Argument]
    results: tuple[Doubles | Integers, ...]
    sizes: Callable[[Mapping[str, Any]], dict[str, int]] | None = None
    check: Callable[[Mapping[str, Any], dict[str, Any]], None] | None = None
    call: Callable[..., Any] | None = None
    gives: Callable[[Any], Any] | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.function.__name__)


_declared: dict[str, Declaration] = {}


def declare(
    *results: Doubles | Integers,
    sizes: Callable[[Mapping[str, Any]], dict[str, int]] | None = None,
    check: Callable[[Mapping[str, Any], dict[str, Any]], None] | None = None,
    call: Callable[..., Any] | None = None,
    gives: Callable[[Any], Any] | None = None,
    **arguments: Argument,
) -> Callable[[Function], Function]:
    """Decorator of a function in a manifest, which has a signature and a docstring alone.

    The parameters are those of `Declaration`.
    """

    def enter(function: Function) -> Function:
        folder = function.__module__.split(".")[-2]
        if function.__name__ in _declared:
            raise ValueError(f"{folder} declares {function.__name__}, which there is already")
        _declared[function.__name__] = Declaration(
            function, folder, arguments, results, sizes, check, call, gives
        )
        return function

    return enter


@cache
def declarations() -> dict[str, Declaration]:
    """What the manifests of all folders declare, by name."""
    folders = importlib.import_module(__package__).__path__
    for module in pkgutil.iter_modules(folders):
        manifest = f"{__package__}.{module.name}.manifest"
        if module.ispkg and importlib.util.find_spec(manifest) is not None:
            importlib.import_module(manifest)
    return dict(sorted(_declared.items()))
