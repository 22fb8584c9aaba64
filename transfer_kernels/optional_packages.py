"""Packages that may be missing, or there and broken: found out by importing them, not by a look.

A package whose shared library is missing, or that was made for another NumPy, is on the path and
fails only when it is imported, by whatever exception it likes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .quoting import plain


class Unloadable(str):
    """Why a package that is there cannot be used: a fault, where a missing one is none."""


_unloadable: dict[str, Unloadable] = {}


def obstacle(module: str, *names: str) -> str | None:
    """Return why a module cannot be imported, or None; it is then imported.

    Parameters
    ----------
    module : str
    *names : str
        What it must hold: a folder of its name somewhere on the path is a module too, an empty one.

    Returns
    -------
    str or None
        An `Unloadable` where the module is there. These are kept: a failing import takes as long as
        one that succeeds, every time.
    """
    if module in _unloadable:
        return _unloadable[module]
    package = module.partition(".")[0]
    try:
        import_module(package)
        found = import_module(module)
        for name in names:
            getattr(found, name)
        return None
    except ModuleNotFoundError as error:
        if error.name in (None, package):
            return f"the package {package} is not installed"
        failure: Exception = error
    except Exception as error:
        failure = error
    _unloadable[module] = unloadable(f"the package {package}", failure)
    return _unloadable[module]


def unloadable(what: str, error: Exception) -> Unloadable:
    """Return the report of something that is there and raised when it was imported."""
    reason = plain(" ".join(f"{type(error).__name__}: {error}".split()))
    return Unloadable(f"{what} is installed but does not load ({reason})")


def require(module: str, *names: str, use: str, extra: str, title: str | None = None) -> Any:
    """Return a module, or raise the ImportError that tells what needs it, why it fails, the remedy.

    Parameters
    ----------
    module : str
    *names : str
        What it must hold.
    use : str
        What needs it, such as "plotting".
    extra : str
        The extra of this package that installs it.
    title : str, optional
        The package's name for people, by default the module's.
    """
    reason = obstacle(module, *names)
    if reason is None:
        return import_module(module)
    title = title or module.partition(".")[0]
    if isinstance(reason, Unloadable):
        raise ImportError(f"{use} needs {title}: {reason}; install it anew") from None
    raise ImportError(f'{use} needs {title}: pip install "transfer_kernels[{extra}]"') from None
