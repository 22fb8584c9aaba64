"""Completion: planted structure, the conditional by hand, gaps, alien pasts, search, files."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import weightedtau

from transfer_kernels.estimators import NotFittedError
from transfer_kernels.evaluation.yardstick import by_table, leave_one_task_out, with_mean_rank
from transfer_kernels.recommend import Completion, TransferHistory, by_completion
from transfer_kernels.recommend.completion.beliefs import Mixture, believe
from transfer_kernels.recommend.completion.column_prior import (
    ColumnPrior,
    Conditioner,
    ViewModel,
)
from transfer_kernels.recommend.completion.normal_scores import normal_scores, score_columns
from transfer_kernels.recommend.completion.past_columns import even_weights, learn_columns
from transfer_kernels.recommend.completion.shrinkage import compressed, ledoit_wolf_weight
from transfer_kernels.recommend.completion.views import learn_views


def names(prefix, n):
    return [f"{prefix}{i}" for i in range(n)]


class Planted:
    """Columns of M models, a mean and three factors in noise, and a metric's noisy view."""

    def __init__(self, seed, M=40, T=20, noise=0.3, metric_noise=0.5, new=8):
        rng = np.random.default_rng(seed)
        self.mean, self.factors = rng.normal(size=M) * 0.7, rng.normal(size=(M, 3)) * 0.6
        self.noise, self.metric_noise = noise, metric_noise
        columns = self.mean[:, None] + self.factors @ rng.normal(size=(3, T + new))
        columns = columns + noise * rng.normal(size=columns.shape)
        seen = columns + metric_noise * rng.normal(size=columns.shape)
        self.models, self.tasks = names("m", M), names("t", T)
        self.history = TransferHistory(self.models, self.tasks, 60 + 9 * columns[:, :T])
        self.scores = {
            task: dict(zip(self.models, (3 * seen[:, t] + 7).tolist(), strict=True))
            for t, task in enumerate(self.tasks)
        }
        self.new, self.seen = columns[:, T:].T, 3 * seen[:, T:].T + 7

    def oracle(self, rows, raw):
        """What is expected of all models by one who knows all parameters but the level."""
        S = self.factors @ self.factors.T + self.noise**2 * np.eye(len(self.mean))
        y = raw[rows] / 3
        V = S[np.ix_(rows, rows)] + self.metric_noise**2 * np.eye(len(rows)) + 1e4
        return self.mean + S[:, rows] @ np.linalg.solve(V, y - self.mean[rows])

    def taus(self, completion, n_run):
        """Weighted tau of the completion and of the oracle, both told the same models."""
        ours, best = [], []
        for truth, raw in zip(self.new, self.seen, strict=True):
            search = completion.start()
            if n_run < len(self.models):
                search.run(lambda m, raw=raw: raw[int(m[1:])], n_run)
            else:
                for model, value in zip(self.models, raw, strict=True):
                    search.tell(model, value)
            rows = np.array([int(m[1:]) for m in search.told])
            ours.append(weightedtau(search.scores, truth).statistic)
            best.append(weightedtau(self.oracle(rows, raw), truth).statistic)
        return np.mean(ours), np.mean(best)


@pytest.mark.parametrize(
    "T, allowed",
    [(20, 0.03), *(pytest.param(T, 0.02, marks=pytest.mark.exhaustive) for T in (50, 100))],
)
def test_planted_rank_three_comes_near_the_one_who_knows_it(T, allowed):
    both = []
    for seed in range(3):
        planted = Planted(seed, T=T)
        completion = Completion().fit(planted.history, planted.scores)
        both += [planted.taus(completion, n_run) for n_run in (12, 40)]
    ours, oracle = np.mean(both, axis=0)
    assert oracle - ours < allowed
    assert ours > 0.8


def test_more_past_and_more_runs_tell_more():
    def tau(T, n_run):
        found = []
        for seed in range(4):
            planted = Planted(seed, T=T)
            completion = Completion().fit(planted.history, planted.scores)
            found.append(planted.taus(completion, n_run)[0])
        return np.mean(found)

    assert tau(5, 6) < tau(20, 6)
    assert tau(20, 2) < tau(20, 40)


# ---------------------------------------------------------------------------- conditioning


