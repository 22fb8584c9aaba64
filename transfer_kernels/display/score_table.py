"""The table of a ranking, as text and HTML; of many metrics in blocks, by their families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from ..metrics.families import FAMILIES
from ..text.quoting import plain
from ..text.tables import cell_width, html_table, text_table
from ..text.terminal import encodable, width_of_stdout

#: Of more metrics the times are summed and the columns parted by family.
MOST_IN_ONE_TABLE = 6
#: How wide blocks of many metrics become where no terminal says it.
_WIDTH = 100
_GAP = 2


@dataclass(frozen=True)
class TableColumn:
    """A column that is read: its title, cells, side, and the cells that stay with it at its right.

    Parameters
    ----------
    title, cells, side : str, sequence of str, {"l", "r"}
    beside : sequence of TableColumn
        Such as the ranks of a score, from which no end of a line parts them.
    """

    title: str
    cells: Sequence[str]
    side: str = "r"
    beside: Sequence[TableColumn] = field(default=())

    @property
    def all(self) -> tuple[TableColumn, ...]:
        """The column, and those beside it."""
        return (self, *self.beside)

    @property
    def width(self) -> int:
        """Characters that it takes with those beside it."""
        widths = [max(map(cell_width, (one.title, *one.cells))) for one in self.all]
        return sum(widths) + _GAP * (len(widths) - 1)


@dataclass(frozen=True)
class Section:
    """Columns under one title."""

    title: str
    columns: Sequence[TableColumn]


def sections(columns: Mapping[str, TableColumn], families: Mapping[str, str]) -> list[Section]:
    """Part columns by the family of each."""
    parted = {
        family: [column for name, column in columns.items() if families[name] == family]
        for family in FAMILIES
    }
    return [Section(FAMILIES[family], part) for family, part in parted.items() if part]


def as_text(keys: Sequence[TableColumn], parts: Sequence[Section], foot: Sequence[str]) -> str:
    """Return the sections as aligned text, each as wide as the terminal or narrower.

    Every block begins with the key columns: place and model. One section that fits is one table
    without a title; where stdout is no terminal, it is not wrapped at all.
    """
    alone = len(parts) == 1
    width = width_of_stdout() or (None if alone else _WIDTH)
    blocks = []
    for part in parts:
        tables = [text_table(*_table((*keys, *some))) for some in _wrapped(keys, part, width)]
        if not alone:
            tables[0] = f"{encodable(plain(part.title, None))}\n{tables[0]}"
        blocks += tables
    return "\n\n".join([*blocks, *(encodable(plain(line, None)) for line in foot)])


def as_html(keys: Sequence[TableColumn], parts: Sequence[Section], foot: Sequence[str]) -> str:
    """Return the sections as HTML tables one below the other, each with its title as caption."""
    if len(parts) == 1 and not foot:
        return html_table(*_table((*keys, *parts[0].columns)))
    tables = [html_table(*_table((*keys, *p.columns)), caption=p.title) for p in parts]
    lines = [f"<p>{escape(plain(line, None))}</p>" for line in foot]
    return f'<div style="overflow-x: auto">{"".join([*tables, *lines])}</div>'


def _table(columns: Sequence[TableColumn]) -> tuple[list[str], list[list[str]], str]:
    """Header, rows and alignment."""
    flat = [one for column in columns for one in column.all]
    rows = [list(cells) for cells in zip(*(one.cells for one in flat), strict=True)]
    return [one.title for one in flat], rows, "".join(one.side for one in flat)


def _wrapped(
    keys: Sequence[TableColumn], part: Section, width: int | None
) -> Iterator[list[TableColumn]]:
    """The columns of a section in as many runs as the width asks for, one column at least in each.

    A last column of texts, such as errors, may be cut by the terminal: it is as long as it is.
    """
    taken = start = sum(key.width + _GAP for key in keys)
    run: list[TableColumn] = []
    for column in part.columns:
        if run and width is not None and taken + column.width > width:
            yield run
            run, taken = [], start
        run.append(column)
        taken += column.width + _GAP
    yield run
