"""Fennec: the factorisation, the proxy and meta regressions, the merge, saving, input errors."""

import importlib
import json

import numpy as np
import pytest

import transfer_kernels as tk
from transfer_kernels.evaluation.yardstick import leave_one_task_out
from transfer_kernels.recommend import Fennec, TransferHistory, by_fennec
from transfer_kernels.recommend.fennec.factorisation import nonnegative_factors, place_in_factors
from transfer_kernels.recommend.fennec.meta_regression import MetaRegression
from transfer_kernels.recommend.fennec.proxy_regression import Forest, Ridge

M, T, WIDTH = 9, 8, 6


def made_history(seed=0, gaps=0.0, **options):
    """Tasks of two kinds, mixed; models good at the one or the other; proxies that tell which."""
    rng = np.random.default_rng(seed)
    mix = rng.random(T)
    skill = rng.random((M, 2))
    performance = skill @ np.array([mix, 1 - mix]) + 0.01 * rng.random((M, T))
    known = rng.random((M, T)) >= gaps
    known[np.arange(M), np.arange(M) % T] = True
    direction = rng.normal(size=WIDTH)
    models, tasks = [f"m{i}" for i in range(M)], [f"t{i}" for i in range(T)]
    content = {
        "proxies": {
            task: rng.normal(size=(60, WIDTH)) * 0.3 + direction * x
            for task, x in zip(tasks, mix, strict=True)
        },
        "model_facts": {
            m: {"parameters": 1e6 * (i + 1) ** 2, "layers": 10.0 * (i % 3 + 1)}
            for i, m in enumerate(models)
        },
        "task_facts": {
            t: {"images": 1000.0 * (i + 1), "classes": float(5 + i * i)}
            for i, t in enumerate(tasks)
        },
        **options,
    }
    return TransferHistory(models, tasks, np.where(known, performance, np.nan), **content)


ARCHITECTURES = ["resnet", "vit", "resnet", "mixer", "vit", "mixer", "resnet", "vit", "mixer"]


def labelled_features(model, task):
    """Features whose classes lie apart as far as the model is good."""
    rng = np.random.default_rng([int(model[1:]), int(task[1:])])
    labels = np.arange(90) % 3
    return rng.normal(size=(90, 40)) + rng.random() * labels[:, None], labels


# ---------------------------------------------------------------------------- factorisation


@pytest.mark.parametrize(("n_factors", "regularisation"), [(2, 0.0), (3, 0.01), (6, 0.0)])
def test_factors_are_those_of_the_published_solver(n_factors, regularisation):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(n_factors)
    P = rng.random((14, 3)) @ rng.random((3, 6)) + 0.1 * rng.random((14, 6))
    solver = decomposition.NMF(
        n_factors, max_iter=1000, random_state=2023, alpha_W=regularisation, alpha_H="same"
    )
    expected = solver.fit_transform(P)
    found = nonnegative_factors(P, n_factors, regularisation=regularisation)
    np.testing.assert_allclose(found.rows, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.columns, solver.components_.T, rtol=1e-8, atol=1e-10)
    assert found.n_iter == solver.n_iter_
    assert found.converged


def test_gaps_are_filled_by_what_is_known():
    rng = np.random.default_rng(0)
    P = rng.random((30, 2)) @ rng.random((2, 14))
    known = rng.random(P.shape) < 0.6
    hidden = np.where(known, P, np.nan)
    found = nonnegative_factors(hidden, 2, known, max_iter=5000, tol=1e-8)
    assert found.error < 1e-5
    np.testing.assert_allclose((found.rows @ found.columns.T)[~known], P[~known], atol=1e-3)
    assert (found.rows >= 0).all() and (found.columns >= 0).all()


def test_what_stands_in_the_gaps_does_not_matter():
    history = made_history(gaps=0.3)
    known = history.known
    first = nonnegative_factors(np.where(known, history.performance, np.nan), 2, known)
    second = nonnegative_factors(np.where(known, history.performance, 99.0), 2, known)
    np.testing.assert_array_equal(first.rows, second.rows)


def test_more_sweeps_fit_better():
    P = np.random.default_rng(1).random((12, 9))
    errors = [nonnegative_factors(P, 3, max_iter=n).error for n in (1, 5, 50)]
    assert errors[0] > errors[1] > errors[2]
    assert not nonnegative_factors(P, 3, max_iter=1).converged