def test_conditioning_is_the_gaussian_conditional_of_the_whole_matrix():
    rng = np.random.default_rng(1)
    M, r, K = 9, 3, 2
    prior = ColumnPrior(rng.normal(size=M), rng.normal(size=(M, r)), rng.uniform(0.2, 1, M))
    slope, root = np.array([0.8, -0.5]), rng.normal(size=(K, K))
    noise = root @ root.T + 0.1 * np.eye(K)
    rows = np.array([7, 0, 3, 4])
    seen = np.array([[True, True], [True, False], [False, True], [True, True]])
    values = rng.normal(size=(4, K))
    conditioner = Conditioner(prior, ViewModel(slope, noise, level_precision=0.25), rows, seen)
    posterior = conditioner.posterior(values)

    S = prior.factors @ prior.factors.T + np.diag(prior.noise)
    pairs = [(i, k) for i in range(4) for k in range(K) if seen[i, k]]
    A = np.zeros((len(pairs), M))
    V = np.zeros((len(pairs), len(pairs)))
    for p, (i, k) in enumerate(pairs):
        A[p, rows[i]] = slope[k]
        for q, (j, other) in enumerate(pairs):
            V[p, q] = noise[k, other] * (i == j) + 4.0 * (k == other)
    y = np.array([values[i, k] for i, k in pairs])
    V = A @ S @ A.T + V
    gain = S @ A.T @ np.linalg.inv(V)
    np.testing.assert_allclose(posterior.mean, prior.mean + gain @ (y - A @ prior.mean))
    np.testing.assert_allclose(posterior.variance(), np.diag(S - gain @ A @ S))

    form, log_det = conditioner.evidence_form(np.array([values, slope * prior.mean[rows, None]]))
    ours = -0.5 * (np.array([1, -1]) @ form @ np.array([1, -1]) + log_det)
    rest = y - A @ prior.mean
    expected = -0.5 * (rest @ np.linalg.solve(V, rest) + np.linalg.slogdet(V)[1])
    assert ours - expected == pytest.approx(-0.5 * K * math.log(0.25), abs=1e-9)


def test_posterior_in_chunks_is_the_same(monkeypatch):
    planted = Planted(3, M=30, T=10)
    completion = Completion().fit(planted.history, planted.scores)
    search = completion.start()
    search.run(lambda m: planted.seen[0][int(m[1:])], 5)
    whole = search.std
    monkeypatch.setattr("transfer_kernels.recommend.completion.column_prior.Posterior.CHUNK", 7)
    search.tell("m0", planted.seen[0][0]).tell("m1", planted.seen[0][1])
    again = completion.start()
    for model, told in list(search.told.items())[:5]:
        again.tell(model, told)
    np.testing.assert_allclose(again.std, whole, rtol=1e-12)


def test_a_metric_of_any_unit_gives_the_same_recommendation():
    planted = Planted(4)
    plain = Completion().fit(planted.history, planted.scores)
    scaled = {t: {m: 1e-3 * s - 40 for m, s in of.items()} for t, of in planted.scores.items()}
    other = Completion().fit(planted.history, scaled)
    searches = [plain.start(), other.start()]
    for model in ("m3", "m17", "m20", "m31"):
        value = planted.seen[0][int(model[1:])]
        searches[0].tell(model, value)
        searches[1].tell(model, 1e-3 * value - 40)
    np.testing.assert_allclose(searches[0].scores, searches[1].scores, rtol=1e-6, atol=1e-9)


def test_probabilities_of_being_best_are_those_of_drawn_columns():
    rng = np.random.default_rng(8)
    planted = Planted(5, M=12, T=15)
    search = Completion(past_weight=1.0).fit(planted.history, planted.scores).start()
    search.run(lambda m: planted.seen[0][int(m[1:])], 4)
    found = search.best_probability(draws=20000)
    assert found.sum() == pytest.approx(1.0)
    posterior = search._beliefs()._beliefs[0].posterior
    H = np.vstack([moved for _, moved in posterior.chunks()])
    covariance = H @ H.T + np.diag(posterior.own)
    drawn = rng.multivariate_normal(posterior.mean, covariance, size=20000)
    expected = np.bincount(drawn.argmax(axis=1), minlength=12) / 20000
    np.testing.assert_allclose(found, expected, atol=0.015)
    assert np.array_equal(found, search.best_probability(draws=20000))


