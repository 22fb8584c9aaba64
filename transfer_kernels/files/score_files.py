"""Scores on disk: a journal of every finished score, and whole files that appear at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..text.quoting import plain

_DIGESTED_ROWS = 4096  # at a time, so that a memory-mapped array stays on disk


class JournalEntry(NamedTuple):
    """A finished score, the seconds it took, and why it says little if it does.

    Of a metric that compares models, its parts by name; the score is then NaN.
    """

    score: float
    seconds: float
    warning: str | None = None
    parts: Mapping[str, float] | None = None


class Journal:
    """Finished scores, one JSON line each, appended as soon as there is one.

    A run that is interrupted loses nothing: the next one finds every score whose *key* is
    unchanged. A key is a flat dictionary that names all that the score depends on. Lines that
    cannot be read, such as one cut short by a crash, are passed over with one warning.

    Parameters
    ----------
    path : str or Path
        The file; made when the first score is added.

    Raises
    ------
    ValueError
        If there is something else than a file, such as a folder or a pipe.
    OSError
        If it cannot be read.

    Attributes
    ----------
    path : Path
    reused : int
        Scores that were asked for and found.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.reused = 0
        self._entries: dict[str, JournalEntry] = {}
        self._needs_newline = self._is_outdated = False
        if not self.path.exists():
            return
        if not self.path.is_file():  # a pipe would be waited for, and for ever
            raise ValueError(f"journal: {plain(self.path)} is no file; name one, or a new one")
        text = self.path.read_text(encoding="utf-8", errors="replace")
        self._needs_newline = bool(text) and not text.endswith("\n")
        bad = [
            number
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip() and not self._read(line)
        ]
        if bad:
            others = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            warnings.warn(
                f"journal: line {bad[0]}{others} of {plain(self.path)} cannot be read, as when a "
                "run is cut off; what stood there is scored anew",
                RuntimeWarning,
                stacklevel=3,
            )

    def get(self, key: Mapping[str, Any]) -> JournalEntry | None:
        """Return the score under this key, or None."""
        entry = self._entries.get(_canonical(key))
        self.reused += entry is not None
        return entry

    def add(self, key: Mapping[str, Any], entry: JournalEntry) -> None:
        """Append a score.

        Raises
        ------
        OSError
            If the file cannot be written; it names the file.
        """
        self._entries[_canonical(key)] = entry
        found = {name: value for name, value in entry._asdict().items() if name != "parts"}
        if entry.parts is not None:
            found["parts"] = dict(entry.parts)
        line = json.dumps({**key, **found}, sort_keys=True) + "\n"
        if self._needs_newline:
            line = "\n" + line
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_outdated:
            self.path.unlink(missing_ok=True)
            self._is_outdated = False
        # One unbuffered append, so that neither a signal nor a second run can split a line.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            content = line.encode()
            while content:
                self._needs_newline = True  # should the disk fill up within the line
                content = content[os.write(descriptor, content) :]
            self._needs_newline = False
        except OSError as error:
            raise _named(error, self.path) from None
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Forget all scores; the file follows when the next score is added."""
        self._entries.clear()
        self._is_outdated = True

    def _read(self, line: str) -> bool:
        """Take the entry of a line; false where it holds none."""
        try:
            key = json.loads(line)
            score, seconds, warning = key.pop("score"), key.pop("seconds"), key.pop("warning")
            if not isinstance(warning, str | None) or bool in (type(score), type(seconds)):
                return False
            parts = key.pop("parts", None)
            if parts is not None:
                parts = {name: float(value) for name, value in parts.items()}
            entry = JournalEntry(float(score), float(seconds), warning, parts)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return False
        self._entries[_canonical(key)] = entry
        return True


def _named(error: OSError, path: Path) -> OSError:
    """The same error with the file that it is about, which Python leaves out of failed writes."""
    if error.errno is None:
        return OSError(f"{path}: {error}")
    return OSError(error.errno, error.strerror, str(path))


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(dict(key), sort_keys=True)


def file_stamp(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what tells that a file is unchanged: its place, size and time of modification."""
    status = os.stat(path)
    return {
        "file": str(Path(path).resolve()),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def array_digest(array: Any) -> str:
    """Return a digest of the type, shape and values of an array, a tensor or a list."""
    if not hasattr(array, "dtype"):
        array = np.asarray(array)
    digest = hashlib.blake2b(f"{array.dtype} {tuple(array.shape)}".encode(), digest_size=16)
    array = array.reshape(-1, 1) if array.ndim == 0 else array
    for start in range(0, len(array), _DIGESTED_ROWS):
        rows = array[start : start + _DIGESTED_ROWS]
        if hasattr(rows, "detach"):  # a tensor; float64 holds the values of all its types
            rows = rows.detach().cpu().double().numpy()
        rows = np.asarray(rows)
        exact = repr(rows.tolist()).encode() if rows.dtype.hasobject else rows.tobytes()
        digest.update(exact)
    return digest.hexdigest()


_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(content: Any, indent: int | None = None) -> str:
    """Return JSON that is always UTF-8: readable, but for what no encoding holds, as ``\\udcff``.

    Such characters stand for the bytes of file names that are not UTF-8. NumPy's numbers become
    Python's.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, default=_as_plain)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _as_plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a whole file, so that a reader sees the old one or the new one and nothing between.

    A link stays one: what it leads to is written. What is no file, such as a device, is written as
    it is.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written, or the disk is full; the old file is then
        untouched. It names the file.
    """
    given, path = Path(path), Path(os.path.realpath(path))
    raw = content.encode("utf-8") if isinstance(content, str) else content
    if given.exists() and not given.is_file() and not given.is_dir():
        try:
            given.write_bytes(raw)
        except OSError as error:
            raise _named(error, given) from None
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())  # what a full disk or a quota refuses is told by now
        os.replace(temporary, path)
    except OSError as error:
        raise _named(error, given) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
