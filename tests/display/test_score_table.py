"""The table of a ranking by many metrics: by family, in blocks no wider than the terminal."""

import math

import pytest
from thirty_models import MODELS, thirty_models

from transfer_kernels.metrics import METRICS, Metric
from transfer_kernels.metrics.families import FAMILIES
from transfer_kernels.zoo.ranking import ModelScores, Ranking

HOLED = [math.nan, *map(float, range(29))]


def blocks(ranking):
    return [block.splitlines() for block in str(ranking).split("\n\n")]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_all_metrics_fit_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    ranking = thirty_models(loss=[0.0] * 30)
    text = str(ranking)
    assert max(map(len, text.splitlines())) <= width
    *tables, foot = blocks(ranking)
    titles = [table[0] for table in tables if not table[0].lstrip().startswith("#")]
    assert titles == ["over all metrics", *FAMILIES.values()]
    headers = [table[0] if table[0].lstrip().startswith("#") else table[1] for table in tables]
    shown = [word for header in headers for word in header.split() if word in METRICS]
    assert sorted(shown) == sorted(METRICS)
    for table in tables:
        rows = table[-30:]
        assert [line.split()[1] for line in rows] == [row.name for row in ranking]
    assert foot == ["not in the mean #: loss (the same for all models)"]


def test_a_wide_terminal_parts_by_family_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert len(blocks(thirty_models())) == 1 + len(FAMILIES)


def test_columns_without_terminal_take_a_hundred_characters(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert 80 < max(map(len, str(thirty_models()).splitlines())) <= 100


def test_scores_and_ranks_are_those_of_the_ranking(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    ranking = thirty_models()
    table = next(b for b in blocks(ranking) if b[0] == "probes")
    header, row = table[1].split(), table[3].split()
    assert header[:4] == ["#", "model", "loss", "#"]
    best = ranking[0].name
    assert row[:2] == ["1", best]
    assert float(row[2]) == pytest.approx(ranking.column("loss")[best], abs=1e-4)
    assert int(row[3]) == ranking.ranks("loss")[best]
    summed = blocks(ranking)[0]
    assert summed[1].split()[-1] == "time" and summed[3].endswith("13.00 s")


def test_errors_have_a_block_of_their_own():
    ranking = thirty_models(dds=HOLED)
    *tables, foot = blocks(ranking)
    assert tables[-1][0] == "errors" and sum("ValueError: bad" in line for line in tables[-1]) == 1
    assert foot == [f"not in the mean #: dds (no score of {MODELS[0]})"]


def test_few_metrics_are_wrapped_on_a_terminal_only(monkeypatch):
    metrics = ["sfda", "logme", "parc"]
    rows = [
        ModelScores(name, dict.fromkeys(metrics, float(i)), dict.fromkeys(metrics, 0.5))
        for i, name in enumerate(MODELS)
    ]
    ranking = Ranking(rows, metrics)
    monkeypatch.delenv("COLUMNS", raising=False)
    assert len(blocks(ranking)) == 1
    monkeypatch.setenv("COLUMNS", "50")
    wrapped = blocks(ranking)
    assert len(wrapped) > 1 and max(len(line) for block in wrapped for line in block) <= 50
    for block in wrapped:  # the rank and time of a score stay with it
        assert block[0].split()[:2] == ["#", "model"]
        assert block[0].split()[2:3] not in (["#"], ["time"])


def test_html_has_a_table_for_each_family():
    html = thirty_models(loss=[0.0] * 30)._repr_html_()
    assert html.count("<table>") == 1 + len(FAMILIES)
    assert all(f"<caption>{title}</caption>" in html for title in FAMILIES.values())
    assert "overflow-x: auto" in html and "loss (the same for all models)" in html


def test_families_follow_from_the_metric():
    of = {name: METRICS[name].family for name in ("sfda", "parc", "leep", "rsa", "etran", "loss")}
    assert of == {
        "sfda": "features",
        "parc": "pairs",
        "leep": "posteriors",
        "rsa": "inputs",
        "etran": "zoo",
        "loss": "probes",
    }
    with pytest.raises(ValueError, match="family: 'x' given; it is one of features, pairs"):
        Metric("own", lambda problem: 0.0, family="x")


def test_parts_stand_with_their_metric(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    ranking = thirty_models()
    parts = {"etran.lda": 0.5, "etran.energy": 0.1}
    rows = [ModelScores(r.name, dict(r.scores) | parts, r.seconds) for r in ranking]
    table = next(b for b in blocks(Ranking(rows, ranking.metrics)) if b[0] == FAMILIES["zoo"])
    assert "etran.lda" in table[1] and "ncti" in table[1]