# ---------------------------------------------------------------------------- the past


def test_normal_scores_keep_the_order_and_gaps():
    scores = normal_scores(np.array([3.0, np.nan, 1.0, 1.0, 1e6]))
    assert np.isnan(scores[1])
    assert scores[2] == scores[3] < scores[0] < scores[4]
    known = scores[[0, 2, 3, 4]]
    assert known.mean() == pytest.approx(0.0, abs=1e-15)
    assert known.std() == pytest.approx(1.0)
    assert np.isnan(normal_scores(np.array([2.0, 2.0, np.nan]))).all()


def test_shrinkage_is_that_of_scikit_learn():
    covariance = pytest.importorskip("sklearn.covariance")
    residuals = np.random.default_rng(0).normal(size=(14, 9)) * np.arange(1, 15)[:, None]
    _, expected = covariance.ledoit_wolf(residuals.T, assume_centered=True)
    assert ledoit_wolf_weight(residuals) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("shape", [(20, 6), (6, 20)])
def test_compressed_factors_keep_the_diagonal(shape):
    columns = np.random.default_rng(2).normal(size=shape)
    factors, lacking = compressed(columns, 3)
    assert factors.shape == (shape[0], 3)
    diagonal = np.einsum("mr,mr->m", factors, factors) + lacking
    np.testing.assert_allclose(diagonal, np.einsum("mj,mj->m", columns, columns))
    values = np.linalg.svd(columns, compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(factors, compute_uv=False), values[:3])


def test_gaps_are_filled_by_what_kin_and_the_same_column_tell():
    planted = Planted(6, M=30, T=40)
    full = score_columns(planted.history.performance)
    holes = np.random.default_rng(0).random(full.shape) < 0.25
    gapped = planted.history.performance.copy()
    gapped[holes] = np.nan
    past = learn_columns(score_columns(gapped), 30, lambda filled: even_weights(40))
    assert past.n_sweeps > 1
    told = np.corrcoef(past.columns[holes], full[holes])[0, 1]
    guess = np.where(holes, np.nan, full)
    by_mean = np.broadcast_to(np.nanmean(guess, axis=1)[:, None], full.shape)
    assert told > np.corrcoef(by_mean[holes], full[holes])[0, 1] + 0.05
    assert told > 0.85


def test_gaps_cost_little_and_unknown_models_are_kept_uncertain():
    planted = Planted(7, M=30, T=30)
    holes = np.random.default_rng(0).random((30, 30)) < 0.3
    gapped = np.where(holes, np.nan, planted.history.performance)
    gapped[4] = np.nan  # a model without any past
    history = planted.history.with_performance(gapped)
    whole = Completion().fit(planted.history, planted.scores)
    completion = Completion().fit(history, planted.scores)
    assert planted.taus(completion, 10)[0] > planted.taus(whole, 10)[0] - 0.1
    deviations = completion.start().std
    # Columns have variance 1 over models: that is what is known of a model without a past.
    assert deviations[4] == pytest.approx(1.0, abs=0.15)
    assert deviations[4] > np.median(deviations)


def test_views_find_slope_offsets_and_scale():
    rng = np.random.default_rng(3)
    M, T = 25, 200
    columns = score_columns(rng.normal(size=(M, T)))
    offsets = rng.normal(size=M) * 0.4
    seen = 0.7 * columns + offsets[:, None] + 0.3 * rng.normal(size=(M, T))
    raw = 12.0 * seen + rng.normal(size=T)
    views = learn_views(["one"], raw[None], columns)
    scale = np.exp(views.log_scale[0])
    assert views.slope[0] * scale == pytest.approx(0.7 * 12, rel=0.05)
    centred = offsets - offsets.mean()
    np.testing.assert_allclose(views.offsets[:, 0] * scale / 12, centred, atol=0.08)
    assert views.noise[0, 0] * (scale / 12) ** 2 == pytest.approx(0.09, rel=0.2)
    assert views.flat_noise[0, 0] > views.noise[0, 0]


