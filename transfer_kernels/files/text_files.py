"""Text, JSON and tables from files of others: encodings, separators, titles, numbers."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..text.quoting import plain, several, shown
from .csv_cells import restored

_SEPARATORS = (",", ";", "\t")
_UNNAMED = re.compile(r"|unnamed: ?\d+", re.IGNORECASE)  # what pandas makes of an index
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
_GAPS = ("", "nan", "na", "n/a", "<na>", "null", "none", "-", "\u2013", "\u2014")


def read_text(path: Path) -> str:
    """Read a text in UTF-8, or in UTF-16 where its first bytes say so.

    Raises
    ------
    ValueError
        If it is in neither.
    """
    raw = path.read_bytes()
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{plain(path)}: is not UTF-8 text") from None


def read_json(path: Path) -> Any:
    """Read a JSON file; raises ValueError where it is none or is nested beyond measure."""
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"{plain(path)}: is nested too deeply for what is needed here") from None
    except ValueError as error:  # no JSON, or an integer of thousands of digits
        raise ValueError(f"{plain(path)}: is no valid JSON ({plain(str(error))})") from None


def lines_of(text: str) -> list[str]:
    """The lines of a text, whichever of the three line ends it has."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_rows(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which each row of a table ends, and its cells; empty lines are none.

    Raises
    ------
    ValueError
        If a cell is longer than Python's reader takes, or holds what it refuses.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t"
    )
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = plain(str(error))
            raise ValueError(f"{plain(path)}: line {reader.line_num} is no table ({why})") from None
        if row:
            yield reader.line_num, row


def same_title(title: str) -> str:
    """Reduce a title to what is compared: no case, no spaces around it, one kind of blank."""
    return re.sub(r"[\s_-]+", " ", title.strip()).casefold()


def split_hint(text: str) -> tuple[str, str]:
    """Part a first line ``sep=;``, which Excel reads, from a table: what it says, and the rest."""
    hint = re.match(r"sep=(.)\r?\n", text)
    return (hint[1], text[hint.end() :]) if hint else ("", text)


def separator_of(text: str, titles: Sequence[str]) -> str:
    """Guess what parts the columns: what gives one of these titles, else the most columns."""
    first = next((line for line in lines_of(text[:100_000]) if line.strip()), "")
    found = {}
    for separator in _SEPARATORS:
        try:
            cells = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            cells = []
        named = any(same_title(cell) in titles for cell in cells)
        found[separator] = (named, len(cells))
    return max(_SEPARATORS, key=lambda separator: found[separator])


@dataclass
class Table:
    """A table with titles: texts by row, the lines they are on, and how numbers are written.

    Attributes
    ----------
    path : Path
    titles : list of str
        Without the spaces around them.
    rows : list of list of str
        As many cells as titles.
    decimal_comma : bool
        Whether a cell such as ``0,5`` is a number: where commas do not part the columns.
    """

    path: Path
    titles: list[str]
    rows: list[list[str]]
    decimal_comma: bool

    def find(self, *names: str) -> int | None:
        """Return the place of the first column with one of these titles, whatever its case."""
        for name in names:
            if name in self.titles:
                return self.titles.index(name)
        titles = [same_title(title) for title in self.titles]
        for name in names:
            if same_title(name) in titles:
                return titles.index(same_title(name))
        return None

    def no_column(self, name: str) -> ValueError:
        """Return the error that there is no such column."""
        return ValueError(
            f"{plain(self.path)}: has no column {shown(name)}; its first line must name it, but "
            f"reads {several(self.titles) or 'nothing'}"
        )

    def texts(self, column: int) -> list[str]:
        """Return the cells of a column without the spaces around them."""
        return [row[column].strip() for row in self.rows]

    def names(self, column: int) -> list[str]:
        """Return the cells of a column of names, as they were before this package wrote them."""
        return [restored(text) for text in self.texts(column)]

    def cells(self, column: int) -> list[float | str]:
        """Return the cells of a column: numbers, NaN for gaps, and what is neither as a text.

        Raises
        ------
        ValueError
            If only some of the numbers end in a percent sign.
        """
        texts = self.texts(column)
        values = [as_number(text, self.decimal_comma) for text in texts]
        numbers = [t for t, v in zip(texts, values, strict=True) if v is not None and not is_gap(t)]
        if len({text.endswith("%") for text in numbers}) > 1:
            raise ValueError(
                f"{plain(self.path)}: in column {shown(self.titles[column])} some numbers end in % "
                "and others do not; write all in one unit"
            )
        return [t if v is None else v for t, v in zip(texts, values, strict=True)]

    def numbers(self, column: int, names: Sequence[str]) -> list[float]:
        """Return the numbers of a column; NaN for gaps. ``names`` tell the rows in errors.

        Raises
        ------
        ValueError
            If a cell is no number, or only some end in a percent sign.
        """
        cells = self.cells(column)
        for cell, name in zip(cells, names, strict=True):
            if isinstance(cell, str):
                raise ValueError(
                    f"{plain(self.path)}: {shown(cell)} in the row of {shown(name)} is no number "
                    f"(column {shown(self.titles[column])})"
                )
        return [float(cell) for cell in cells]


