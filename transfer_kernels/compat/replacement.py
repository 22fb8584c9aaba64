"""Put replacements into a peer: into its modules and wherever they were imported to already."""

from __future__ import annotations

import gc
import sys
import threading
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .peers import Peer, digests, peer_named, require_known

_lock = threading.RLock()
_installed: dict[str, Installation] = {}


@dataclass
class _Place:
    """One reference: of a dictionary's key, a list's index or a class's attribute."""

    holder: Any
    key: Any
    original: Any
    replacement: Any
    label: str

    def _get(self) -> Any:
        if isinstance(self.holder, type):
            return vars(self.holder).get(self.key)
        try:
            return self.holder[self.key]
        except (KeyError, IndexError):
            return None

    def put(self, new: Any, old: Any) -> None:
        """Put one for the other, unless somebody has changed the place since."""
        if self._get() is not old:
            return
        if isinstance(self.holder, type):
            setattr(self.holder, self.key, new)
        else:
            self.holder[self.key] = new


@dataclass
class Installation:
    """What `install` has done: a report, and a context manager that undoes it.

    Attributes
    ----------
    peer : str
    replaced : tuple of str
        Every place that now holds a replacement, such as ``transformer_ranker.ranker.LogME``.
    left : tuple of str
        What stays the peer's own: names that have no replacement here, and subclasses.
    """

    peer: str
    replaced: tuple[str, ...]
    left: tuple[str, ...]
    _places: list[_Place] = field(default_factory=list, repr=False)

    def uninstall(self) -> None:
        """Put the peer's own back where the replacements still are."""
        with _lock:
            for place in reversed(self._places):
                place.put(place.original, place.replacement)
            self._places.clear()
            if _installed.get(self.peer) is self:
                del _installed[self.peer]

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *exception: object) -> None:
        self.uninstall()

    def __str__(self) -> str:
        lines = [f"{self.peer}: {len(self.replaced)} references replaced"]
        lines += [f"  {name}" for name in self.replaced]
        lines += [f"  left: {name}" for name in self.left]
        return "\n".join(lines)


def install(peer: str, *, unknown_source: bool = False) -> Installation:
    """Replace a peer's functions and classes by those of this package.

    In the peer's modules, which are imported, and in every module, dictionary, list and class that
    holds one of them already. What is imported from the peer later is a replacement too.

    Parameters
    ----------
    peer : str
        Such as ``"transformer-ranker"``; `peer_names` lists them.
    unknown_source : bool, default False
        Replace a peer too whose source is not the published one.

    Returns
    -------
    Installation
        What was replaced, and what was left; a context manager. The same one for a peer that is
        installed already.

    Raises
    ------
    ImportError
        If one of the peer's modules cannot be imported.
    ValueError
        If there is no such peer, or its source is unknown; nothing is replaced then.
    """
    found = peer_named(peer)
    with _lock:
        if found.name in _installed:
            return _installed[found.name]
        homes = [_home(found, name, unknown_source) for name in found.homes]
        places: list[_Place] = []
        left: list[str] = []
        for home in homes:
            defined = [name for name in digests(_path(home)) if hasattr(home, name)]
            replaced = found.names_of(defined)
            left += [f"{home.__name__}.{name}" for name in defined if name not in replaced]
            for name in replaced:
                original, new = getattr(home, name), getattr(found.ours, name)
                places += _places_of(original, new)
                if isinstance(original, type):
                    below: list[type] = original.__subclasses__()
                    left += [
                        f"{sub.__module__}.{sub.__qualname__}, a subclass of {name}"
                        for sub in below
                    ]
        for place in places:
            place.put(place.replacement, place.original)
        labels = tuple(sorted(place.label for place in places))
        _installed[found.name] = Installation(found.name, labels, tuple(sorted(left)), places)
        return _installed[found.name]


def uninstall(peer: str) -> None:
    """Undo `install`; a peer that is not installed is left as it is.

    Raises
    ------
    ValueError
        If there is no such peer.
    """
    with _lock:
        installation = _installed.get(peer_named(peer).name)
        if installation is not None:
            installation.uninstall()


def _path(module: ModuleType) -> Path:
    return Path(str(module.__file__))


def _home(peer: Peer, name: str, unknown_source: bool) -> ModuleType:
    try:
        module = import_module(name)
        if module.__file__ is None:  # a folder of the same name that is on the path by chance
            raise ImportError(f"{module!r} is a folder")
    except ImportError as error:
        where = "install it" if peer.is_package else "put the folder of its scripts on sys.path"
        raise ImportError(f"{peer.name}: {name} cannot be imported ({error}); {where}") from error
    if not unknown_source:
        require_known(peer, name, _path(module))
    return module


def _places_of(original: Any, new: Any) -> list[_Place]:
    """All that hold the original and can hold another."""
    modules = {id(vars(module)): name for name, module in list(sys.modules.items()) if module}
    places = []
    for holder in gc.get_referrers(original):
        if type(holder) is list:
            keys = [i for i, item in enumerate(holder) if item is original]
            places += [_Place(holder, key, original, new, f"a list, at {key}") for key in keys]
        elif type(holder) is dict:
            keys = [key for key, item in holder.items() if item is original]
            owner: Any = holder
            label = modules.get(id(holder))
            if label is None:
                owner = _class_of(holder) or holder  # classes are to notice their changes
                is_class = isinstance(owner, type)
                label = f"{owner.__module__}.{owner.__qualname__}" if is_class else "a dictionary"
            places += [_Place(owner, key, original, new, f"{label}.{key}") for key in keys]
    return places


def _class_of(namespace: dict[Any, Any]) -> type | None:
    """The class whose attributes a dictionary holds."""
    if "__module__" not in namespace:
        return None
    for owner in gc.get_referrers(namespace):
        if isinstance(owner, type) and namespace.keys() == vars(owner).keys():
            return owner
    return None
