"""Scores from sums: metrics that a FisherScatter determines give the value of the features."""

import warnings

import numpy as np
import pytest
from conftest import example_inputs, make_problem

import transfer_kernels as tk
from transfer_kernels.metrics import METRICS
from transfer_kernels.metrics.scatter_problem import ScatterProblem

FROM_SCATTER = [name for name, metric in METRICS.items() if metric.from_scatter]
OTHERS = [n for n, m in METRICS.items() if m.needs == {"features"} and n not in FROM_SCATTER]
SPECS = [*FROM_SCATTER, "logme(variant='thuml')", "logme(variant='thuml-full')"]

PROBLEMS = {
    "tall": {},
    "float16": {"dtype": np.float16},
    "offset": {"offset": 1000.0, "dtype": np.float64},
    "few": {"n": 30, "d": 20, "n_classes": 3},
}


def scatter_of(X, y, backend=None):
    return tk.ops.fisher_scatter(X, y, int(y.max()) + 1, backend=backend)


def embeddings_of(X, y):
    return {"label_embeddings": example_inputs(X, y)[1]["label_embeddings"]}


def test_the_known_ones_are_among_them():
    assert {"emms", "hscore", "lfc", "logme"} <= set(FROM_SCATTER)


def test_embeddings_of_samples_need_the_features():
    X, y = make_problem()
    each = embeddings_of(X, y)["label_embeddings"][y]
    with pytest.raises(ValueError, match="features needed: a FisherScatter holds sums alone"):
        tk.emms(scatter_of(X, y), None, each)


@pytest.mark.parametrize("case", PROBLEMS)
@pytest.mark.parametrize("spec", SPECS)
def test_same_value_as_from_the_features(backend, spec, case):
    X, y = make_problem(**PROBLEMS[case])
    of_target = embeddings_of(X, y)
    expected = tk.score(X, y, spec, backend=backend, **of_target)
    found = tk.score(scatter_of(X, y, backend), None, spec, backend=backend, **of_target)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("spec", SPECS)
def test_scatters_that_were_added(spec):
    X, y = make_problem()
    parts = [tk.ops.fisher_scatter(X[rows], y[rows], 5) for rows in np.split(np.arange(300), 3)]
    found = tk.score(sum(parts[1:], parts[0]), None, spec, **embeddings_of(X, y))
    assert found == pytest.approx(tk.score(X, y, spec, **embeddings_of(X, y)), rel=1e-9)


@pytest.mark.parametrize("name", FROM_SCATTER)
def test_classes_without_samples_drop_out(name):
    X, y = make_problem()
    codes = np.where(y == 2, 7, y)
    scatter, of_target = tk.ops.fisher_scatter(X, codes, 9), embeddings_of(X, codes)
    expected = tk.score(X, codes, name, **of_target)
    assert tk.score(scatter, None, name, **of_target) == pytest.approx(expected, rel=1e-9)
    needed = {key: value for key, value in of_target.items() if key in METRICS[name].needs}
    assert METRICS[name](scatter, **needed) == pytest.approx(expected[name], rel=1e-9)


def test_absent_classes_of_published_variants_count():
    X, y = make_problem()
    codes = np.where(y == 2, 7, y)
    scatter = tk.ops.fisher_scatter(X, codes, 9)
    expected = tk.logme(X, codes, variant="thuml")
    assert tk.logme(scatter, variant="thuml") == pytest.approx(expected, rel=1e-9)


def test_weights_repeat_samples():
    X, y = make_problem(n=80, d=6)
    times = 1 + np.arange(80) % 3
    scatter = tk.ops.fisher_scatter(X, y, 5, weights=times.astype(float))
    repeated = np.repeat(X, times, axis=0), np.repeat(y, times)
    assert tk.lfc(scatter) == pytest.approx(tk.lfc(*repeated), rel=1e-9)
    assert tk.logme(scatter) == pytest.approx(tk.logme(*repeated), rel=1e-9)
    halves = tk.ops.fisher_scatter(X, y, 5, weights=np.full(80, 0.5))
    with pytest.raises(ValueError, match="counts of the FisherScatter are no whole numbers"):
        tk.lfc(halves)


