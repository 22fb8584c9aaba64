"""Pictures of scores and recommenders, as matplotlib figures; no global state is touched."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..evaluation.measures import evaluate
from .figures import (
    ACCENT,
    CONTROL,
    FAMILY_COLORS,
    FORMATS,
    INK,
    label,
    new_figure,
    require_matplotlib,
    save_figure,
    strip,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..evaluation.yardstick import Comparison

__all__ = [
    "FORMATS",
    "plot_against_truth",
    "plot_comparison",
    "plot_frontier",
    "plot_ranking",
    "require_matplotlib",
    "save_figure",
]

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels

#: A panel has room to name so many models; of more, so many of the highest score and truly best.
_MOST_NAMES, _BEST_NAMES = 12, 3
#: Of a name's places so many touch its point; from those farther away a line leads to it.
_BESIDE = 8
#: A name on a name is worse than one on points.
_NAMES_OVER_POINTS = 4
_LEADER = {"arrowstyle": "-", "color": CONTROL, "linewidth": 0.6, "shrinkB": 3.0}


def plot_ranking(scores: Mapping[str, float], title: str = "score") -> Figure:
    """Draw the scores of a zoo as a dot chart, best model on top.

    Parameters
    ----------
    scores : mapping of str to float
        Model name to score; models without a finite score are left out.
    title : str
        What the scores are.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If no score is finite.
    """
    finite = {name: score for name, score in scores.items() if math.isfinite(score)}
    if not finite:
        raise ValueError("scores: none is finite, so there is nothing to draw")
    names = sorted(finite, key=finite.__getitem__)
    figure = new_figure(6.4, 0.9 + 0.24 * len(names))
    axes = figure.subplots()
    axes.plot([finite[name] for name in names], range(len(names)), "o", color=ACCENT)
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlabel(label(title))
    strip(axes)
    return figure


def plot_against_truth(
    columns: Mapping[str, Mapping[str, float]], accuracies: Mapping[str, float]
) -> Figure:
    """Draw scores against true accuracies, one panel per score.

    Models of a family, told by the letters that their names begin with, share a colour. Of up to
    12 models all are named; of more, the three of the highest score and the three truly best.

    Parameters
    ----------
    columns : mapping of str to mapping of str to float
        Name of a score to its values by model; models without a finite score are left out.
    accuracies : mapping of str to float
        True accuracies by model name; models without one are left out.

    Returns
    -------
    matplotlib.figure.Figure
        The title of a panel gives the weighted Kendall tau (of ``evaluation.weighted_kendall``).

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a score has fewer than two models in common with ``accuracies``.
    """
    if not columns:
        raise ValueError("columns: no score has two models in common with the true accuracies")
    n_columns = min(len(columns), 2)
    n_rows = math.ceil(len(columns) / n_columns)
    figure = new_figure(5.6 * n_columns, 4.4 * n_rows)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    drawn = [
        {n: s for n, s in scores.items() if math.isfinite(s) and n in accuracies}
        for scores in columns.values()
    ]
    colors = _family_colors(set().union(*drawn))
    for axes, title, shared in zip(panels, columns, drawn, strict=False):
        truth = {name: accuracies[name] for name in shared}
        tau = evaluate(shared, truth).weighted_kendall
        axes.scatter(
            list(shared.values()),
            list(truth.values()),
            s=34,
            color=[colors.get(_family(n), CONTROL if colors else ACCENT) for n in shared],
            edgecolors="white",
            linewidths=0.6,
            zorder=2,
        )
        axes.margins(0.12)
        axes.set_title(f"{label(title)}: weighted τ = {tau:.2f}", color=INK, fontsize=11)
        axes.set_xlabel(label(title))
        axes.set_ylabel("true accuracy")
        strip(axes)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    if len(colors) > 1:
        others = any(_family(name) not in colors for shared in drawn for name in shared)
        _explain_colors(figure, {**colors, "others": CONTROL} if others else colors)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the points stay where they are now
    for axes, shared in zip(panels, drawn, strict=False):
        _name_points(figure, axes, shared, {name: accuracies[name] for name in shared})
    return figure


def plot_comparison(comparison: Comparison, figure: str = "weighted_kendall") -> Figure:
    """Draw recommenders as rows, best mean on top: the tasks' values, the mean and its interval.

    Controls are grey.

    Parameters
    ----------
    comparison : transfer_kernels.evaluation.yardstick.Comparison
    figure : str
        One of ``comparison.figures``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the figure is unknown or defined for no recommender.
    """
    means = {name: comparison.mean(name, figure) for name in comparison.recommenders}
    means = {name: value for name, value in means.items() if math.isfinite(value)}
    if not means:
        raise ValueError(f"figure: {figure} is defined for no recommender here")
    names = sorted(means, key=means.__getitem__)
    drawing = new_figure(7.2, 1.1 + 0.34 * len(names))
    axes = drawing.subplots()
    for place, name in enumerate(names):
        color = CONTROL if name.endswith("(control)") else ACCENT
        values = [v for v in comparison.values(name, figure).values() if math.isfinite(v)]
        axes.plot(values, [place] * len(values), "|", color=color, alpha=0.45, markersize=9)
        axes.plot(comparison.interval(name, figure), [place, place], color=color, linewidth=2.5)
        axes.plot(means[name], place, "o", color=color, markersize=7)
        axes.annotate(
            f"{means[name]:.3f}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            verticalalignment="center",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"{figure.replace('_', ' ')} of {len(comparison.tasks)} held-out tasks")
    strip(axes)
    return drawing


def plot_frontier(
    comparison: Comparison, figure: str = "weighted_kendall", cost: str = "models_run"
) -> Figure:
    """Draw recommenders by what they cost and how good they are, with intervals and the frontier.

    Controls are grey; the line joins those than which nothing as cheap is better.

    Parameters
    ----------
    comparison : transfer_kernels.evaluation.yardstick.Comparison
    figure : str
        One of ``comparison.figures``.
    cost : {"models_run", "seconds"}

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the figure or cost is unknown, or known of no recommender.
    """
    best = comparison.frontier(figure, cost)
    if not best:
        raise ValueError(f"cost: {cost} and {figure} are known of no recommender here")
    points = {
        name: (comparison.cost(name, cost), comparison.mean(name, figure))
        for name in comparison.recommenders
    }
    points = {name: both for name, both in points.items() if all(map(math.isfinite, both))}
    named = [*best, *_best_controls(points, figure)]
    drawing = new_figure(8.0, 5.0)
    axes = drawing.subplots()
    for name, (price, value) in points.items():
        color = CONTROL if name.endswith("(control)") else ACCENT
        if name not in named:
            axes.plot(price, value, "o", color=color, markersize=4, alpha=0.4)
            continue
        axes.plot([price] * 2, comparison.interval(name, figure), color=color, alpha=0.4)
        axes.plot(price, value, "o", color=color, markersize=7)
        on_frontier = name in best
        axes.annotate(
            label(name),
            (price, value),
            xytext=(6, 6 if on_frontier else -6),
            textcoords="offset points",
            verticalalignment="bottom" if on_frontier else "top",
            fontsize=8,
            color=color,
        )
    line = [points[name] for name in best]
    axes.plot(*zip(*line, strict=True), color=ACCENT, linewidth=1.2, drawstyle="steps-post")
    # Names stand to the right of their points; a linear scale would crowd the few runs.
    axes.set_xscale("symlog", linthresh=1.0)
    prices = sorted({price for price, _ in points.values()})
    if cost == "models_run":
        axes.set_xticks(prices, [f"{price:g}" for price in prices])
        axes.minorticks_off()
    axes.set_xlim(-0.15, prices[-1] * 6 + 1)
    values = [points[name][1] for name in named]
    room = 0.15 * (max(values) - min(values)) + 1e-3
    axes.set_ylim(min(values) - 2 * room, max(values) + 2 * room)
    axes.set_xlabel({"models_run": "models run on the new task", "seconds": "seconds"}[cost])
    axes.set_ylabel(f"{figure.replace('_', ' ')} of {len(comparison.tasks)} held-out tasks")
    strip(axes)
    return drawing


def _best_controls(points: Mapping[str, tuple[float, float]], figure: str) -> list[str]:
    """The best control at every cost."""
    sign = -1.0 if figure.startswith("regret") else 1.0
    found: dict[float, str] = {}
    for name, (price, value) in points.items():
        if not name.endswith("(control)"):
            continue
        if price not in found or sign * value > sign * points[found[price]][1]:
            found[price] = name
    return list(found.values())


def _family(name: str) -> str:
    """The letters that a model's name begins with: "resnet" of resnet50 and timm/resnet18."""
    letters = re.match(r"[^\W\d_]+", name.rpartition("/")[2])
    return letters.group().lower() if letters else name


