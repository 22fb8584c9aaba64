r"""CSV files that any reader takes, no spreadsheet runs, and from which ours restores every name.

A name may hold whatever a file name may. In a CSV file

- a text that a spreadsheet would take for a formula, as ``=A1``, ``+x``, ``-x`` or ``@x``, begins
  with an apostrophe more, by which spreadsheets mark a text; numbers do not;
- spaces and tabs at either end, which readers take away, NUL, which they refuse, and bytes that are
  no UTF-8 become ``\u0020`` and the like; a backslash that stands before such a sequence as it is
  is doubled.

All else is quoted where it must be and stays as it is.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

#: What `str.strip` takes away.
_SPACES = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_ESCAPED = re.compile(rf"\A[{_SPACES}]+|[{_SPACES}]+\Z|[\0\ud800-\udfff]")
_SEQUENCE = re.compile(
    r"(\\+)u(d[89a-f][0-9a-f]{2}|0000|" + "|".join(f"{ord(c):04x}" for c in _SPACES) + ")"
)
_BACKSLASHES_BEFORE = re.compile(rf"\\+(?=[\0\ud800-\udfff])|\\+(?=[{_SPACES}]+\Z)")
_FORMULA = re.compile("'*[=+@＝＋＠－-]")  # noqa: RUF001
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV: texts as told above; None, NaN and infinity as empty cells."""
    buffer = io.StringIO()
    # Python quotes a carriage return or line feed only where its own line ends hold them.
    writer = csv.writer(buffer, lineterminator="\r\n")
    lines = []
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        lines.append(buffer.getvalue()[:-2])
        buffer.seek(0)
        buffer.truncate()
    return "".join(f"{line}\n" for line in lines)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return written(value)
    unknown = value is None or (isinstance(value, float) and not math.isfinite(value))
    return "" if unknown else value


def written(text: str) -> str:
    """Return a text as it stands in a cell; `restored` undoes it."""
    text = _SEQUENCE.sub(lambda found: f"{found[1] * 2}u{found[2]}", text)
    text = _BACKSLASHES_BEFORE.sub(lambda found: found[0] * 2, text)
    text = _ESCAPED.sub(lambda found: "".join(f"\\u{ord(c):04x}" for c in found[0]), text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restored(cell: str) -> str:
    """Return the text that a cell stands for."""
    if cell.startswith("'") and _FORMULA.match(cell):
        cell = cell[1:]

    def plain(found: re.Match[str]) -> str:
        backslashes, odd = divmod(len(found[1]), 2)
        code = found[2]
        return "\\" * backslashes + (chr(int(code, 16)) if odd else f"u{code}")

    return _SEQUENCE.sub(plain, cell)
