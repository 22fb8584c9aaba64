"""Scores on disk: a journal of every finished score, and whole files that appear at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_DIGESTED_ROWS = 4096  # at a time, so that a memory-mapped array stays on disk


class JournalEntry(NamedTuple):
    """A finished score, the seconds it took, and why it says little if it does."""

    score: float
    seconds: float
    warning: str | None = None


class Journal:
    """Finished scores, one JSON line each, appended as soon as there is one.

    A run that is interrupted loses nothing: the next one finds every score whose *key* is
    unchanged. A key is a flat dictionary that names all that the score depends on. Lines that
    cannot be read, such as one cut short by a crash, are passed over.

    Parameters
    ----------
    path : str or Path
        The file; made when the first score is added.

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
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8", errors="replace")
            self._needs_newline = bool(text) and not text.endswith("\n")
            for line in text.splitlines():
                self._read(line)

    def get(self, key: Mapping[str, Any]) -> JournalEntry | None:
        """Return the score under this key, or None."""
        entry = self._entries.get(_canonical(key))
        self.reused += entry is not None
        return entry

    def add(self, key: Mapping[str, Any], entry: JournalEntry) -> None:
        """Append a score."""
        line = json.dumps({**key, **entry._asdict()}, sort_keys=True) + "\n"
        if self._needs_newline:
            line, self._needs_newline = "\n" + line, False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._is_outdated:
            self.path.unlink(missing_ok=True)
            self._is_outdated = False
        # One unbuffered append, so that neither a signal nor a second run can split a line.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
        self._entries[_canonical(key)] = entry

    def clear(self) -> None:
        """Forget all scores; the file follows when the next score is added."""
        self._entries.clear()
        self._is_outdated = True

    def _read(self, line: str) -> None:
        try:
            key = json.loads(line)
            score, seconds = float(key.pop("score")), float(key.pop("seconds"))
            entry = JournalEntry(score, seconds, key.pop("warning"))
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        self._entries[_canonical(key)] = entry


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

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written; the old file is then untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