def _family_colors(names: Iterable[str]) -> dict[str, str]:
    """Colours of the largest families; of none where hardly two models are of one."""
    sizes = Counter(map(_family, names))
    if 2 * len(sizes) > sizes.total():
        return {}
    largest = sorted(sizes, key=lambda family: (-sizes[family], family))[: len(FAMILY_COLORS)]
    return dict(zip(sorted(largest), FAMILY_COLORS, strict=False))


def _explain_colors(figure: Figure, colors: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=color, label=label(family), marker="o", linestyle="none", markersize=6)
        for family, color in colors.items()
    ]
    figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=len(colors),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def _name_points(
    figure: Figure, axes: Axes, x: Mapping[str, float], y: Mapping[str, float]
) -> None:
    """Write the best names beside their points, where they cover the fewest names and points."""
    points = {name: axes.transData.transform((x[name], y[name])) for name in x}
    frame = axes.get_window_extent()
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in points.values()]
    for name in _named(x, y):
        px, py = points[name]
        text = axes.text(0.0, 0.0, label(name), fontsize=8, color=INK)
        extent = text.get_window_extent()
        width, height = extent.width, extent.height
        text.remove()
        places = [(px + dx, py + dy) for dx, dy in _offsets(width, height)]
        boxes = [(left, below, left + width, below + height) for left, below in places]
        box = min(boxes, key=lambda box: _clutter(box, frame.extents, taken))
        far = boxes.index(box) >= _BESIDE
        axes.annotate(
            label(name),
            (x[name], y[name]),
            (72.0 / figure.dpi * (box[0] - px), 72.0 / figure.dpi * (box[1] - py)),
            textcoords="offset points",
            verticalalignment="bottom",
            fontsize=8,
            color=INK,
            arrowprops=_LEADER if far else None,
        )
        taken += [box] * _NAMES_OVER_POINTS


def _named(x: Mapping[str, float], y: Mapping[str, float]) -> list[str]:
    """Models to name, those of the highest score first."""
    by_score = sorted(x, key=x.__getitem__, reverse=True)
    if len(by_score) <= _MOST_NAMES:
        return by_score
    truly_best = sorted(y, key=y.__getitem__, reverse=True)[:_BEST_NAMES]
    return list(dict.fromkeys(by_score[:_BEST_NAMES] + truly_best))


def _offsets(width: float, height: float) -> list[tuple[float, float]]:
    """Places of a name's lower left corner around its point, in pixels, the best liked first."""
    places = []
    for gap in (9.0, 24.0, 42.0, 64.0, 90.0, 120.0):
        left, right, below, above = -width - gap, gap, -height - gap, gap
        places += [(right, -height / 2), (left, -height / 2), (-width / 2, above)]
        places += [
            (-width / 2, below),
            (right, above),
            (right, below),
            (left, above),
            (left, below),
        ]
    return places


def _clutter(box: Box, frame: Box, taken: Sequence[Box]) -> float:
    """Area of a box that is taken or outside the frame, in pixels."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_overlap(box, other) for other in taken) + area - _overlap(box, frame)


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
