"""Data in messages: quoted, escaped and cut, so that no file can flood or steer a terminal."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

#: Characters of one quoted value.
LONGEST_VALUE = 60
#: Characters of a path or of another library's message: enough for most, and for both ends.
LONGEST_TEXT = 300
#: Values of a list that are named.
MOST_VALUES = 6


def shown(value: Any, limit: int = LONGEST_VALUE) -> str:
    """Return the value as Python writes it, on one line of printable characters.

    Parameters
    ----------
    value : object
        Scalars of NumPy are written as Python's.
    limit : int
        Characters of a text, or of what stands for any other value, after which it is cut; the
        length of a text that is cut is told.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, bytes)):
        if len(value) <= limit:
            return repr(value)
        unit = "characters" if isinstance(value, str) else "bytes"
        return f"{value[:limit]!r}... ({len(value)} {unit})"
    short = reprlib.Repr()
    short.maxstring = short.maxother = limit
    short.maxlong = max(limit, 40)
    try:
        text = short.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = f"<{type(value).__name__}>"
    return plain(text, limit)


def plain(text: str | os.PathLike[str], limit: int | None = LONGEST_TEXT) -> str:
    """Return a text or path as it is, but for unprintable characters and what is too long.

    Parameters
    ----------
    text : str or path
        Characters that are not printable, such as escapes, line ends and bytes that are no UTF-8,
        become backslash sequences.
    limit : int, optional
        Characters after which the middle is left out; None keeps all.
    """
    text = str(text)
    if limit is not None and len(text) > limit:
        head, tail = (limit - 3) // 2, (limit - 3 + 1) // 2
        text = f"{text[:head]}...{text[len(text) - tail :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def several(
    values: Iterable[Any],
    most: int = MOST_VALUES,
    limit: int = LONGEST_VALUE,
    *,
    quoted: bool = True,
) -> str:
    """Return the first values as `shown` gives them, and how many more there are.

    Without ``quoted`` they are texts, given as `plain` gives them.
    """
    values = list(values)
    write = shown if quoted else plain
    listed = ", ".join(write(value, limit) for value in islice(values, most))
    return f"{listed} and {len(values) - most} more" if len(values) > most else listed