def test_one_factor_needs_no_search():
    P = np.random.default_rng(1).random((12, 9))
    found = nonnegative_factors(P, 1)
    left, singular, right = np.linalg.svd(P)
    np.testing.assert_allclose(
        found.rows @ found.columns.T, singular[0] * np.outer(left[:, 0], right[0]), rtol=1e-9
    )
    assert found.converged and found.n_iter < 5


def test_a_row_is_placed_where_it_was():
    P = np.random.default_rng(2).random((12, 9))
    factors = nonnegative_factors(P, 3, tol=1e-10, max_iter=20000)
    for row, vector in zip(P, factors.rows, strict=True):
        np.testing.assert_allclose(place_in_factors(factors.columns, row), vector, atol=1e-4)


# ---------------------------------------------------------------------------- proxy regression


def test_the_forest_of_arrays_predicts_as_the_fitted_one():
    ensemble = pytest.importorskip("sklearn.ensemble")
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(40, 7)).astype(np.float32) + t for t in range(5)]
    places = rng.random((5, 3))
    forest = Forest.fit(images, places, n_trees=25, seed=2023)
    published = ensemble.RandomForestRegressor(25, random_state=2023)
    published.fit(np.concatenate(images), np.repeat(places, 40, axis=0))
    new = rng.normal(size=(30, 7)).astype(np.float32) + 2.3
    np.testing.assert_allclose(forest.place(new), published.predict(new).mean(axis=0), rtol=1e-12)


def test_ridge_finds_a_linear_law():
    rng = np.random.default_rng(0)
    means, weights = rng.normal(size=(20, 4)), rng.normal(size=(4, 3))
    places = means @ weights + 10.0
    images = [mean + np.outer([-1, 1, -1, 1], rng.normal(size=4)) for mean in means]
    ridge = Ridge.fit(images, places)
    new = rng.normal(size=(2, 4))
    np.testing.assert_allclose(ridge.place(new), new.mean(axis=0) @ weights + 10.0, atol=0.05)
    shifted = Ridge.fit([7.0 * x - 30.0 for x in images], places)
    np.testing.assert_allclose(shifted.place(7.0 * new - 30.0), ridge.place(new), rtol=1e-9)


def test_ridge_gives_up_on_noise():
    rng = np.random.default_rng(1)
    images = [rng.normal(size=(3, 50)) for _ in range(12)]
    places = rng.random((12, 2))
    ridge = Ridge.fit(images, places)
    np.testing.assert_allclose(ridge.place(rng.normal(size=(3, 50))), places.mean(axis=0), atol=0.2)


# ---------------------------------------------------------------------------- the meta phase


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_meta_phase_is_least_squares_over_the_known_pairs(gaps):
    linear_model = pytest.importorskip("sklearn.linear_model")
    history = made_history(gaps=gaps)
    names = sorted(set(ARCHITECTURES))
    rows, values = [], []
    for m, model in enumerate(history.models):
        one_hot = [float(name == ARCHITECTURES[m]) for name in names]
        for task, value in history.row(model).items():
            facts = history.model_facts[model], history.task_facts[task]
            rows.append([facts[0]["parameters"], facts[0]["layers"], *one_hot])
            rows[-1] += [facts[1]["images"], facts[1]["classes"]]
            values.append(value)
    # Scaled for the plain solver's sake, which changes no prediction.
    scale = np.abs(rows).max(axis=0)
    plain = linear_model.LinearRegression().fit(rows / scale, values)
    regression, parts = MetaRegression.fit(history, history.performance, ARCHITECTURES)
    for m, (model, part) in enumerate(zip(history.models, parts, strict=True)):
        one_hot = [float(name == ARCHITECTURES[m]) for name in names]
        facts = history.model_facts[model]
        new = np.array([facts["parameters"], facts["layers"], *one_hot, 777.0, 12.0]) / scale
        found = part + regression.task_part({"images": 777.0, "classes": 12.0})
        assert found == pytest.approx(plain.predict([new])[0], rel=1e-6)
        assert regression.model_part(model, facts, ARCHITECTURES[m]) == pytest.approx(part)


def test_architectures_may_be_vectors():
    history = made_history(model_facts={})
    vectors = np.random.default_rng(0).normal(size=(M, 3))
    regression, parts = MetaRegression.fit(history, history.performance, vectors)
    assert regression.model_facts == ()
    assert regression.model_part("new", {}, vectors[4]) == pytest.approx(parts[4])
    by_name = dict(zip(history.models, vectors, strict=True))
    assert MetaRegression.fit(history, history.performance, by_name)[1] == pytest.approx(parts)


