"""Pictures of many metrics at once: the models' ranks by each, and how far metrics agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..evaluation.measures import mean_ranks, spearman
from ..metrics.families import FAMILIES
from .figures import CONTROL, FAINT, FAMILY_COLORS, INK, label, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Columns = Mapping[str, Mapping[str, float]]

#: Inches of a cell, wide enough for its number and high enough for the name beside it.
_WIDE, _HIGH = 0.32, 0.21
#: Of more models the cells hold no numbers.
_MOST_NUMBERED = 99
_GAP = 0.35  # between families, in cells


def plot_ranks(
    table: Columns,
    models: Sequence[str],
    families: Mapping[str, str],
    mean: Mapping[str, float] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the ranks of models by every metric as a heat map, the best dark.

    Parameters
    ----------
    table : mapping of str to mapping of str to float
        Metric to model to score; a model without a finite score has an empty cell.
    models : sequence of str
        The rows, from above.
    families : mapping of str to str
        Metric to its family, a key of ``transfer_kernels.metrics.families.FAMILIES``. A family's
        metrics stand together, in the order of the table.
    mean : mapping of str to float, optional
        Mean rank by model: a first column of numbers.
    left_out : mapping of str to str, optional
        Metrics that do not enter the mean, whose names are grey.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no metric or no model.
    """
    if not table or not models:
        raise ValueError("table: there is no metric or no model, so there is nothing to draw")
    from matplotlib.patches import Patch, Rectangle

    grouped = {f: [m for m in table if families[m] == f] for f in FAMILIES}
    colors = dict(zip(FAMILIES, FAMILY_COLORS, strict=False))
    grouped = {family: members for family, members in grouped.items() if members}
    n_cells = len(table) + _GAP * len(grouped) + 1
    named = max(map(len, map(label, models)))
    figure = new_figure(
        max(_WIDE * n_cells + 0.08 * named + 0.4, 4.6),
        _HIGH * len(models) + 0.08 * max(map(len, table)) + 1.2,
    )
    axes = figure.subplots()
    left, ticks = 0.0, {}
    if mean:
        ticks["mean rank"] = (left, INK)
        for row, model in enumerate(models):
            value = mean.get(model, math.nan)
            if math.isfinite(value):
                _write(axes, left, row, f"{value:.1f}", INK)
        left += 1 + _GAP
    for family, members in grouped.items():
        axes.add_patch(
            Rectangle((left - 0.5, -1.15), len(members), 0.4, color=colors[family], clip_on=False)
        )
        for metric in members:
            _draw_ranks(axes, left, table[metric], models)
            ticks[metric] = (left, CONTROL if metric in (left_out or {}) else INK)
            left += 1
        left += _GAP
    axes.set_xlim(-0.5, left - _GAP - 0.5)
    axes.set_ylim(len(models) - 0.5, -1.2)
    axes.set_yticks(range(len(models)), [label(model) for model in models], fontsize=8)
    axes.set_xticks([x for x, _ in ticks.values()], [label(m) for m in ticks], fontsize=8)
    for text, (_, color) in zip(axes.get_xticklabels(), ticks.values(), strict=True):
        text.set(rotation=90, color=color)
    _bare(axes)
    greys = any(metric in (left_out or {}) for metric in table)
    if greys:
        axes.set_xlabel("grey names: not in the mean rank", fontsize=8, color=CONTROL)
    figure.legend(
        handles=[Patch(color=colors[family], label=FAMILIES[family]) for family in grouped],
        loc="outside upper center",
        ncols=min(3, len(grouped)) if n_cells > 12 else 1,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )
    return figure


