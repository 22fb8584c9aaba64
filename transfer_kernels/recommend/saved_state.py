"""Fitted recommenders on disk: a folder with a JSON file and a safetensors file, no pickle.

What is read is checked whole: each entry's kind, size and range, and that none is missing or left
over. So a file that is damaged or made to harm gives one error and nothing half restored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.array_files import existing_file
from ..files.score_files import json_text, write_atomically
from ..optional_packages import require
from ..text.quoting import plain, several, shown

FORMAT = 1

#: No fit gives larger numbers, and products of three of them are still finite.
LARGEST = 1e100

_REMEDY = "copy both files anew, or fit and save again"


def save_state(
    folder: str | Path, name: str, content: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]
) -> None:
    """Write ``name.json`` and ``name.safetensors`` into a folder, which is made if need be.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    """
    packed = _safetensors().save({k: np.ascontiguousarray(array) for k, array in tensors.items()})
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.safetensors", packed)
    write_atomically(folder / f"{name}.json", json_text({"format": FORMAT, **content}, indent=1))


class SavedState:
    """What `save_state` has written; every entry is handed out once, and only if it is as it must.

    Parameters
    ----------
    folder : str or Path
    name : str
        As given to `save_state`.

    Raises
    ------
    ValueError
        If a file is damaged or of another version.
    FileNotFoundError
        If one is missing.
    """

    def __init__(self, folder: str | Path, name: str) -> None:
        self._text = Path(folder) / f"{name}.json"
        self._packed = Path(folder) / f"{name}.safetensors"
        for path in (self._text, self._packed):
            existing_file(path)
        try:
            content = json.loads(self._text.read_text(encoding="utf-8"))
            version = content.pop("format")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(
                f"{plain(self._text)}: is damaged or something else; {_REMEDY}"
            ) from None
        if type(version) is not int or version != FORMAT:
            raise ValueError(
                f"{plain(self._text)}: is of format {shown(version)}; this version of the package "
                f"reads {FORMAT}"
            )
        self._content: dict[str, Any] = content
        library = _safetensors()
        try:
            self._tensors: dict[str, NDArray[Any]] = library.load(self._packed.read_bytes())
        except Exception as error:  # the library's own kind of error
            raise ValueError(
                f"{plain(self._packed)}: is damaged ({plain(str(error))}); {_REMEDY}"
            ) from None

    # ------------------------------------------------------------------ values

    def value(self, key: str, fits: Callable[[Any], bool], what: str) -> Any:
        """Return an entry of the JSON file.

        Parameters
        ----------
        key : str
        fits : callable
            Whether it may have this value.
        what : str
            What it must be, for the error.
        """
        if key not in self._content:
            raise self.refused(key, "is missing")
        found = self._content.pop(key)
        if not fits(found):
            raise self.refused(key, f"is {shown(found)}, not {what}")
        return found

    def names(self, key: str) -> tuple[str, ...]:
        """Return an entry that lists one or more different names."""
        listed = self.value(
            key,
            lambda found: (
                isinstance(found, list)
                and len(found) > 0
                and all(isinstance(name, str) for name in found)
            ),
            "a list of names",
        )
        if len(set(listed)) < len(listed):
            twice = next(name for i, name in enumerate(listed) if name in listed[:i])
            raise self.refused(key, f"names {shown(twice)} twice")
        return tuple(listed)

    def options(self, known: Sequence[str], check: Callable[[dict[str, Any]], Any]) -> Any:
        """Return what ``check`` makes of the entry ``options``, which holds exactly those known.

        What it raises is reported as an error of the file.
        """
        options = self.value("options", lambda found: isinstance(found, dict), "an object")
        for what, names in (
            ("lacks", [name for name in known if name not in options]),
            ("holds unknown", [name for name in options if name not in known]),
        ):
            if names:
                raise self.refused("options", f"{what} {several(names)}")
        try:
            return check(options)
        except (ValueError, TypeError) as error:
            raise self.refused("options", plain(str(error))) from None

    # ------------------------------------------------------------------ tensors

    def tensor_names(self, prefix: str = "") -> list[str]:
        """Return the names of the tensors that were not yet asked for, with a prefix."""
        return [name for name in self._tensors if name.startswith(prefix)]

    def tensor(
        self,
        name: str,
        shape: tuple[int | None, ...],
        dtype: Any = np.float64,
        *,
        low: float = -LARGEST,
        high: float = LARGEST,
        gaps: bool = False,
    ) -> NDArray[Any]:
        """Return a tensor.

        Parameters
        ----------
        name : str
        shape : tuple of int or None
            None stands for any length but 0.
        dtype : dtype
        low, high : float
            What its numbers lie between, ends included.
        gaps : bool
            Whether NaN is allowed.
        """
        if name not in self._tensors:
            raise self.refused(name, "is missing", tensor=True)
        array = self._tensors.pop(name)
        fits = len(array.shape) == len(shape) and all(
            found == wanted if wanted is not None else found > 0
            for found, wanted in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise self.refused(
                name,
                f"is {array.dtype} of shape {array.shape}, not {np.dtype(dtype)} of shape "
                f"({wanted})",
                tensor=True,
            )
        inside = (array >= low) & (array <= high)
        if gaps:
            inside |= np.isnan(array)
        if not inside.all():
            place = tuple(int(i[0]) for i in np.nonzero(~inside))
            raise self.refused(
                name,
                f"holds {array[place]} at {list(place)}, which lies outside [{low:g}, {high:g}]",
                tensor=True,
            )
        return array

    def finish(self) -> None:
        """Raise unless every entry was asked for."""
        for left, tensor in ((self._content, False), (self._tensors, True)):
            if left:
                raise self.refused(next(iter(left)), "does not belong there", tensor=tensor)

    def refused(self, entry: str, why: str, *, tensor: bool = False) -> ValueError:
        """Return the error that names the file, the entry, what is wrong, and the remedy."""
        path = self._packed if tensor else self._text
        return ValueError(f"{plain(path)}: {plain(entry)} {why}; {_REMEDY}")


def is_count(value: Any, least: int = 0) -> bool:
    """Whether a value of a JSON file is a whole number of at least so much."""
    return type(value) is int and value >= least


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a finite number of a size that occurs."""
    return type(value) in (int, float) and abs(value) <= LARGEST


def _safetensors() -> Any:
    return require("safetensors.numpy", "load", use="saving and loading", extra="recommend")