# ---------------------------------------------------------------------------- Fennec


@pytest.mark.parametrize("regressor", ["forest", "ridge"])
def test_recommends_by_what_the_proxy_sees(regressor):
    history = made_history()
    recommender = by_fennec(metric=None, n_factors=2, meta_weight=0.0, regressor=regressor)
    comparison = leave_one_task_out(history, {"fennec": recommender})
    gain, low, _ = comparison.difference("fennec")
    assert comparison.mean("fennec") > 0.9
    assert gain > 0.1 and low > 0.0


def test_scores_are_inner_products_and_the_merge():
    history, new = made_history().without_task("t3"), made_history().task("t3")
    plain = Fennec(metric=None, n_factors=3, meta_weight=0.0).fit(history)
    place = plain.place(new)
    np.testing.assert_allclose(plain.score(place), plain.model_vectors_ @ place.vector)
    meta = Fennec(metric=None, n_factors=3, meta_weight=1.0).fit(history, ARCHITECTURES)
    merged = Fennec(metric=None, n_factors=3, meta_weight=0.25).fit(history, ARCHITECTURES)
    expected = 0.75 * plain.score(new) + 0.25 * meta.score(new)
    np.testing.assert_allclose(merged.score(new), expected, rtol=1e-10)
    np.testing.assert_allclose(merged.score(merged.place(new)), merged.score(new))
    best = merged.recommend(new, 4)
    order = np.argsort(-expected)[:4]
    assert list(best) == [history.models[m] for m in order]
    np.testing.assert_allclose(list(best.values()), expected[order])
    assert list(merged.recommend(new)) == [history.models[m] for m in np.argsort(-expected)]


def test_the_matrix_is_the_metrics_scores():
    history = made_history(features=labelled_features).subset(tasks=["t0", "t1", "t2"])
    fennec = Fennec("fda_score", meta_weight=0.0, n_factors=2).fit(history)
    expected = [
        [tk.fda_score(*labelled_features(model, task)) for task in history.tasks]
        for model in history.models
    ]
    np.testing.assert_array_equal(fennec.performance_, expected)
    other = Fennec(metric="parc", scaling="unit", meta_weight=0.0, n_factors=2).fit(history)
    assert other.performance_[2, 1] == tk.parc(*labelled_features("m2", "t1"))


def test_same_seed_same_bits():
    history = made_history(gaps=0.2)
    task = history.task("t1")
    past = history.without_task("t1")
    first, second = (
        Fennec(metric=None, proxy_images=20).fit(past, ARCHITECTURES).score(task) for _ in "ab"
    )
    np.testing.assert_array_equal(first, second)
    other = Fennec(metric=None, proxy_images=20, seed=1).fit(past, ARCHITECTURES).score(task)
    assert not np.array_equal(first, other)


def test_a_task_is_placed_by_some_performances():
    history = made_history(proxies=None)
    truth = history.column("t5")
    fennec = Fennec(metric=None, n_factors=2, meta_weight=0.0).fit(history.without_task("t5"))
    place = fennec.place(performance={m: truth[m] for m in ("m0", "m3", "m7")})
    assert tk.evaluate(fennec.recommend(place), truth).pearson > 0.95
    with pytest.raises(ValueError, match="without proxy features"):
        fennec.place(np.zeros((4, WIDTH)))


def test_scaling_weighs_tasks_alike_and_takes_negative_values():
    history = made_history()
    shifted = history.with_performance(history.performance * 1e3 - np.arange(T) * 1e4)
    with pytest.raises(ValueError, match="model 'm0' on task 't1' is -.*scaling='unit'"):
        Fennec(metric=None, meta_weight=0.0).fit(shifted)
    for scaling, tolerance in (("unit", 0.01), ("rank", 0.0)):
        options = {"metric": None, "meta_weight": 0.0, "scaling": scaling}
        scores = [
            Fennec(**options).fit(one.without_task("t2")).score(one.task("t2"))
            for one in (history, shifted)
        ]
        np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=tolerance)


def test_a_task_without_differences_is_no_trouble():
    history = made_history()
    flat = history.performance.copy()
    flat[:, 0] = 0.5
    for scaling in ("none", "unit", "rank"):
        fennec = Fennec(metric=None, scaling=scaling).fit(history.with_performance(flat))
        assert np.isfinite(fennec.score(history.task("t1"))).all()