@pytest.mark.parametrize("name", ["lfc", "hscore"])
def test_fewer_samples_than_features(name):
    X, y = make_problem(n=20, d=40, n_classes=3, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        found, expected = METRICS[name](scatter_of(X, y)), METRICS[name](X, y)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(20, 40), (39, 40), (40, 40), (41, 40)])
@pytest.mark.parametrize("variant", ["evidence", "thuml", "thuml-full"])
def test_logme_of_hardly_more_samples_than_features(backend, shape, variant):
    X, y = make_problem(*shape, n_classes=3, dtype=np.float64, seed=shape[0])
    expected = tk.logme(X, y, variant=variant, backend=backend)
    found = tk.logme(scatter_of(X, y), variant=variant, backend=backend)
    assert found == pytest.approx(expected, rel=1e-8)


def test_logme_of_few_samples_without_the_digits_is_refused():
    X, y = make_problem(20, 40, n_classes=3, dtype=np.float64)
    X[1] = X[0] + 1e-6 * X[2]
    with pytest.raises(ValueError, match="features needed: a FisherScatter holds sums alone"):
        tk.logme(scatter_of(X, y))


def test_dependent_columns_are_told_of():
    X, y = make_problem(dtype=np.float64)
    twice = np.hstack([X, X[:, :3]])
    with pytest.warns(tk.UninformativeScoreWarning, match="the H-score may lack digits"):
        assert tk.hscore(scatter_of(twice, y)) == pytest.approx(tk.hscore(X, y), rel=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_others_say_that_they_need_the_features(name):
    X, y = make_problem(n=60, d=5)
    metric = METRICS[name]
    with pytest.raises(ValueError, match=f"{name} needs features: a FisherScatter does not det"):
        (metric.parts_of if metric.parts else metric)(scatter_of(X, y))
    with pytest.warns(tk.MissingInputWarning, match=f"{name}: no score without features"):
        found = tk.score(scatter_of(X, y), None, [name, "lfc"])
    assert found.pop("lfc") == pytest.approx(tk.lfc(X, y)) and np.isnan(list(found.values())).all()


def test_options_that_need_more():
    X, y = make_problem()
    with pytest.raises(ValueError, match="features needed: a FisherScatter holds sums alone"):
        tk.hscore(scatter_of(X, y), shrinkage="ledoit-wolf")
    with pytest.raises(ValueError, match="regression=True needs features and targets"):
        tk.logme(scatter_of(X, y), regression=True)


def test_what_does_not_go_with_a_scatter():
    X, y = make_problem()
    scatter = scatter_of(X, y)
    with pytest.raises(ValueError, match="labels: given, but a FisherScatter has its classes"):
        tk.lfc(scatter, y)
    with pytest.raises(ValueError, match="ignore_label: given, but a FisherScatter has no samples"):
        tk.lfc(scatter, ignore_label=-1)
    ranking = tk.rank({"a": scatter}, y[:-1], "lfc")
    assert "other numbers of samples than those given for all models" in ranking.errors["a"]
    both = tk.Metric("both", lambda problem: 0.0, needs={"features", "posteriors"})
    with pytest.raises(ValueError, match="posteriors: given beside a FisherScatter"):
        tk.score(tk.ModelOutputs(scatter, posteriors=X), None, both)
    with pytest.raises(ValueError, match="samples of 1 of 2 classes; at least two"):
        tk.lfc(tk.ops.fisher_scatter(X, np.zeros(len(X), int), 2))
    with pytest.raises(ValueError, match="labels needed"):
        _ = ScatterProblem(scatter).labels


def test_rank_takes_scatters(tmp_path):
    X, y = make_problem()
    zoo = {"sums": scatter_of(X, y), "features": X}
    for _ in range(2):
        ranking = tk.rank(zoo, y, ["lfc", "hscore"], journal=tmp_path / "journal")
        assert not ranking.errors
        for column in ("lfc", "hscore"):
            values = ranking.column(column)
            assert values["sums"] == pytest.approx(values["features"], rel=1e-9)
    assert len((tmp_path / "journal").read_text().splitlines()) == 4
    tk.rank({"sums": scatter_of(2 * X, y)}, None, "lfc", journal=tmp_path / "journal")
    assert len((tmp_path / "journal").read_text().splitlines()) == 5
