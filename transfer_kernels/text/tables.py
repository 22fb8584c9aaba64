"""Plain text and HTML tables, and how scores and times are written in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .quoting import plain
from .terminal import encodable

MISSING = "–"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Return an aligned table with a rule under its header.

    What is not printable becomes backslash codes, and so does what stdout cannot encode, so that
    printing the table neither steers a terminal nor fails.

    Parameters
    ----------
    header : sequence of str
        One title per column.
    rows : sequence of sequence of str
        The cells, as many per row as there are titles.
    align : str
        One letter per column: ``"l"`` or ``"r"``.
    """
    header, *rows = [[encodable(plain(cell, None)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(cells, widths, align, strict=True)
        )
        return "  ".join(padded).rstrip()

    rule = "  ".join(encodable("─") * width for width in widths)
    return "\n".join([line(header), rule, *map(line, rows)])


def cell_width(text: str) -> int:
    """Characters that a cell takes in a text table."""
    return len(encodable(plain(text, None)))


def html_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], align: str, caption: str = ""
) -> str:
    """Return the same table as HTML, with a caption if there is one; all texts are escaped."""
    sides = ["left" if side == "l" else "right" for side in align]

    def line(tag: str, cells: Sequence[str]) -> str:
        inner = (
            f'<{tag} style="text-align: {side}">{escape(plain(cell, None))}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    body = "".join(line("td", row) for row in rows)
    title = f"<caption>{escape(plain(caption, None))}</caption>" if caption else ""
    return f"<table>{title}<thead>{line('th', header)}</thead><tbody>{body}</tbody></table>"


def format_scores(values: Sequence[float]) -> list[str]:
    """Write a column of scores with as few decimals (4 to 8) as keep different ones different."""
    finite = {value for value in values if math.isfinite(value)}
    for decimals in range(4, 9):
        if len({f"{value:.{decimals}f}" for value in finite}) == len(finite):
            break
    return [MISSING if math.isnan(value) else f"{value:.{decimals}f}" for value in values]


def format_seconds(seconds: float) -> str:
    """Write a duration with two or three digits and its unit."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 0.0995:
        return f"{1e3 * seconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 99.5 else f"{seconds:.0f} s"