# ---------------------------------------------------------------------------- a new model


@pytest.mark.parametrize("scaling", ["none", "unit", "rank"])
def test_a_model_added_again_scores_as_it_did(scaling):
    history = made_history()
    fennec = Fennec(metric=None, n_factors=2, scaling=scaling, max_iter=20000)
    fennec.fit(history.without_task("t0"), ARCHITECTURES)
    before = fennec.score(history.task("t0"))
    twin = history.without_task("t0").row("m4")
    fennec.add_model("twin", twin, facts=history.model_facts["m4"], architecture="vit")
    after = fennec.score(history.task("t0"))
    np.testing.assert_array_equal(after[:-1], before)
    assert after[-1] == pytest.approx(before[4], abs=0.02)
    assert "twin" in fennec.recommend(history.task("t0"))
    assert fennec.performance_.shape == (M + 1, T - 1)


def test_a_model_is_added_by_its_features():
    history = made_history(features=labelled_features)
    fennec = Fennec("fda_score", meta_weight=0.0, n_factors=2).fit(
        history.subset(tasks=["t0", "t1", "t2"])
    )
    fennec.add_model("new", features={"t1": labelled_features("m5", "t1")})
    assert fennec.performance_[-1, 1] == fennec.performance_[5, 1]
    assert np.isnan(fennec.performance_[-1, [0, 2]]).all()


def two_ends(problem):
    return {"low": float(problem.features.min()), "high": float(problem.features.max())}


def span(values):
    return values["high"] - values["low"].min()


@pytest.fixture
def comparing(monkeypatch):
    """A metric that compares models."""
    from transfer_kernels.metrics import METRICS

    monkeypatch.setattr(METRICS, "_metrics", dict(METRICS._metrics))
    return tk.register(tk.Metric("span", two_ends, scope=tk.RelativeToZoo(("low", "high"), span)))


def test_histories_are_scored_by_metrics_that_compare_models(comparing):
    history = made_history(features=labelled_features).subset(tasks=["t0", "t1"])
    scored = history.scored("span").performance
    for t, task in enumerate(history.tasks):
        seen = [labelled_features(model, task)[0] for model in history.models]
        low = min(X.min() for X in seen)
        np.testing.assert_allclose(scored[:, t], [X.max() - low for X in seen])
    fennec = Fennec(metric="span", meta_weight=0.0, n_factors=2).fit(history)
    with pytest.raises(ValueError, match="features: span compares models; fit a Fennec to the hi"):
        fennec.add_model("new", features={"t1": labelled_features("m5", "t1")})


def test_features_may_be_all_that_a_model_gives():
    def outputs(model, task):
        X, y = labelled_features(model, task)
        return tk.ModelOutputs(X, posteriors=np.full((len(X), 2), 0.5)), y

    plain = made_history(features=labelled_features).subset(tasks=["t0", "t1", "t2"])
    more = made_history(features=outputs).subset(tasks=["t0", "t1", "t2"])
    options = {"meta_weight": 0.0, "n_factors": 2}
    expected, found = (Fennec(**options).fit(history) for history in (plain, more))
    np.testing.assert_array_equal(found.performance_, expected.performance_)


def test_an_architecture_that_was_not_there_is_none_of_those():
    history = made_history()
    fennec = Fennec(metric=None, meta_weight=1.0).fit(history, ARCHITECTURES)
    facts = history.model_facts["m0"]
    fennec.add_model("new", history.row("m0"), facts=facts, architecture="transformer")
    assert np.isfinite(fennec.score(history.task("t0"))[-1])


# ---------------------------------------------------------------------------- tensors


