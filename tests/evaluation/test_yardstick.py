"""The yardstick: what is held out, the controls, draws, intervals, the report, published tables."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import transfer_kernels as tk
from transfer_kernels.evaluation import controls
from transfer_kernels.evaluation.ranked import Ranked
from transfer_kernels.evaluation.yardstick import (
    MEAN_RANK,
    PARAMETERS,
    RANDOM,
    Comparison,
    by_metric,
    by_table,
    leave_one_task_out,
    with_mean_rank,
)
from transfer_kernels.recommend import TransferHistory

TABLES = Path(__file__).parents[1] / "published_transfers"
NAN = float("nan")


def published(name):
    return TransferHistory.read_csv(TABLES / f"transfer_{name}.csv")


def small_history(**options):
    rng = np.random.default_rng(0)
    performance = rng.random((6, 5)) + np.linspace(0, 1, 6)[:, None]
    return TransferHistory([*"abcdef"], [f"t{i}" for i in range(5)], performance, **options)


@pytest.fixture(scope="module")
def controls_only():
    return leave_one_task_out(small_history())


# ---------------------------------------------------------------------------- published tables


@pytest.mark.parametrize(("table", "mean"), [("sfda_group1", 0.837), ("sfda_group2", 0.685)])
def test_mean_rank_reaches_what_is_known_of_it(table, mean):
    comparison = leave_one_task_out(published(table))
    assert comparison.mean(MEAN_RANK) == pytest.approx(mean, abs=5e-4)
    low, high = comparison.interval(MEAN_RANK)
    assert low < mean < high
    assert abs(comparison.mean(RANDOM)) < 0.03


def test_mean_rank_by_task():
    # As computed apart from this package, from the same table.
    values = leave_one_task_out(published("sfda_group1")).values(MEAN_RANK)
    expected = [0.847, 0.712, 0.847, 0.903, 0.986, 0.993, 0.480, 0.824, 0.950, 0.932, 0.731]
    np.testing.assert_allclose(list(values.values()), expected, atol=5e-4)


def test_model_spiders_weighting_on_its_own_baselines():
    history = published("modelspider_finetuned10")
    scores = {}
    with (TABLES / "transfer_modelspider_baselines.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            scores.setdefault(row["Dataset"], {})[row["Model"]] = float(row["H-Score"])
    tasks = [task for task in history.tasks if task in scores]
    comparison = leave_one_task_out(history, {"H-Score": by_table(scores)}, tasks=tasks)
    found = comparison.values("H-Score", "weighted_kendall_by_accuracy")
    expected = dict(Aircraft=0.328, Caltech101=0.738, Cars=0.616, CIFAR10=0.797)
    expected |= dict(CIFAR100=0.784, DTD=0.395, Pet=0.610, SUN397=0.918)
    for task in tasks:
        assert found[task] == pytest.approx(expected[task], abs=6e-4), task
    with (TABLES / "derived_modelspider_weighted_kendall.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            both = comparison.values("H-Score")[row["dataset"]]
            assert both == pytest.approx(float(row["H-Score"]), abs=1e-9)


# ---------------------------------------------------------------------------- holding out


def test_the_held_out_task_is_not_in_the_past():
    history, seen = small_history(), []

    def recommender(past, task):
        assert task.name not in past.tasks and len(past.tasks) == 4
        with pytest.raises(ValueError, match="not in this history"):
            past.column(task.name)
        seen.append(task.name)
        return dict.fromkeys(past.models, 0.0)

    comparison = leave_one_task_out(history, {"constant": recommender})
    assert seen == list(history.tasks)
    assert comparison.mean("constant") == 0.0
    leave_one_task_out(history, {"constant": recommender}, tasks=["t3"])
    assert seen[-1] == "t3" and len(seen) == 6


def test_figures_are_those_of_evaluate():
    history = small_history()
    scores = {task: {m: ord(m) * 1.0 for m in history.models} for task in history.tasks}
    comparison = leave_one_task_out(history, {"alphabet": by_table(scores)}, ks=(1, 2))
    for task in history.tasks:
        expected = tk.evaluate(scores[task], history.column(task), ks=(1, 2))
        for figure in comparison.figures:
            assert comparison.values("alphabet", figure)[task] == pytest.approx(expected[figure])
    assert comparison.mean("alphabet", "regret@1") == np.mean(
        [max(history.column(t).values()) - history.column(t)["f"] for t in history.tasks]
    )


def test_gaps_are_left_out_and_tasks_that_tell_nothing_skipped():
    performance = small_history().performance.copy()
    performance[2, 0] = NAN
    performance[:, 1] = 0.5
    performance[1:, 2] = NAN
    history = TransferHistory([*"abcdef"], [f"t{i}" for i in range(5)], performance)
    comparison = leave_one_task_out(
        history,
        {"truth": lambda past, task: {**dict.fromkeys("abcdef", NAN), **history.column(task.name)}},
    )
    assert comparison.skipped == ("t1", "t2")
    assert comparison.tasks == ("t0", "t3", "t4")
    assert comparison.mean("truth") == 1.0


def test_a_model_without_a_score_counts_as_the_worst():
    history = small_history()
    for best in (True, False):

        def recommender(past, task, best=best):
            truth = history.column(task.name)
            unknown = (max if best else min)(truth, key=truth.get)
            return {**truth, unknown: NAN}

        comparison = leave_one_task_out(history, {"partly": recommender})
        if best:
            assert comparison.mean("partly", "recall@1") == 0.0
        else:  # the worst shares the last place with the one before
            assert comparison.mean("partly") > 0.9


def test_draws_are_averaged():
    history = small_history()

    def both_ways(past, task):
        truth = history.column(task.name)
        return [truth, {model: -value for model, value in truth.items()}]

    comparison = leave_one_task_out(history, {"both": both_ways})
    assert comparison.mean("both") == pytest.approx(0.0, abs=1e-12)
    assert comparison.mean("both", "recall@1") == 0.5


# ---------------------------------------------------------------------------- controls


def test_mean_rank_is_over_what_is_known():
    history = TransferHistory(
        [*"abc"], [*"xyz"], [[1.0, 1.0, 9.0], [2.0, NAN, 9.0], [3.0, 3.0, NAN]]
    )
    past = history.without_task("z")
    scores = controls.mean_rank(past, history.task("z"))
    assert scores == pytest.approx({"a": (0.5 / 3 + 0.25) / 2, "b": 0.5, "c": (2.5 / 3 + 0.75) / 2})
    never = TransferHistory([*"ab"], [*"xy"], [[1.0, 2.0], [NAN, NAN]])
    assert controls.mean_rank(never, never.task("x"))["b"] == 0.5


def test_mean_rank_equals_the_plain_one_without_gaps():
    history = small_history()
    for task in history.tasks:
        others = np.delete(history.performance, history.tasks.index(task), axis=1)
        plain = np.mean([stats.rankdata(column) for column in others.T], axis=0)
        scores = controls.mean_rank(history.without_task(task), history.task(task))
        np.testing.assert_allclose(list(scores.values()), (plain - 0.5) / 6)


def test_mean_performance_centres_the_tasks():
    history = TransferHistory([*"ab"], [*"xyz"], [[10.0, NAN, 0.0], [20.0, 900.0, 0.0]])
    scores = controls.mean_performance(history.without_task("z"), history.task("z"))
    assert scores == {"a": -5.0, "b": 2.5}


def test_parameter_count_joins_where_it_is_known():
    sizes = {m: {"parameters": float(i)} for i, m in enumerate("abcdef")}
    comparison = leave_one_task_out(small_history(model_facts=sizes))
    assert set(comparison.recommenders) == {MEAN_RANK, PARAMETERS, RANDOM}
    assert comparison.mean(PARAMETERS) > 0.3
    sizes.pop("c")
    partly = small_history(model_facts=sizes)
    assert PARAMETERS not in leave_one_task_out(partly).recommenders
    with pytest.raises(ValueError, match="number of parameters of 'c' is not known"):
        controls.parameter_count(partly, partly.task("t0"))


def test_metrics_as_recommenders():
    def features(model, task):
        rng = np.random.default_rng([ord(model), int(task[1:])])
        y = np.arange(60) % 3
        return rng.normal(size=(60, 5)) + rng.random() * y[:, None], y

    history = small_history(features=features)
    scores = by_metric("logme")(history.without_task("t2"), history.task("t2"))
    assert scores["d"] == tk.logme(*features("d", "t2"))
    comparison = leave_one_task_out(history, {"logme": by_metric("logme")}, tasks=["t2"])
    expected = tk.evaluate(scores, history.column("t2")).weighted_kendall
    assert comparison.mean("logme") == pytest.approx(expected)


# ---------------------------------------------------------------------------- intervals


def test_the_interval_covers_the_mean_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        values = np.random.default_rng(seed).choice([1.0, -1.0], size=40, p=[0.7, 0.3])
        by_task = {f"t{i}": {"weighted_kendall": value} for i, value in enumerate(values)}
        low, high = Comparison({"coin": by_task}, resamples=500).interval("coin")
        covered += low <= 0.4 <= high
    assert covered >= 51  # of 60 at 95 %; fewer has a chance of less than 1 in 500


def test_differences_are_paired():
    history = small_history()
    rank = controls.mean_rank
    comparison = leave_one_task_out(history, {"same": rank})
    assert comparison.difference("same") == (0.0, 0.0, 0.0)
    gap, low, high = comparison.difference(RANDOM)
    assert low <= gap <= high
    assert gap == pytest.approx(comparison.mean(RANDOM) - comparison.mean(MEAN_RANK))
    narrow = comparison.interval(RANDOM, level=0.5)
    wide = comparison.interval(RANDOM, level=0.99)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


def test_same_seed_same_report(controls_only):
    history = small_history()

    def figures(comparison):
        return [(comparison.mean(r), comparison.interval(r)) for r in comparison.recommenders]

    assert figures(leave_one_task_out(history)) == figures(controls_only)
    assert figures(leave_one_task_out(history, seed=1)) != figures(controls_only)


def test_figures_that_are_not_defined_are_left_out_of_means():
    performance = small_history().performance.copy()
    performance[:, 0] -= 100.0
    history = TransferHistory([*"abcdef"], [f"t{i}" for i in range(5)], performance)
    comparison = leave_one_task_out(history)
    values = comparison.values(MEAN_RANK, "rel@1")
    assert math.isnan(values["t0"])
    expected = np.mean([value for task, value in values.items() if task != "t0"])
    assert comparison.mean(MEAN_RANK, "rel@1") == pytest.approx(expected)
    assert all(np.isfinite(comparison.interval(MEAN_RANK, "rel@1")))


def test_clusters_are_drawn_whole():
    values = np.repeat([0.0, 1.0, 0.2, 0.7], 10)
    by_task = {f"t{i}": {"weighted_kendall": value} for i, value in enumerate(values)}
    clusters = {f"t{i}": f"c{i // 10}" for i in range(40)}
    alone = Comparison({"x": by_task}).interval("x")
    together = Comparison({"x": by_task}, clusters=clusters).interval("x")
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    # Four clusters alike in size: the interval is that of their four means.
    means = {f"c{i}": {"weighted_kendall": v} for i, v in enumerate([0.0, 1.0, 0.2, 0.7])}
    assert together == pytest.approx(Comparison({"x": means}).interval("x"))
    with pytest.raises(ValueError, match="clusters: have none of task 't0'"):
        Comparison({"x": by_task}, clusters={})


def test_a_cluster_named_as_another_task_is_no_task():
    by_task = {f"t{i}": {"weighted_kendall": float(i)} for i in range(4)}
    named = Comparison({"x": by_task}, clusters={"t0": "t1", "t1": "t1", "t2": "a", "t3": "b"})
    assert named.clusters == ("t1", "t1", "a", "b")


def test_groups_are_held_out_together():
    history, seen = small_history(), {}
    groups = {"t0": "a", "t1": "a", "t2": "b", "t3": "c", "t4": "c"}

    def recommender(past, task):
        seen[task.name] = past.tasks
        return dict.fromkeys(past.models, 0.0)

    comparison = leave_one_task_out(history, {"x": recommender}, groups=groups)
    assert seen["t0"] == seen["t1"] == ("t2", "t3", "t4")
    assert seen["t2"] == ("t0", "t1", "t3", "t4")
    assert comparison.clusters == ("a", "a", "b", "c", "c")
    with pytest.raises(ValueError, match="groups: 'g' holds all tasks"):
        leave_one_task_out(history, groups=dict.fromkeys(history.tasks, "g"))
    with pytest.raises(ValueError, match="groups: have none of task 't1'"):
        leave_one_task_out(history, groups={"t0": "a"})


# ---------------------------------------------------------------------------- costs, sums


def with_features(**options):
    def features(model, task):
        rng = np.random.default_rng([ord(model), int(task[1:])])
        y = np.arange(40) % 2
        return rng.normal(size=(40, 3)) + rng.random() * y[:, None], y

    return small_history(features=features, **options)


def test_models_run_and_seconds_are_told():
    def two_models(past, task):
        for model in ("a", "c", "a"):
            task.features(model)
        return dict.fromkeys(past.models, 0.0)

    def told(past, task):
        return Ranked(dict.fromkeys(past.models, 0.0), models_run=4, seconds=7.5)

    scores = {t: {m: ord(m) * 1.0 for m in "abcde"} for t in small_history().tasks}
    comparison = leave_one_task_out(
        with_features(),
        {"two": two_models, "told": told, "table": by_table(scores, metric=True)},
    )
    assert comparison.cost("two") == 2 and comparison.cost("told") == 4
    assert comparison.cost("told", "seconds") == 7.5 and comparison.cost("two", "seconds") > 0
    assert comparison.cost("table") == 5 and math.isnan(comparison.cost("table", "seconds"))
    assert comparison.cost(MEAN_RANK) == 0
    with pytest.raises(ValueError, match="what: 'money' is unknown"):
        comparison.cost("two", "money")
    assert "4  " in comparison.table("told")


def test_the_mean_rank_is_added_to_every_metric():
    history = with_features()
    comparison = leave_one_task_out(history, {"logme": by_metric("logme")}, tasks=["t1", "t2"])
    name = with_mean_rank("logme")
    assert comparison.cost(name) == comparison.cost("logme") == 6
    for task in ("t1", "t2"):
        past, new = history.without_task(task), history.task(task)
        parts = (controls.mean_rank(past, new), by_metric("logme")(past, new))
        z = [stats.zscore(list(part.values())) for part in parts]
        expected = tk.evaluate(sum(z), list(history.column(task).values()))
        assert comparison.values(name)[task] == pytest.approx(expected["weighted_kendall"])


def test_sums_count_missing_scores_as_the_lowest():
    found = controls.standardised_sum({"a": 1.0, "b": 2.0}, {"a": NAN, "b": 3.0})
    assert found == pytest.approx({"a": -1.0, "b": 1.0})


def test_the_frontier_is_what_nothing_beats_at_its_cost():
    def figures(tau, regret):
        return {"t0": {"weighted_kendall": tau, "regret@1": regret}}

    costs = {
        n: {"t0": {"models_run": c, "seconds": 1.0}}
        for n, c in zip("abcd", (0, 3, 3, 9), strict=True)
    }
    comparison = Comparison(
        {"a": figures(0.5, 4), "b": figures(0.7, 3), "c": figures(0.6, 1), "d": figures(0.65, 0)},
        costs=costs,
    )
    assert comparison.frontier() == ["a", "b"]
    assert comparison.frontier("regret@1") == ["a", "c", "d"]
    pytest.importorskip("matplotlib")
    figure = comparison.plot_frontier()
    assert figure.axes[0].get_xlabel() == "models run on the new task"


# ---------------------------------------------------------------------------- the report


def test_report_as_table_and_files(controls_only, tmp_path):
    comparison = controls_only
    lines = str(comparison).splitlines()
    assert len(lines) == 4 and lines[2].startswith(MEAN_RANK)
    assert f"{comparison.mean(MEAN_RANK):.3f}" in lines[2]
    assert comparison._repr_html_().count("<tr>") == 3
    comparison.to_csv(tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    values = comparison.values(RANDOM, "pearson")
    assert {r["task"]: float(r["pearson"]) for r in rows if r["recommender"] == RANDOM} == values
    comparison.to_json(tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text())
    assert content[RANDOM]["mean"]["kendall"] == comparison.mean(RANDOM, "kendall")
    assert content[RANDOM]["tasks"]["t3"]["regret@1"] == comparison.values(RANDOM, "regret@1")["t3"]


def test_report_as_picture(controls_only):
    pytest.importorskip("matplotlib")
    comparison = controls_only
    figure = comparison.plot("regret@3")
    assert "regret@3" in figure.axes[0].get_xlabel()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert set(labels) == set(comparison.recommenders)
    with pytest.raises(ValueError, match="figure 'speed' is unknown"):
        comparison.plot("speed")


# ---------------------------------------------------------------------------- input errors


def test_refusals(controls_only):
    history = small_history()
    with pytest.raises(ValueError, match="1 task given; at least two"):
        leave_one_task_out(history.subset(tasks=["t0"]))
    with pytest.raises(ValueError, match="task 'mars' is not in this history"):
        leave_one_task_out(history, tasks=["mars"])
    flat = history.with_performance(np.ones((6, 5)))
    with pytest.raises(ValueError, match="no task has two models of different known performance"):
        leave_one_task_out(flat)
    with pytest.raises(ValueError, match="'short' gives no score of model 'b' on task 't0'"):
        leave_one_task_out(history, {"short": lambda past, task: {"a": 1.0}})
    with pytest.raises(ValueError, match="infinite"):
        leave_one_task_out(history, {"x": lambda past, task: dict.fromkeys("abcdef", math.inf)})
    with pytest.raises(ValueError, match="hold none of task 't0'"):
        leave_one_task_out(history, {"x": by_table({})})
    with pytest.raises(ValueError, match="metric 'leap' is unknown"):
        by_metric("leap")
    comparison = controls_only
    with pytest.raises(ValueError, match="recommender 'x' is not compared here"):
        comparison.mean("x")
    with pytest.raises(ValueError, match="level: 1.5 given"):
        comparison.interval(RANDOM, level=1.5)