def test_an_alien_past_is_outvoted_by_the_scores():
    alien, own = Planted(10, M=30, T=25), Planted(11, M=30, T=25, metric_noise=0.25)
    completion = Completion().fit(alien.history, alien.scores)
    kin = Completion().fit(own.history, own.scores)
    weights, taus, alone = [], [], []
    for truth, raw in zip(own.new, own.seen, strict=True):
        search, native = completion.start(), kin.start()
        assert search.past_weight == pytest.approx(completion.past_weight)
        for model, value in zip(own.models, raw, strict=True):
            search.tell(model, value)
            native.tell(model, value)
        weights.append([search.past_weight, native.past_weight])
        taus.append(weightedtau(search.scores, truth).statistic)
        alone.append(weightedtau(raw, truth).statistic)
    mean_weights = np.mean(weights, axis=0)
    assert mean_weights[0] < 0.1 and mean_weights[1] > 0.9
    assert np.mean(taus) > np.mean(alone) - 0.02
    believed = Completion(past_weight=1.0).fit(alien.history, alien.scores)
    stubborn = []
    for truth, raw in zip(own.new, own.seen, strict=True):
        search = believed.start()
        for model, value in zip(own.models, raw, strict=True):
            search.tell(model, value)
        stubborn.append(weightedtau(search.scores, truth).statistic)
    assert np.mean(taus) > np.mean(stubborn)


def test_proxies_weigh_the_kind_of_task():
    rng = np.random.default_rng(5)
    kinds = [0, 1] * 8 + [0, 1]
    profiles = rng.normal(size=(2, 20))
    tasks = names("t", len(kinds))
    columns = np.array([profiles[kind] + 0.3 * rng.normal(size=20) for kind in kinds]).T
    proxies = {
        task: rng.normal(3.0 * kind, 1.0, (30, 4)) for task, kind in zip(tasks, kinds, strict=True)
    }
    history = TransferHistory(names("m", 20), tasks, columns, proxies=proxies)
    past = history.subset(tasks=tasks[:-2])
    completion = Completion(proxies=True).fit(past)
    for task, kind in zip(tasks[-2:], kinds[-2:], strict=True):
        scores = completion.start(history.task(task)).scores
        assert weightedtau(scores, profiles[kind]).statistic > 0.8
    with pytest.raises(ValueError, match=r"^task: this Completion weighs"):
        completion.start()


# ---------------------------------------------------------------------------- the search


def fitted(**options):
    planted = Planted(0, M=10, T=12)
    return Completion(**options).fit(planted.history, planted.scores), planted


def test_budget_and_costs_bound_the_search():
    completion, planted = fitted()
    costs = {m: 0.1 if i < 5 else 0.4 for i, m in enumerate(planted.models)}
    search = completion.start(costs=costs, budget=0.7)
    search.run(lambda m: planted.seen[0][int(m[1:])])
    assert search.spent <= 0.7 + 1e-12
    assert 0.7 - search.spent < 0.1 or all(
        int(m[1:]) >= 5 for m in search.models if m not in search.told
    )
    assert search.next_model() is None
    assert search.spent == pytest.approx(sum(costs[m] for m in search.told))
    everything = completion.start().run(lambda m: planted.seen[0][int(m[1:])])
    assert len(everything.told) == 10 and everything.next_model() is None


def test_dear_models_are_tried_later():
    completion, _ = fitted()
    first = completion.start(kappa=5.0).next_model()
    costs = {m: 100.0 if m == first else 1.0 for m in completion.models_}
    assert completion.start(kappa=5.0, costs=costs).next_model() != first
    assert completion.start(kappa=0.0, costs=costs).next_model() == next(
        iter(completion.recommend(k=1))
    )


def test_exploration_takes_what_is_uncertain():
    planted = Planted(0, M=10, T=12)
    gapped = planted.history.performance.copy()
    gapped[6, 1:] = np.nan
    completion = Completion().fit(planted.history.with_performance(gapped))
    deviations = completion.start().std
    assert completion.start(kappa=500.0).next_model() == f"m{int(np.argmax(deviations))}"
    best = next(iter(completion.recommend(k=1)))
    assert completion.start(kappa=0.0).next_model() == best


def test_told_again_replaces_and_costs_once():
    completion, _ = fitted()
    search = completion.start().tell("m1", 5.0).tell("m2", 9.0)
    before = search.scores.copy()
    search.tell("m1", 12.0)
    assert not np.array_equal(search.scores, before)
    assert search.spent == 2.0
    np.testing.assert_array_equal(search.tell("m1", 5.0).scores, before)