def test_tensors_give_the_same_order():
    torch = pytest.importorskip("torch")
    history = made_history()
    fennec = Fennec(metric=None).fit(history.without_task("t0"), ARCHITECTURES)
    place = fennec.place(history.task("t0"))
    expected, best = fennec.score(place), fennec.recommend(place, 3)
    assert fennec.to("cpu") is fennec
    scores = fennec.score(place)
    assert isinstance(scores, torch.Tensor)
    np.testing.assert_allclose(scores.numpy(), expected)
    assert list(fennec.recommend(place, 3)) == list(best)
    facts = history.model_facts["m0"]
    fennec.add_model("new", {"t1": 0.5}, facts=facts, architecture="vit")
    assert len(fennec.score(place)) == M + 1
    assert isinstance(fennec.to("host").score(place), np.ndarray)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_of_equal_scores_the_first_is_first(kind):
    best_first = importlib.import_module("transfer_kernels.recommend.best_scores").best_first
    scores = np.array([1.0, 3.0, 2.0, 3.0, 2.0, 3.0])
    if kind == "tensor":
        scores = pytest.importorskip("torch").from_numpy(scores)
    assert best_first(scores, 4).tolist() == [1, 3, 5, 2]
    assert best_first(scores, 2).tolist() == [1, 3]
    assert best_first(scores, 6).tolist() == [1, 3, 5, 2, 4, 0]


# ---------------------------------------------------------------------------- files


@pytest.mark.parametrize("regressor", ["forest", "ridge"])
def test_saved_and_loaded_it_scores_the_same_bits(tmp_path, regressor):
    pytest.importorskip("safetensors")
    history = made_history(gaps=0.2)
    task = history.task("t0")
    past = history.without_task("t0")
    fennec = Fennec(metric=None, regressor=regressor, n_trees=5).fit(past, ARCHITECTURES)
    fennec.save(tmp_path / "saved")
    assert {p.suffix for p in (tmp_path / "saved").iterdir()} == {".json", ".safetensors"}
    loaded = Fennec.load(tmp_path / "saved")
    assert loaded.get_params() == fennec.get_params()
    np.testing.assert_array_equal(loaded.score(task), fennec.score(task))
    for one in (loaded, fennec):
        one.add_model("new", past.row("m1"), facts=past.model_facts["m1"], architecture="vit")
    assert loaded.recommend(task, 3) == fennec.recommend(task, 3)