def plot_agreement(table: Columns) -> Figure:
    """Draw Spearman's correlation between metrics, ordered by hierarchical clustering.

    The distance of two metrics is 1 less their correlation, clusters are joined by their mean
    distance, and the order puts the most similar side by side (SciPy's ``optimal_ordering``). Each
    pair is compared on the models that have a score in both.

    Parameters
    ----------
    table : mapping of str to mapping of str to float
        Metric to model to score. Metrics whose finite scores are all equal are left out and named
        below.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If fewer than two metrics tell models apart.
    """
    kept = [metric for metric, column in table.items() if len(_finite(column)) > 1]
    if len(kept) < 2:
        raise ValueError("table: fewer than two metrics tell models apart, so nothing to compare")
    order, found = _clustered({metric: table[metric] for metric in kept})
    names = [label(metric) for metric in order]
    longest = 0.08 * max(map(len, names))
    side = _WIDE * len(names) + longest
    figure = new_figure(max(side + 1.4, 4.6), max(side + 0.6, 3.4))
    axes = figure.subplots()
    colors = _colors("RdBu")
    image = axes.imshow(found, cmap=colors, vmin=-1.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(found):
        if math.isfinite(value) and row != column:
            ink = "white" if abs(value) > 0.6 else INK
            _write(axes, column, row, _short(value), ink, 5.5)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=8, color=INK)
    _bare(axes)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=18, ticks=[-1, 0, 1])
    bar.set_label("Spearman's correlation", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    if without := [label(metric) for metric in table if metric not in kept]:
        axes.set_xlabel(
            "left out, since they order nothing:\n" + "\n".join(without), fontsize=8, color=CONTROL
        )
    return figure


def _finite(column: Mapping[str, float]) -> set[float]:
    return {score for score in column.values() if math.isfinite(score)}


def _clustered(table: Columns) -> tuple[list[str], NDArray[np.float64]]:
    """The metrics, similar ones side by side, and their correlations in that order.

    A correlation that is not defined, for want of models in common, is NaN, and counts as 0 where
    metrics are ordered.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    names = list(table)
    found = np.eye(len(names))
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            found[i, j] = found[j, i] = _correlation(table[one], table[other])
    distances = squareform(1.0 - np.nan_to_num(found), checks=False)
    order = leaves_list(linkage(distances, "average", optimal_ordering=True))
    return [names[place] for place in order], found[np.ix_(order, order)]


def _correlation(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    shared = [m for m in one if math.isfinite(one[m]) and math.isfinite(other.get(m, math.nan))]
    pair = [[column[model] for model in shared] for column in (one, other)]
    if any(len(set(values)) < 2 for values in pair):
        return math.nan
    return spearman(*pair)


def _draw_ranks(
    axes: Axes, left: float, column: Mapping[str, float], models: Sequence[str]
) -> None:
    """One column of cells, coloured from the best to the last of those with a score."""
    known = [row for row, model in enumerate(models) if math.isfinite(column[models[row]])]
    ranks = mean_ranks(-np.array([column[models[row]] for row in known], dtype=np.float64))
    shades = np.full((len(models), 1), np.nan)
    shades[known, 0] = (ranks - 1.0) / max(len(known) - 1, 1)
    edges = (left - 0.5, left + 0.5, len(models) - 0.5, -0.5)
    axes.imshow(
        shades,
        cmap=_colors("viridis"),
        vmin=0.0,
        vmax=1.0,
        extent=edges,
        aspect="auto",
        interpolation="nearest",
    )
    if len(models) > _MOST_NUMBERED:
        return
    for row, rank in zip(known, ranks.tolist(), strict=True):
        ink = "white" if shades[row, 0] < 0.55 else INK
        _write(axes, left, row, f"{rank:g}", ink)


def _short(correlation: float) -> str:
    """Two decimals without the zero before them."""
    text = f"{correlation:.2f}".replace("0.", ".", 1)
    return text.replace("-.00", ".00")


def _write(axes: Axes, x: float, y: float, text: str, color: str, size: float = 6.5) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=size, color=color)


def _colors(name: str) -> Colormap:
    """A map of colours in which what is missing is grey."""
    import matplotlib

    return matplotlib.colormaps[name].with_extremes(bad=FAINT)


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
