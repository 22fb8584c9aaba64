"""Packages that may be missing, or there and broken: found out by importing them, not by a look.

A package whose shared library is missing, or that was made for another NumPy, is on the path and
fails only when it is imported, by whatever exception it likes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from .text.quoting import plain


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
    except Exception as error:
        reason = _reason(package, error)
    if isinstance(reason, Unloadable):
        _unloadable[module] = reason
    return reason


def _reason(package: str, error: Exception) -> str:
    """Why a package cannot be used whose import raised this."""
    blocked = package in sys.modules and sys.modules[package] is None
    missing = isinstance(error, ModuleNotFoundError) and error.name in (None, package)
    if blocked or missing:
        return f"the package {package} is not installed"
    return unloadable(f"the package {package}", error)


def unloadable(what: str, error: Exception) -> Unloadable:
    """Return the report of something that is there and raised when it was imported."""
    reason = plain(" ".join(f"{type(error).__name__}: {error}".split()))
    return Unloadable(f"{what} is installed but does not load ({reason})")


@contextmanager
def some_home() -> Iterator[None]:
    """Let packages be imported that ask for the home directory, where there is none.

    A container may run as a user that is in no list, without HOME; libraries under gensim then fail
    while they are imported, though they need nothing of that folder.
    """
    try:
        Path.home()
    except RuntimeError:
        import tempfile

        os.environ["HOME"] = tempfile.gettempdir()
        try:
            yield
        finally:
            os.environ.pop("HOME", None)
    else:
        yield


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
    raise ImportError(_remedy(use, title, reason, extra)) from None


def why_not(use: str, package: str, title: str, extra: str, error: Exception) -> str:
    """Return what `require` says, of an import that has failed already."""
    return _remedy(use, title, _reason(package, error), extra)


def _remedy(use: str, title: str, reason: str, extra: str) -> str:
    if isinstance(reason, Unloadable):
        return f"{use} needs {title}: {reason}; install it anew"
    return f'{use} needs {title}: pip install "transfer_kernels[{extra}]"'
