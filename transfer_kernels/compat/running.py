"""Run a peer's script, unedited, with this package behind the module of metrics beside it."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from .peers import PEERS, Peer, peer_named, require_known
from .replacement import install


class StandIn(ModuleType):
    """A peer's module: the names that are replaced, and for others its own file, where it runs.

    A name that neither has, but the script imports, is a function that says why when it is called:
    scripts import many names and call one.
    """

    def __init__(self, peer: Peer, name: str, path: Path, imported: frozenset[str]):
        super().__init__(name, f"Stands for {path} of {peer.name}.")
        self._path = path
        self._imported = imported
        self._own: ModuleType | str | None = None
        for known in peer.ours.__all__:
            setattr(self, known, getattr(peer.ours, known))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if self._own is None:
            self._own = _loaded(self.__name__, self._path)
        if isinstance(self._own, ModuleType):
            if hasattr(self._own, name):
                return getattr(self._own, name)
            reason = f"{self._path} has none"
        else:
            reason = self._own

        complaint = f"{name} has no replacement here, and {reason}"
        if name not in self._imported:
            raise AttributeError(complaint)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise NotImplementedError(complaint)

        return missing


def _loaded(name: str, path: Path) -> ModuleType | str:
    """The module of a file, or why it does not run."""
    spec = importlib.util.spec_from_file_location(f"{name} of the peer", path)
    if spec is None or spec.loader is None or not path.exists():
        return f"there is no {path}"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever old code raises
        return f"{path} does not run: {type(error).__name__}: {error}"
    return module


def _imported_from(script: Path) -> dict[str, set[str]]:
    """Module to the names that a script imports from it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return found


def stand_in(peer: Peer, script: Path, unknown_source: bool = False) -> None:
    """Put stand-ins for a peer's modules, whose files are beside a script, into `sys.modules`.

    Raises
    ------
    ValueError
        If a file's source is unknown, see `install`.
    """
    folder, imported = script.parent, _imported_from(script)
    paths = {home: folder.joinpath(*home.split(".")).with_suffix(".py") for home in peer.homes}
    if not unknown_source:
        for home, path in paths.items():
            if path.exists():
                require_known(peer, home, path)
    for home, path in paths.items():
        sys.modules[home] = StandIn(peer, home, path, frozenset(imported.get(home, ())))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; see the package."""
    parser = argparse.ArgumentParser(
        prog="python -m transfer_kernels.compat",
        description="Run a peer's script with transfer_kernels behind its metrics.",
    )
    parser.add_argument("--unknown-source", action="store_true", help="replace edited code too")
    parser.add_argument("peer", help=", ".join(PEERS))
    parser.add_argument("script", type=Path, help="the peer's script, and its own arguments")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if not given.script.exists():
        parser.error(f"there is no script {given.script}")
    folder = given.script.resolve().parent
    sys.path.insert(0, str(folder))  # as Python does for a script
    sys.argv = [str(given.script), *given.arguments]
    try:
        peer = peer_named(given.peer)
        if peer.is_package:
            install(peer.name, unknown_source=given.unknown_source)
        else:
            stand_in(peer, given.script.resolve(), given.unknown_source)
    except (ImportError, SyntaxError, ValueError) as error:
        parser.error(str(error))
    runpy.run_path(str(given.script), run_name="__main__")
