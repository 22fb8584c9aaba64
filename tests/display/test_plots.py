"""The picture of scores against truth stays legible: families' colours, the best few named."""

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.colors import to_hex
from matplotlib.text import Text

from transfer_kernels.display.plots import plot_against_truth


def crowded_zoo(families, n_each):
    """Scores that agree with the accuracies but for a few, most near the best."""
    rng = np.random.default_rng(0)
    names = [f"{family}{i}-print" for family in families for i in range(n_each)]
    truth = 0.95 - 0.1 * rng.exponential(size=len(names))
    scores = truth + 0.03 * rng.normal(size=len(names))
    return dict(zip(names, scores.tolist(), strict=True)), dict(
        zip(names, truth.tolist(), strict=True)
    )


def point_colors(axes):
    return [to_hex(color) for color in axes.collections[0].get_facecolors()]


def test_thirty_models_are_told_apart():
    scores, truth = crowded_zoo(["resnet", "timm/vit_b", "cnn", "mlp", "mobilenet"], 6)
    figure = plot_against_truth({"sfda": scores}, truth)
    axes, (legend,) = figure.axes[0], figure.legends
    families = [text.get_text() for text in legend.get_texts()]
    assert families == ["cnn", "mlp", "mobilenet", "resnet", "vit"]
    colors = point_colors(axes)
    each = [set(colors[start : start + 6]) for start in range(0, 30, 6)]
    assert all(len(one) == 1 for one in each) and len(set().union(*each)) == 5
    shown = {to_hex(mark.get_color()) for mark in legend.legend_handles}
    assert shown == set(colors)

    def best(values):
        return set(sorted(values, key=values.get)[-3:])

    assert {text.get_text() for text in axes.texts} == best(scores) | best(truth)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the lines to points
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_families_beyond_the_colors_are_grey():
    scores, truth = crowded_zoo("abcdefghi", 3)
    figure = plot_against_truth({"sfda": scores}, truth)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*"abcdefg", "others"]
    assert len(set(point_colors(figure.axes[0]))) == 8


def test_unrelated_models_share_one_color():
    scores, truth = crowded_zoo("abcdefghi", 1)
    figure = plot_against_truth({"sfda": scores}, truth)
    assert not figure.legends and len(set(point_colors(figure.axes[0]))) == 1
    assert len(figure.axes[0].texts) == 9
