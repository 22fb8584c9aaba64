"""`first_nonfinite` in C++: one threaded read of the exponents."""

from ..array_namespace import Array
from ..native_runtime import native_module, runtime_arguments


def first_nonfinite(X: Array) -> tuple[int, int] | None:
    """See the contract in the package's docstring."""
    return native_module().first_nonfinite(X, **runtime_arguments())