def is_gap(cell: str) -> bool:
    """Whether a cell says that nothing is known."""
    return cell.strip().casefold() in _GAPS


def as_number(cell: str, decimal_comma: bool = False) -> float | None:
    """Return a cell as a number, without its percent sign; NaN for a gap, None for a text."""
    if is_gap(cell):
        return math.nan
    text = cell.strip().removesuffix("%").strip()
    if decimal_comma and _COMMA_NUMBER.fullmatch(text):
        text = text.replace(",", ".")
    if "_" in text:  # Python reads 1_0 as 10
        return None
    try:
        return float(text)
    except ValueError:
        return None


def read_table(path: Path, keys: Sequence[str], *, filled: bool = True) -> Table:
    """Read a table whose first line has titles.

    Columns are parted by commas, semicolons or tabs; a first line ``sep=;`` says by which. A first
    column without a title, as pandas writes its index, is left out where another column has the
    title, and takes it where it holds names.

    Parameters
    ----------
    path : Path
    keys : sequence of str
        Titles, in any case, of the column that tells the rows apart; the first is what it is
        called.
    filled : bool
        Whether every row needs as many cells as there are titles.

    Raises
    ------
    ValueError
        If it is no table, a title occurs twice, or a row has too many or too few cells.
    """
    text = read_text(path)
    separator, text = split_hint(text)
    separator = separator or separator_of(text, [same_title(key) for key in keys])
    lines = read_rows(path, text, separator)
    _, titles = next(lines, (0, []))
    titles = [title.strip() for title in titles]
    rows = []
    for line, row in lines:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(titles) or (filled and len(row) < len(titles)):
            raise ValueError(
                f"{plain(path)}: line {line} has not {len(titles)} cells as the first has, but "
                f"{len(row)}"
            )
        rows.append(row + [""] * (len(titles) - len(row)))
    _drop_empty_end(titles, rows)
    _settle_index(titles, rows, keys)
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise ValueError(f"{plain(path)}: a column occurs twice in its first line: {shown(twice)}")
    return Table(path, titles, rows, separator != ",")


def _drop_empty_end(titles: list[str], rows: list[list[str]]) -> None:
    """Take away what a separator at the end of every line makes."""
    while len(titles) > 1 and titles[-1] == "" and not any(row[-1].strip() for row in rows):
        titles.pop()
        for row in rows:
            row.pop()


def _settle_index(titles: list[str], rows: list[list[str]], keys: Sequence[str]) -> None:
    if not titles or not _UNNAMED.fullmatch(titles[0]):
        return
    wanted = {same_title(key) for key in keys}
    if wanted & {same_title(title) for title in titles}:
        titles.pop(0)
        for row in rows:
            row.pop(0)
    elif not counts_up(row[0] for row in rows):
        titles[0] = keys[0]


def counts_up(cells: Iterator[str]) -> bool:
    """Whether the cells are 0, 1, 2, ..., and so no names but an index."""
    return all(cell.strip() == str(place) for place, cell in enumerate(cells))
