"""Metrics that need more than features, and metrics that compare models, in `score` and `rank`."""

import re
import warnings

import numpy as np
import pytest
from conftest import example_inputs, make_problem

import transfer_kernels as tk
from transfer_kernels.metrics import METRICS

X, y = make_problem(80, 6, 3)
OUTPUTS, OF_TARGET = example_inputs(X, y)
THETA = OUTPUTS.posteriors


def confidence(problem, power: int = 1):
    """A toy metric of posteriors alone."""
    codes = problem.host_codes
    return float((problem.inputs.posteriors.max(axis=1) ** power)[codes >= 0].mean())


def likeness(problem):
    """A toy metric of features and the target's reference, without labels."""
    return float(np.abs(problem.features.mean() - problem.inputs.reference.mean()))


def two_numbers(problem, scale: float = 1.0):
    return {"low": scale * float(problem.features.min()), "high": float(problem.features.max())}


def standings(values):
    """Shares of the range, added."""
    return sum((v - v.min()) / (np.ptp(v) or 1.0) for v in values.values())


@pytest.fixture(autouse=True)
def toy_metrics(monkeypatch):
    monkeypatch.setattr(METRICS, "_metrics", dict(METRICS._metrics))
    tk.register(tk.Metric("confidence", confidence, needs={"posteriors"}))
    tk.register(
        tk.Metric("likeness", likeness, "", (), needs={"features", "reference"}, direction="lower")
    )
    tk.register(
        tk.Metric("standing", two_numbers, scope=tk.RelativeToZoo(("low", "high"), standings))
    )


@pytest.mark.parametrize("labels", [y, list("abc"[c] for c in y)])
def test_posteriors_alone_are_enough(labels):
    expected = {"confidence": float(THETA.max(axis=1).mean())}
    assert tk.score(tk.ModelOutputs(posteriors=THETA), labels, "confidence") == expected
    bad = X.copy()
    bad[0, 0] = np.nan  # features that nobody reads are not looked at
    assert tk.score(tk.ModelOutputs(bad, posteriors=THETA), labels, "confidence") == expected
    assert (
        METRICS["confidence"](tk.ModelOutputs(posteriors=THETA), labels, power=1)
        == (expected["confidence"])
    )


def test_inputs_of_the_target_are_arguments_and_lower_is_negated():
    reference = OF_TARGET["reference"]
    expected = -abs(float(X.mean()) - float(reference.mean()))
    found = tk.score(X, None, "likeness", reference=reference)
    assert found == pytest.approx({"likeness": expected})
    assert METRICS["likeness"](X, reference=reference) == pytest.approx(expected)
    ranking = tk.rank({"a": X, "b": X + 1}, metrics="likeness", reference=reference)
    assert ranking.column("likeness")["a"] == pytest.approx(expected)


