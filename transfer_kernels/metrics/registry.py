"""What a metric is to the rest of the package, and the specs by which metrics are named."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..quoting import shown


@dataclass(frozen=True)
class Metric:
    """A named score.

    Parameters
    ----------
    name : str
        As users write it.
    compute : callable
        ``compute(problem, **options) -> float``, higher is better.
    """

    name: str
    compute: Callable[..., float]

    @property
    def options(self) -> dict[str, Any]:
        """Names of the options with their defaults."""
        parameters = list(inspect.signature(self.compute).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a metric spec such as ``"parc(n_components=32)"``.

    Raises
    ------
    ValueError
        If the spec is no name, or name with keyword arguments that are Python literals.
    """
    complaint = ValueError(
        f"metric {shown(spec)} is not understood; write a name, or a name with options such as "
        "'parc(n_components=32)'"
    )
    if not isinstance(spec, str):
        raise complaint
    try:
        node = ast.parse(spec.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            options = {str(key.arg): ast.literal_eval(key.value) for key in node.keywords}
            return node.func.id, options
    except (SyntaxError, ValueError):
        pass
    raise complaint


def format_spec(name: str, options: dict[str, Any]) -> str:
    """The canonical spelling of a spec."""
    if not options:
        return name
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in options.items())})"
