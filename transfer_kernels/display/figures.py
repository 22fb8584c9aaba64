"""What all pictures share: a figure without global state, its colours, labels, and files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.score_files import write_atomically
from ..optional_packages import require
from ..text.quoting import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
_LONGEST_LABEL = 80
INK, ACCENT, FAINT, CONTROL = "#333333", "#0b6e99", "#cccccc", "#888888"
#: Families' colours, told apart by the colour-blind too (Okabe and Ito).
FAMILY_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b8a800")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as .png, .pdf or .svg, all at once.

    Raises
    ------
    ValueError
        If the suffix is another one.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path}: pictures are written as {', '.join(FORMATS)}")
    picture = io.BytesIO()
    figure.savefig(picture, format=suffix[1:])
    write_atomically(path, picture.getvalue())


def require_matplotlib() -> None:
    """Raise an ImportError that names the remedy if matplotlib is missing or does not load."""
    require("matplotlib.figure", "Figure", use="plotting", extra="plot")


def label(text: str) -> str:
    """Return a name as it can be drawn: printable, not too long, its dollar signs no formula."""
    return plain(text, _LONGEST_LABEL).replace("$", r"\$")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches that pyplot does not know of."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def strip(axes: Axes) -> None:
    """Take the frame away, but for its two axes, and lay a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