def test_score_without_an_input_is_nan_with_one_warning():
    message = (
        r"^confidence: no score without posteriors; pass ModelOutputs\(..., posteriors=...\)\. "
        r"likeness: no score without reference; pass reference=$"
    )
    with pytest.warns(tk.MissingInputWarning, match=message) as caught:
        found = tk.score(X, y, ["confidence", "lfc", "likeness"])
    assert len(caught) == 1 and caught[0].filename == __file__
    assert np.isnan(found["confidence"]) and np.isnan(found["likeness"])
    assert found["lfc"] == tk.lfc(X, y)
    with pytest.raises(ValueError, match="confidence needs posteriors, not given; pass ModelOut"):
        METRICS["confidence"](X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_rank_leaves_cells_of_models_without_the_input_empty(n_jobs, tmp_path):
    zoo = {"a": OUTPUTS, "b": X, "c": tk.ModelOutputs(posteriors=THETA), "d": lambda: OUTPUTS}
    zoo = zoo if n_jobs == 1 else {name: zoo[name] for name in "abc"}
    message = (
        r"^confidence: no score of b without posteriors; pass ModelOutputs\(.*\)\. "
        r"lfc: no score of c without features; pass"
    )
    journal = tmp_path / "journal"
    metrics = ["confidence", "lfc"] if n_jobs == 1 else ["lfc"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranking = tk.rank(zoo, y, metrics, n_jobs=n_jobs, journal=journal)
    (warning,) = [str(w.message) for w in caught if w.category is tk.MissingInputWarning]
    if n_jobs == 1:
        assert ranking.column("confidence")["a"] == float(THETA.max(axis=1).mean())
        assert np.isnan(ranking.column("confidence")["b"]) and not ranking.errors
        assert re.search(message, warning)
    assert np.isnan(ranking.column("lfc")["c"]) and ranking.column("lfc")["b"] == tk.lfc(X, y)
    assert "lfc" in journal.read_text() and "NaN" not in journal.read_text()


def test_the_journal_knows_which_inputs_went_in(tmp_path):
    journal = tmp_path / "journal"

    def fresh(zoo, **of_target):
        """Scores that were not in the journal."""
        before = len(journal.read_text().splitlines()) if journal.exists() else 0
        tk.rank(zoo, y, ["confidence", "lfc", "likeness"], journal=journal, **of_target)
        return len(journal.read_text().splitlines()) - before

    zoo = {"a": tk.ModelOutputs(X, posteriors=THETA)}
    reference = OF_TARGET["reference"]
    assert fresh(zoo, reference=reference) == 3
    assert fresh(zoo, reference=reference) == 0
    assert fresh(zoo, reference=reference + 1.0) == 1
    assert fresh({"a": tk.ModelOutputs(X, posteriors=THETA[:, ::-1])}, reference=reference) == 1
    assert fresh({"a": tk.ModelOutputs(X + 1, posteriors=THETA)}, reference=reference) == 2
    # What no metric reads changes nothing.
    assert fresh({"a": tk.ModelOutputs(X, posteriors=THETA, general=X)}, reference=reference) == 0


def test_a_metric_that_compares_models(tmp_path):
    zoo = {"a": X, "b": 2.0 * X, "c": X + 1.0}
    low = {name: float(features.min()) for name, features in zoo.items()}
    high = {name: float(features.max()) for name, features in zoo.items()}
    parts = {"low": np.array(list(low.values())), "high": np.array(list(high.values()))}
    expected = dict(zip(zoo, standings(parts), strict=True))
    assert tk.score(X, y, "standing") == {"standing.low": low["a"], "standing.high": high["a"]}
    journal = tmp_path / "journal"
    ranking = tk.rank(zoo, y, ["standing", "lfc"], journal=journal)
    assert ranking.column("standing") == pytest.approx(expected)
    assert ranking.column("standing.low") == low and ranking.column("standing.high") == high
    assert ranking.columns == ("standing", "lfc", "standing.low", "standing.high", "consensus")
    assert ranking[0].name == max(expected, key=expected.get)
    # Models that are added change the column of all; what was kept serves.
    before = journal.read_text()
    more = tk.rank({**zoo, "d": 5.0 * X}, y, ["standing", "lfc"], journal=journal)
    assert journal.read_text().startswith(before)
    assert journal.read_text().count("\n") == before.count("\n") + 2
    assert more.column("standing")["a"] != ranking.column("standing")["a"]
    assert more.column("standing.low") == {**low, "d": float(5.0 * X.min())}


def test_models_that_failed_do_not_enter_the_comparison():
    zoo = {"a": X, "b": 2.0 * X, "broken": np.full_like(X, np.nan)}
    ranking = tk.rank(zoo, y, "standing")
    whole = tk.rank({"a": X, "b": 2.0 * X}, y, "standing")
    assert ranking.column("standing")["a"] == whole.column("standing")["a"]
    assert np.isnan(ranking.column("standing")["broken"]) and "broken" in ranking.errors


def test_one_model_has_parts_but_no_number():
    metric = METRICS["standing"]
    assert metric.parts_of(X, y, scale=2.0)["low"] == 2.0 * float(X.min())
    with pytest.raises(ValueError, match="standing compares models: use rank"):
        metric(X, y)
    with pytest.raises(ValueError, match="lfc has no parts"):
        METRICS["lfc"].parts_of(X, y)
    found = tk.score(X, y, "standing(scale=2.0)")
    assert list(found) == ["standing(scale=2.0).low", "standing(scale=2.0).high"]


def test_what_a_record_of_a_metric_refuses():
    with pytest.raises(ValueError, match="needs: 'logits' is no input; there are features, post"):
        tk.Metric("m", confidence, needs={"logits"})
    with pytest.raises(TypeError, match="needs must be a set of names of inputs, not 'features'"):
        tk.Metric("m", confidence, needs="features")
    with pytest.raises(ValueError, match="direction: 'up' given"):
        tk.Metric("m", confidence, direction="up")
    with pytest.raises(ValueError, match="scope: 'zoo' given"):
        tk.Metric("m", confidence, scope="zoo")
    with pytest.raises(ValueError, match=r"parts: \(\) given"):
        tk.RelativeToZoo((), standings)
    wrong = tk.Metric("m", lambda problem: 0.5, scope=tk.RelativeToZoo(("low",), standings))
    with pytest.raises(TypeError, match="m gives a mapping of low, not 0.5"):
        wrong.parts_of(OUTPUTS, y)
    shapeless = tk.RelativeToZoo(("low", "high"), lambda values: 1.0)
    ranking = tk.rank({"a": X, "b": X}, y, [tk.Metric("m", two_numbers, scope=shapeless), "lfc"])
    message = "m: TypeError: m: combine gives one number for each of 2 models, not an array of"
    assert all(error.startswith(message) for error in ranking.errors.values())
    assert len(ranking.errors) == 2 and ranking.column("lfc")["a"] == tk.lfc(X, y)
    assert ranking.column("m.high")["a"] == float(X.max())
    with pytest.raises(ValueError, match="'m': reference is an input of the target and no option"):
        _ = tk.Metric("m", lambda problem, reference=None: 0.0).options


def test_labels_that_a_metric_needs_and_nobody_gave():
    with pytest.raises(ValueError, match="labels needed, but not given"):
        tk.score(X, None, "lfc")
    ranking = tk.rank({"a": X}, metrics=["etran_energy"])
    assert ranking.column("etran_energy")["a"] == tk.etran_energy(X)


def test_parts_on_one_scale():
    from transfer_kernels.metrics.zoo_scale import min_max

    np.testing.assert_array_equal(min_max(np.array([3.0, 1.0, 2.0]), "seli"), [1.0, 0.0, 0.5])
    with pytest.warns(tk.UninformativeScoreWarning, match=r"seli is the same for all models \(2\)"):
        np.testing.assert_array_equal(min_max(np.array([3.0, 3.0]), "seli"), [0.0, 0.0])


def test_yardsticks_take_metrics_that_compare_models():
    from transfer_kernels.metrics import metric_call, score_models

    models = [("a", X, y), ("b", 2.0 * X, y)]
    found = score_models(models, metric_call("standing"))
    assert found == tk.rank({"a": X, "b": 2.0 * X}, y, "standing").column("standing")
