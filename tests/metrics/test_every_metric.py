"""metrics="all": every metric that is defined for what is given, and one warning of the others."""

import warnings

import numpy as np
import pytest
from conftest import example_inputs, make_problem

import transfer_kernels as tk
from transfer_kernels.metrics import METRICS

X, y = make_problem(120, 6, 3)
OUTPUTS, OF_TARGET = example_inputs(X, y)


def confidence(problem):
    return float(problem.inputs.posteriors.max(axis=1).mean())


def undecided(problem):
    raise ValueError("not for so few samples")


@pytest.fixture(autouse=True)
def toy_metrics(monkeypatch):
    monkeypatch.setattr(METRICS, "_metrics", dict(METRICS._metrics))
    tk.register(tk.Metric("confidence", confidence, needs={"posteriors"}))


def by_all(function, *args, **options):
    """The result, and the text of the one warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = function(*args, metrics="all", **options)
    texts = [w for w in caught if w.category is tk.MissingInputWarning]
    assert len(texts) <= 1 and all(w.filename == __file__ for w in texts)
    return found, str(texts[0].message) if texts else ""


def test_all_inputs_give_all_metrics_of_the_task():
    found, text = by_all(tk.score, OUTPUTS, y, **OF_TARGET)
    wanted = {n for n, m in METRICS.items() if not m.tasks or "classification" in m.tasks}
    without_package = {name for name in wanted if f"{name} ({name} needs " in text}
    assert {spec.partition(".")[0] for spec in found} == wanted - without_package
    assert list(found)[:3] == ["sfda", "logme", "parc"]
    assert found["lfc"] == tk.lfc(X, y) and found["confidence"] == confidence(
        tk.Problem(OUTPUTS, y)
    )
    assert ("leaves out" in text) == (len(wanted - without_package) < len(METRICS))


def test_what_lacks_its_input_is_left_out_with_one_warning():
    found, text = by_all(tk.score, X, y)
    needy = {n for n, m in METRICS.items() if m.needs != {"features"}}
    assert "confidence" in needy and not needy & {spec.partition(".")[0] for spec in found}
    assert text.startswith('metrics="all" leaves out ') and "confidence" in text
    assert "(no posteriors)" in text and not np.isnan(list(found.values())).any()


def test_labels_say_which_metrics_have_a_meaning():
    targets = np.sin(np.arange(120.0))
    found, text = by_all(tk.score, X, targets)
    assert found["logme(regression=True)"] == tk.logme(X, targets, regression=True)
    assert "sfda" not in found and "etran_energy" in found
    assert "sfda" in text and "(not for regression)" in text
    vectors = np.eye(3)[y] + 0.1
    found, text = by_all(tk.score, X, vectors)
    assert found["parc"] == tk.parc(X, vectors) and "(not for label vectors)" in text
    found, text = by_all(tk.score, X, None)
    assert set(found) >= {"etran_energy"} and "lfc" not in found and "(labels needed)" in text


def test_metrics_that_refuse_are_left_out_but_wrong_inputs_are_not():
    tk.register(tk.Metric("undecided", undecided))
    _, text = by_all(tk.score, X, y)
    assert "undecided (not for so few samples)" in text
    with pytest.raises(ValueError, match="posteriors are no probabilities"):
        by_all(tk.score, tk.ModelOutputs(X, posteriors=X), y)
    with pytest.raises(ValueError, match="features of shape .* contains nan"):
        by_all(tk.score, np.full_like(X, np.nan), y)


def test_scatters_give_what_they_determine():
    found, text = by_all(tk.score, tk.ops.fisher_scatter(X, y, 3))
    assert set(found) == {
        n for n, m in METRICS.items() if m.from_scatter and not m.needs - {"features"}
    }
    assert "sfda" in text and "(no features)" in text


def test_rank_by_all(tmp_path):
    zoo = {"a": OUTPUTS, "b": X}
    ranking, text = by_all(tk.rank, zoo, y, journal=tmp_path / "journal")
    assert ranking.metrics[:3] == ("sfda", "logme", "parc")
    assert ranking.order_by == "consensus" and ranking.left_out["confidence"] == "no score of b"
    assert "confidence" in ranking.metrics  # one model has posteriors
    assert np.isnan(ranking.column("confidence")["b"])
    assert "confidence: no score of b without posteriors" in text or "confidence" in text
    kept = (tmp_path / "journal").read_text()
    again, _ = by_all(tk.rank, zoo, y, journal=tmp_path / "journal")
    assert (tmp_path / "journal").read_text() == kept
    assert again.column("lfc") == ranking.column("lfc")

    ranking, text = by_all(tk.rank, {"b": X}, y)
    assert "confidence" not in ranking.metrics and "confidence" in text
    targets = np.sin(np.arange(120.0))
    ranking, text = by_all(tk.rank, {"b": X}, targets)
    assert ranking.metrics[0] == "logme(regression=True)" and "(not for regression)" in text
    layered, _ = by_all(tk.rank, {"b": X}, y, layers={"b": 3})
    assert layered.order_by == "sfda + layers"
    assert by_all(tk.rank, {"b": X}, y, order_by="lfc")[0].order_by == "lfc"
    ranking, text = by_all(tk.rank, {"b": X})
    assert "etran_energy" in ranking.metrics and "lfc" not in ranking.metrics


def test_nothing_left(monkeypatch):
    monkeypatch.setattr(METRICS, "_metrics", {"lfc": METRICS["lfc"]})
    outputs = tk.ModelOutputs(posteriors=OUTPUTS.posteriors)
    with pytest.raises(ValueError, match='metrics: nothing is left; metrics="all" leaves out'):
        tk.rank({"a": outputs}, y, "all")


def test_the_name_is_taken():
    with pytest.raises(ValueError, match="name: 'all' stands for all metrics"):
        tk.Metric("all", confidence)
    assert tk.score(X, y, ["lfc"]) == {"lfc": tk.lfc(X, y)}
    with pytest.raises(ValueError, match="metric 'all' is unknown"):
        tk.score(X, y, ["all", "lfc"])