def test_performances_can_be_told_beside_metrics():
    planted = Planted(1, M=20, T=30)
    metrics = {"first": planted.scores, "second": planted.scores}
    completion = Completion().fit(planted.history, metrics)
    assert completion.view_names_ == ("first", "second", "performance")
    search = completion.start()
    truth = 60 + 9 * planted.new[0]
    search.tell("m0", {"first": planted.seen[0][0]})
    search.tell("m0", {"performance": truth[0]}).tell("m1", {"performance": truth[1]})
    assert set(search.told["m0"]) == {"first", "performance"}
    with pytest.raises(ValueError, match=r"^score: a number could be any of 'first', 'second'"):
        search.tell("m3", 1.0)
    plain = Completion().fit(planted.history).start()
    for m in range(20):
        plain.tell(f"m{m}", truth[m])
    assert weightedtau(plain.scores, truth).statistic > 0.93


def test_wrong_use_is_told():
    completion, planted = fitted()
    with pytest.raises(NotFittedError):
        Completion().start()
    search = completion.start()
    for call, message in [
        (lambda: search.tell("x", 1.0), "model 'x' is unknown"),
        (lambda: search.tell("m0", math.nan), "score: nan given"),
        (lambda: search.tell("m0", {"logme": 1.0}), "score: 'logme' is unknown"),
        (lambda: search.tell("m0", {}), "score: that of model 'm0' is empty"),
        (lambda: search.recommend(11), "k=11 is out of range"),
        (lambda: completion.start(budget=-1), "budget: -1 given"),
        (lambda: completion.start(kappa=math.inf), "kappa: inf given"),
        (lambda: completion.start(costs={"m0": 1}), "costs: have none of model 'm1'"),
        (lambda: completion.start(costs=dict.fromkeys(planted.models, 0)), "costs: 0 given"),
        (lambda: Completion(past_weight=0).fit(planted.history), "past_weight=0 is out of range"),
        (lambda: Completion(rank=0).fit(planted.history), "rank"),
        (lambda: Completion().fit(planted.history, {"t0": {"m0": 1.0}}), "scores: 'score' has no"),
        (lambda: Completion().fit(planted.history, {}), "scores: a mapping"),
        (
            lambda: Completion().fit(planted.history, {"performance": planted.scores}),
            "scores: 'performance' is what",
        ),
        (lambda: Completion(proxies=True).fit(planted.history), "no proxy features"),
        (
            lambda: Completion().fit(TransferHistory(["a", "b"], ["t"], [[1.0], [1.0]])),
            "history: no task has two models",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_one_task_of_two_models_is_enough():
    history = TransferHistory(["a", "b"], ["t"], [[1.0], [2.0]])
    assert list(Completion().fit(history).recommend()) == ["b", "a"]


# ---------------------------------------------------------------------------- files


def test_saved_and_loaded_is_the_same(tmp_path):
    pytest.importorskip("safetensors")
    rng = np.random.default_rng(0)
    planted = Planted(2, M=12, T=9)
    proxies = {t: rng.normal(size=(20, 4)) for t in planted.tasks}
    history = TransferHistory(
        planted.models, planted.tasks, planted.history.performance, proxies=proxies
    )
    for options, count in itertools.product([{}, {"proxies": True}], [1, 12]):
        past = history.subset(tasks=planted.tasks[:count])
        scores = None if count == 1 else planted.scores
        completion = Completion(**options).fit(past, scores)
        completion.save(tmp_path)
        loaded = Completion.load(tmp_path)
        assert loaded.get_params() == completion.get_params()
        searches = [one.start(history.task("t8")) for one in (completion, loaded)]
        for search in searches:
            search.tell("m3", 0.4).tell("m5", 0.9)
        np.testing.assert_array_equal(searches[0].scores, searches[1].scores)
        np.testing.assert_array_equal(searches[0].std, searches[1].std)
        if count == 1:
            break


def test_a_damaged_file_is_refused(tmp_path):
    pytest.importorskip("safetensors")
    completion, _ = fitted()
    completion.save(tmp_path)
    path = tmp_path / "completion.json"
    content = json.loads(path.read_text())
    for change, message in [
        ({"views": ["score", "score"]}, "views names"),
        ({"rank": 3}, "factors"),
        ({"bandwidth": 1.0}, "kernel.descriptions is missing"),
        ({"options": {**content["options"], "past_weight": 7}}, "past_weight=7 is out of range"),
        ({"options": {**content["options"], "proxies": True}}, "does not fit the option proxies"),
        ({"extra": 1}, "extra does not belong there"),
    ]:
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(ValueError, match=message):
            Completion.load(tmp_path)


def test_beliefs_are_weighed_by_evidence_alone():
    planted = Planted(9, M=15, T=20)
    completion = Completion().fit(planted.history, planted.scores)
    prior = completion.start()._prior
    rows, values = np.arange(15), np.full((15, 2), np.nan)
    values[:, 0] = planted.seen[0]
    beliefs = [
        believe(prior, completion._views, rows, values),
        believe(ColumnPrior.flat(15), completion._views, rows, values, flat=True),
    ]
    odds = math.exp(beliefs[0].log_evidence - beliefs[1].log_evidence)
    weights = Mixture(beliefs, [0.5, 0.5]).weights
    assert weights[0] / weights[1] == pytest.approx(odds)


# ---------------------------------------------------------------------------- the made history


@pytest.fixture(scope="module")
def made():
    folder = Path(__file__).parents[2] / "examples" / "transfer_history"
    scores = {}
    with (folder / "scores.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for metric in ("logme", "fda_score"):
                of = scores.setdefault(metric, {}).setdefault(row["task"], {})
                of[row["model"]] = float(row[metric])
    return TransferHistory.read_csv(folder / "accuracies.csv"), scores


def all_told(past, scores, task):
    search = Completion().fit(past, scores).start()
    for model, value in scores[task].items():
        search.tell(model, value)
    return search


def test_on_the_made_history_it_is_above_the_metric_and_the_sum(made):
    history, scores = made
    ours = leave_one_task_out(
        history,
        {
            "LogME": by_table(scores["logme"], metric=True),
            "all": by_completion(scores["logme"]),
            "three": by_completion(scores["logme"], 3),
        },
        tasks=history.tasks[::2],
        progress=False,
    )
    assert ours.mean("all") > ours.mean(with_mean_rank("LogME")) + 0.04
    assert ours.mean("three") > ours.mean("LogME")
    assert ours.cost("three") == 3 and ours.cost("all") == 19


@pytest.mark.parametrize(("metric", "lost"), [("logme", 0.0), ("fda_score", 0.02)])
def test_only_the_other_domain_does_not_drag_a_metric_down(made, metric, lost):
    history, scores = made
    photographs = {task: task.startswith("digits") for task in history.tasks}
    taus, alone, misled = [], [], []
    for task in history.tasks:
        others = [one for one in history.tasks if photographs[one] != photographs[task]]
        truth = np.array(list(history.column(task).values()))
        past = history.subset(tasks=others)
        taus.append(weightedtau(all_told(past, scores[metric], task).scores, truth).statistic)
        alone.append(weightedtau(list(scores[metric][task].values()), truth).statistic)
        stubborn = Completion(past_weight=1.0).fit(past, scores[metric]).start()
        for model, value in scores[metric][task].items():
            stubborn.tell(model, value)
        misled.append(weightedtau(stubborn.scores, truth).statistic)
    assert np.mean(taus) > np.mean(alone) - lost
    assert np.mean(taus) > np.mean(misled) + 0.02


def test_gaps_are_filled_alike_by_whole_matrices_and_by_factors(monkeypatch):
    planted = Planted(8, M=40, T=25)
    full = score_columns(planted.history.performance)
    holes = np.random.default_rng(0).random(full.shape) < 0.2
    gapped = score_columns(np.where(holes, np.nan, planted.history.performance))
    found = []
    for dense in (500, 10):
        monkeypatch.setattr("transfer_kernels.recommend.completion.past_columns.DENSE", dense)
        past = learn_columns(gapped, 25, lambda filled: even_weights(25))
        found.append(past.columns[holes])
    assert np.corrcoef(*found)[0, 1] > 0.98
    told = [np.corrcoef(one, full[holes])[0, 1] for one in found]
    assert min(told) > 0.8 and told[1] > told[0] - 0.03
