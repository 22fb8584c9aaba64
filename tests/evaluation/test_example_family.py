"""What the metrics are worth on the example history: figures and page follow from the scores."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from transfer_kernels.metrics import METRICS
from transfer_kernels.recommend import TransferHistory

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
HISTORY = EXAMPLES / "transfer_history"
PAGE = (ROOT / "docs" / "metrics.md").read_text()
OWN_METRICS = sorted(METRICS)  # before other tests register theirs
CONTENT = json.loads((HISTORY / "family.json").read_text())

#: The section of the page that describes each metric.
SECTIONS = {
    "LogME": ["logme"],
    "SFDA": ["sfda"],
    "PARC": ["parc"],
    "The FDA score": ["fda_score"],
    "H-score": ["hscore"],
    "TransRate": ["transrate"],
    "LFC": ["lfc"],
    "k nearest neighbours": ["knn"],
    "PED": ["ped"],
    "The ridge probe": ["ridge_probe"],
    "The linear probe's loss and PACTran-Gaussian": ["loss", "pactran_gauss"],
    "RSA and DDS": ["rsa", "dds"],
    "ETran": ["etran", "etran_lda", "etran_energy"],
    "GBC": ["gbc"],
    "NCTI": ["ncti"],
    "LEEP, NCE and PACTran": ["leep", "nce", "pactran"],
    "NLEEP": ["nleep", "pactran_mixture"],
    "OTCE": ["otce"],
    "EMMS": ["emms"],
}


@pytest.fixture(scope="module")
def script():
    for needed in ("sklearn", "skimage", "tqdm"):
        pytest.importorskip(needed)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        import evaluate_family

        yield evaluate_family


@pytest.fixture(scope="module")
def columns(script):
    return script.read_scores(HISTORY / "family.csv")


@pytest.fixture(scope="module")
def history():
    return TransferHistory.read_csv(HISTORY / "accuracies.csv")


def test_every_metric_of_features_alone_is_scored_everywhere(script, columns, history):
    for spec in script.measured_specs():
        scores = script.scores_of(spec, columns)
        assert list(scores) == [*history.tasks, script.ZOO], spec
        assert all(list(scores[task]) == list(history.models) for task in history.tasks), spec
        assert len(scores[script.ZOO]) == 30
    assert set(CONTENT) >= {"logme", "sfda", "nleep", "pactran_gauss", "etran", "ncti", "parc"}


def test_figures_follow_from_the_scores(script, columns, history):
    seconds = {
        spec: {where: value / 1e3 for where, value in CONTENT[spec]["milliseconds"].items()}
        for spec in script.measured_specs()
    }
    found = script.worth(script.compare(history, columns), columns, seconds, EXAMPLES / script.ZOO)
    assert list(found) == list(CONTENT)
    for name, row in CONTENT.items():
        assert found[name].keys() == row.keys()
        for key, value in row.items():
            if key in ("tasks", "milliseconds"):
                value, other = list(value.values()), list(found[name][key].values())
            else:
                other = found[name][key]
            np.testing.assert_allclose(other, value, rtol=1e-6, atol=1e-4, err_msg=f"{name} {key}")


def test_scores_are_those_of_the_metrics_in_the_zoo(script, columns):
    """The features of the zoo are committed, so that the table can be held to them."""
    model = "cnn_small-none"
    files = [str(EXAMPLES / script.ZOO / f"{name}.npy") for name in (model, "labels")]
    for spec in set(script.measured_specs()) - {"nleep", "pactran_mixture"}:  # these take seconds
        values, _ = script.measure(*files, spec)
        kept = [columns[column][script.ZOO][model] for column in script.columns_of(spec)]
        np.testing.assert_allclose(values, kept, rtol=1e-6, atol=1e-8, err_msg=spec)


def test_the_page_shows_the_figures(script):
    assert PAGE.count(script.BEGIN) == PAGE.count(script.END) == 1
    assert script.page_with(PAGE, CONTENT) == PAGE
    shown = PAGE.partition(script.BEGIN)[2].partition(script.END)[0]
    assert shown.count("\n| ") == len(CONTENT) + 2


def test_what_the_page_says_of_the_figures_is_true(history):
    scores = {name: row for name, row in CONTENT.items() if "with_mean_rank" in row}
    mean_rank = CONTENT["mean rank (control)"]["weighted_kendall"]
    assert "than 0.03, and none is surely above the mean rank" in PAGE
    assert max(row["above_ridge_probe"][0] for row in scores.values()) < 0.03
    assert all(row["above_mean_rank"][1] < 0 for row in scores.values())
    together = [scores[name]["with_mean_rank"] for name in ("fda_score", "logme")]
    assert "reach {:.2f} and {:.2f}, more than either".format(*together) in PAGE
    for name, value in zip(("fda_score", "logme"), together, strict=True):
        assert value > max(scores[name]["weighted_kendall"], mean_rank)
    surely_below = {name for name, row in scores.items() if row["above_mean_rank"][2] < 0}
    assert surely_below == {"transrate", "etran_energy"}
    assert len({task.partition("_")[0] for task in history.tasks}) == 6


def test_measuring_goes_on_where_it_was_stopped(script, tmp_path):
    pair = (script.ZOO, "mlp_narrow-none")
    kept = {spec: [[0.5] * len(script.columns_of(spec)), 1.0] for spec in script.measured_specs()}
    journal = tmp_path / "family.jsonl"
    journal.write_text(json.dumps({"task": pair[0], "model": pair[1], "scores": kept}) + "\n")
    absent = [str(tmp_path / "absent.npy")] * 2  # would fail if it were read
    assert script.measure_all({pair: absent}, journal, 1) == {pair: kept}


def test_every_metric_has_a_paragraph_of_what_it_assumes_when_it_fails_and_what_it_costs():
    assert sorted(name for names in SECTIONS.values() for name in names) == OWN_METRICS
    for title in SECTIONS:
        section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## )", PAGE, re.M | re.S)
        assert section is not None, title
        words = (r"\bassumes?\b", r"\bfails?\b", r"\bcosts?\b")
        paragraphs = section[1].split("\n\n")
        assert any(all(re.search(w, p, re.I) for w in words) for p in paragraphs), title