def test_damaged_files_are_refused(tmp_path):
    pytest.importorskip("safetensors")
    fennec = Fennec(metric=None, meta_weight=0.0).fit(made_history(proxies=None))
    with pytest.raises(FileNotFoundError, match="fennec.json: no such file"):
        Fennec.load(tmp_path)
    fennec.save(tmp_path)
    text = (tmp_path / "fennec.json").read_text()
    (tmp_path / "fennec.json").write_text(text.replace('"m3"', '"m3", "m33"'))
    with pytest.raises(ValueError, match=r"performance is .* not float64 of shape \(10, 8\); copy"):
        Fennec.load(tmp_path)
    (tmp_path / "fennec.json").write_text(text.replace('"format": 1', '"format": 7'))
    with pytest.raises(ValueError, match="is of format 7"):
        Fennec.load(tmp_path)
    (tmp_path / "fennec.json").write_text(json.dumps({"format": 1, "options": {}}))
    with pytest.raises(ValueError, match="fennec.json: options lacks 'metric'"):
        Fennec.load(tmp_path)
    (tmp_path / "fennec.json").write_text(text[:50])
    with pytest.raises(ValueError, match="is damaged"):
        Fennec.load(tmp_path)
    (tmp_path / "fennec.json").write_text(text)
    (tmp_path / "fennec.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="fennec.safetensors: is damaged"):
        Fennec.load(tmp_path)


# ---------------------------------------------------------------------------- input errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_factors": 9}, "n_factors=9 is out of range: 9 models and 8 past tasks .* at most 8"),
        ({"n_factors": 0}, "n_factors=0 is out of range"),
        ({"meta_weight": 1.5}, "meta_weight=1.5 is out of range"),
        ({"regressor": "tree"}, "regressor: 'tree' given; it is one of 'forest', 'ridge'"),
        ({"scaling": "log"}, "scaling: 'log' given; it is one of 'none', 'unit', 'rank'"),
        ({"regularisation": -1.0}, "regularisation=-1.0 is out of range"),
        ({"proxy_images": 0}, "proxy_images=0 is out of range"),
        ({"metric": "leap"}, "metric 'leap' is unknown"),
        ({"metric": "fda_score"}, "task 't0' has no features of any model"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Fennec(**{"metric": None, **options}).fit(made_history())


def test_histories_that_cannot_be_learnt_from():
    history = made_history()
    empty_row = history.performance.copy()
    empty_row[2] = np.nan
    with pytest.raises(ValueError, match="none is known of model 'm2'"):
        Fennec(metric=None).fit(history.with_performance(empty_row))
    empty_column = history.performance.copy()
    empty_column[:, 3] = np.nan
    with pytest.raises(ValueError, match="none is known of task 't3'"):
        Fennec(metric=None).fit(history.with_performance(empty_column))
    with pytest.raises(ValueError, match="the meta phase has nothing.*meta_weight=0"):
        Fennec(metric=None).fit(made_history(model_facts={}))
    proxies = {task: np.zeros((4, 3 + (task == "t2"))) for task in history.tasks}
    with pytest.raises(ValueError, match="features of 3 and 4 columns"):
        Fennec(metric=None).fit(made_history(proxies=proxies))
    proxies = {task: np.full((4, 3), np.nan) for task in history.tasks}
    with pytest.raises(ValueError, match="proxy features of task 't0' of shape .* contains nan"):
        Fennec(metric=None).fit(made_history(proxies=proxies))
    with pytest.raises(ValueError, match=r"architectures: shape \(3,\) does not fit 9 models"):
        Fennec(metric=None).fit(history, ["a", "b", "c"])
    with pytest.raises(ValueError, match="architectures: hold none of model 'm1'"):
        Fennec(metric=None).fit(history, {"m0": "vit"})


def test_fewer_tasks_than_the_published_factors_take_as_many_as_there_are():
    history = made_history().subset(tasks=["t0", "t1", "t2"])
    assert Fennec(metric=None).fit(history).task_vectors_.shape == (3, 3)
    one = made_history().subset(tasks=["t4"])
    assert Fennec(metric=None).fit(one).model_vectors_.shape == (M, 1)


def test_wrong_use_of_a_fitted_one():
    history = made_history()
    with pytest.raises(ValueError, match="not fitted yet"):
        Fennec().recommend(history.task("t0"))
    fennec = Fennec(metric=None).fit(history, ARCHITECTURES)
    task, facts = history.task("t0"), history.model_facts["m0"]
    for k, message in ((0, "k=0 is out of range"), (10, "k=10 is out of range: there are 9")):
        with pytest.raises(ValueError, match=message):
            fennec.recommend(task, k)
    with pytest.raises(ValueError, match="images and classes of the new task are missing"):
        fennec.place(np.zeros((5, WIDTH)))
    facts_of_task = {"images": 10, "classes": 2}
    with pytest.raises(ValueError, match="have 2 columns, but Fennec was fitted with 6"):
        fennec.place(np.zeros((5, 2)), facts=facts_of_task)
    with pytest.raises(ValueError, match="two-dimensional"):
        fennec.place(np.zeros(6), facts=facts_of_task)
    with pytest.raises(ValueError, match="model 'x' is unknown"):
        fennec.place(facts=facts_of_task, performance={"x": 0.5})
    with pytest.raises(ValueError, match="with at least one"):
        fennec.place(facts=facts_of_task, performance={})
    with pytest.raises(ValueError, match="give its proxy features, or the performance"):
        fennec.place(facts=facts_of_task)
    bad_models = [
        (("m3", history.row("m3")), {}, "model 'm3' is there already"),
        (("new", {"mars": 0.5}), {}, "task 'mars' is unknown; there are 't0'"),
        (("new", {"t0": np.nan}), {}, "that of 't0' is not finite"),
        (("new", {"t0": -0.5}), {}, "holds negative values"),
        (("new",), {}, "give either its performance or its features"),
        (("new",), {"features": {"t0": (np.zeros((4, 2)), [0, 0, 1, 1])}}, "holds performances"),
        (("new", {"t0": 0.5}), {}, "parameters of model 'new' is missing"),
        (("new", {"t0": 0.5}), {"facts": facts}, "architecture: that of model 'new' is missing"),
    ]
    for arguments, options, message in bad_models:
        with pytest.raises(ValueError, match=message):
            fennec.add_model(*arguments, **options)
    assert len(fennec.models_) == M


def test_by_default_opposite_tables_give_opposite_recommendations():
    history = made_history(features=labelled_features)
    turned = history.with_performance(history.performance.max() - history.performance)
    task = history.task("t1")
    first, second = (Fennec(meta_weight=0.0).fit(one).recommend(task) for one in (history, turned))
    assert list(first) != list(second)
    np.testing.assert_array_equal(Fennec().fit(history).performance_, history.performance)
    with pytest.raises(ValueError, match="fill the matrix, as metric='fda_score'"):
        Fennec(meta_weight=0.0).fit(history.with_performance(None))
