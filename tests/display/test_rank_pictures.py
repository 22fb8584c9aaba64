"""The pictures of many metrics stay legible: no text on another, with thirty models by all."""

import itertools
import math

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.text import Text
from thirty_models import MODELS, thirty_models

from transfer_kernels.display.rank_pictures import plot_agreement, plot_ranks
from transfer_kernels.metrics import METRICS
from transfer_kernels.metrics.families import FAMILIES

CONSTANT = [1.0] * 30
HOLED = [math.nan, *map(float, range(29))]


def texts(figure):
    found = figure.findobj(lambda a: isinstance(a, Text) and a.get_visible() and a.get_text())
    return [text for text in found if text.get_text().strip()]


def assert_legible(figure, at_least=60):
    figure.draw_without_rendering()
    frame = figure.bbox
    drawn = [(text, text.get_window_extent()) for text in texts(figure)]
    assert len(drawn) >= at_least
    for text, box in drawn:
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert inside and frame.y0 <= box.y0 and box.y1 <= frame.y1, text
    for (one, a), (other, b) in itertools.combinations(drawn, 2):
        assert not a.overlaps(b), (one, other)


@pytest.mark.parametrize("changed", [{}, {"loss": CONSTANT, "dds": HOLED}])
def test_thirty_models_by_every_metric_are_legible(changed):
    ranking = thirty_models(**changed)
    assert len(ranking.metrics) >= 26 and len(ranking) == 30
    assert_legible(ranking.plot_ranks())
    assert_legible(ranking.plot_agreement())


def test_the_longest_numbers_are_legible():
    opposed = {m: [float(i if k % 2 else -i) for i in range(30)] for k, m in enumerate(METRICS)}
    figure = thirty_models(**opposed).plot_agreement()
    assert {t.get_text() for t in figure.axes[0].texts} == {"1.00", "-1.00"}
    assert_legible(figure)


def test_few_models_by_few_metrics_are_legible():
    columns = {"sfda": [1.0, 2.0], "etran_energy": [2.0, 1.0], "pactran_mixture": [1.0, 1.0]}
    models = ["a", "facebook/dinov2-" + "long" * 5]
    table = {m: dict(zip(models, values, strict=True)) for m, values in columns.items()}
    families = {metric: METRICS[metric].family for metric in table}
    mean = {"a": 1.5, models[1]: 1.5}
    assert_legible(plot_ranks(table, models, families, mean, {"pactran_mixture": "x"}), 12)
    assert_legible(plot_agreement(table), 6)


def test_ranks_are_those_of_the_ranking():
    ranking = thirty_models(loss=CONSTANT, dds=HOLED)
    figure = ranking.plot_ranks()
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == [row.name for row in ranking]
    ticks = {t.get_text(): t for t in axes.get_xticklabels()}
    x = dict(zip(ticks, axes.get_xticks(), strict=True))
    assert set(ticks) == {"mean rank", *METRICS}
    families = [METRICS[name].family for name in list(ticks)[1:]]
    assert [family for family, _ in itertools.groupby(families)] == list(FAMILIES)
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == list(FAMILIES.values())
    written = {tuple(np.round(t.get_position(), 6)): t.get_text() for t in axes.texts}
    for metric in ("sfda", "dds"):
        ranks = ranking.ranks(metric)
        for row, model in enumerate(ranking):
            rank = ranks.get(model.name)
            cell = written.get((round(x[metric], 6), row))
            assert cell == (None if rank is None else str(rank))
    assert written[round(x["loss"], 6), 0] == "15.5"  # thirty equal ones share the mean place
    assert ticks["loss"].get_color() == ticks["dds"].get_color() != ticks["sfda"].get_color()


def test_agreement_puts_similar_metrics_side_by_side():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=30), rng.normal(size=30)
    columns = {
        "a": first,
        "b": second,
        "c": np.exp(first),
        "d": -second,
        "e": second**3,
        "none": CONSTANT,
    }
    table = {name: dict(zip(MODELS, map(float, v), strict=True)) for name, v in columns.items()}
    axes = plot_agreement(table).axes[0]
    names = [t.get_text() for t in axes.get_xticklabels()]
    assert set(names) == set("abcde") and "none" in axes.get_xlabel()
    assert abs(names.index("a") - names.index("c")) == abs(names.index("b") - names.index("e")) == 1
    found = np.asarray(axes.images[0].get_array())
    assert found[names.index("a"), names.index("c")] == pytest.approx(1.0)
    assert found[names.index("b"), names.index("d")] == pytest.approx(-1.0)
    assert np.array_equal(found, found.T)


def test_metrics_without_models_in_common_have_an_empty_cell():
    table = {
        "a": {"x": 1.0, "y": 2.0, "z": math.nan, "w": math.nan},
        "b": {"x": math.nan, "y": math.nan, "z": 2.0, "w": 1.0},
    }
    shown = np.ma.masked_invalid(plot_agreement(table).axes[0].images[0].get_array())
    assert shown.mask.tolist() == [[False, True], [True, False]]


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="fewer than two metrics tell models apart"):
        plot_agreement({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0, "y": 1.0}})
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_ranks({}, ["x"], {})


def test_hundreds_of_models_have_colours_only():
    rng = np.random.default_rng(0)
    models = [f"m{i}" for i in range(150)]
    table = {"sfda": dict(zip(models, rng.normal(size=150).tolist(), strict=True))}
    figure = plot_ranks(table, models, {"sfda": "features"})
    assert not figure.axes[0].texts and len(figure.axes[0].get_yticklabels()) == 150
