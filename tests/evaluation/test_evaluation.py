"""Evaluation: published values, SciPy as the judge, and the rules for degenerate input."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transfer_kernels.evaluation import (
    evaluate,
    evaluation_table,
    kendall,
    pearson,
    recall_at_k,
    rel_at_k,
    weighted_kendall,
)

PUBLISHED = Path(__file__).parents[1] / "published_transfers"
# Model Spider's README, weighted tau of its baselines; Aircraft of LogME is not reproducible
# from the scores that the authors released.
MODEL_SPIDER_TABLE = {
    "H-Score": [0.328, 0.738, 0.616, 0.797, 0.784, 0.395, 0.610, 0.918],
    "NCE": [0.501, 0.752, 0.771, 0.694, 0.617, 0.403, 0.696, 0.892],
    "GBC": [-0.744, -0.055, -0.265, 0.758, 0.544, -0.102, 0.163, 0.457],
    "LFC": [0.279, -0.165, 0.243, 0.346, 0.418, -0.722, 0.215, -0.344],
}
MODEL_SPIDER_DATASETS = [
    "Aircraft", "Caltech101", "Cars", "CIFAR10", "CIFAR100", "DTD", "Pet", "SUN397",
]  # fmt: skip

tied_vectors = st.integers(2, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-4, 4), min_size=n, max_size=n),
        st.lists(st.integers(-4, 4), min_size=n, max_size=n),
    )
)
finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------------------- published values


@pytest.mark.parametrize(
    ("figure", "ours"),
    [
        ("weighted_kendall", weighted_kendall),
        ("kendall", kendall),
        ("pearson", pearson),
        ("rel_at_1", lambda s, a: rel_at_k(s, a, 1)),
        ("rel_at_3", lambda s, a: rel_at_k(s, a, 3)),
        ("recall_at_1_python3", lambda s, a: recall_at_k(s, a, 1)),
        ("recall_at_3_python3", lambda s, a: recall_at_k(s, a, 3)),
    ],
)
def test_rank_quality_of_the_sfda_benchmark(goldens, figure, ours):
    pairs = goldens["arrays"]("rank")
    got = [ours(s, a) for s, a in zip(pairs["scores"], pairs["acc"], strict=True)]
    np.testing.assert_allclose(got, goldens["scores"]["rank"][figure], rtol=1e-12, atol=1e-14)


def test_weighted_kendall_of_the_golden_zoo(goldens):
    accuracies, golden = goldens["arrays"]("zoo")["acc"], goldens["scores"]["zoo"]
    metrics = [key.split(":")[1] for key in golden if key.startswith("weighted_kendall:")]
    assert len(metrics) == 12
    for metric in metrics:
        expected = golden[f"weighted_kendall:{metric}"]
        assert weighted_kendall(golden[metric], accuracies) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", MODEL_SPIDER_TABLE)
def test_both_weightings_of_the_model_spider_baselines(metric):
    scores = table(PUBLISHED / "transfer_modelspider_baselines.csv")
    truth = {r["model"]: r for r in table(PUBLISHED / "transfer_modelspider_finetuned10.csv")}
    symmetric = {
        row["dataset"]: float(row[metric])
        for row in table(PUBLISHED / "derived_modelspider_weighted_kendall.csv")
    }
    for dataset, published in zip(MODEL_SPIDER_DATASETS, MODEL_SPIDER_TABLE[metric], strict=True):
        rows = [row for row in scores if row["Dataset"] == dataset]
        assert len(rows) == 10
        score = {row["Model"]: float(row[metric]) for row in rows}
        accuracy = {model: float(truth[model][dataset]) for model in score}
        result = evaluate(score, accuracy)
        assert result.weighted_kendall_by_accuracy == pytest.approx(published, abs=0.0011)
        assert result.weighted_kendall == pytest.approx(symmetric[dataset], abs=1e-12)


# ---------------------------------------------------------------------------- SciPy as the judge


@given(tied_vectors)
def test_correlations_equal_scipy_with_ties(vectors):
    from scipy import stats

    scores, accuracies = map(np.asarray, vectors)
    assume(len(set(scores)) > 1 and len(set(accuracies)) > 1)
    expected = {
        "kendall": stats.kendalltau(scores, accuracies).statistic,
        "weighted_kendall": stats.weightedtau(scores, accuracies).statistic,
        "weighted_kendall_by_accuracy": stats.weightedtau(accuracies, scores, rank=None).statistic,
        "spearman": stats.spearmanr(scores, accuracies).statistic,
        "pearson": stats.pearsonr(scores, accuracies).statistic,
    }
    result = evaluate(scores, accuracies)
    for figure, value in expected.items():
        assert result[figure] == pytest.approx(value, abs=1e-12), figure


def pairs_tau(x, y, weights):
    """Tau-b by its definition over all pairs, (i, j) weighing weights[i] + weights[j]."""
    pair = np.add.outer(weights, weights)
    signs = [np.sign(np.subtract.outer(values, values)) for values in (x, y)]
    alone = [np.sum(pair * sign**2) for sign in signs]
    return np.sum(pair * signs[0] * signs[1]) / np.sqrt(alone[0] * alone[1])


@pytest.mark.parametrize("n_values", [3, 8, 1000])
def test_kendall_by_its_definition(n_values):
    rng = np.random.default_rng(n_values)
    x, y = rng.integers(0, n_values, size=(2, 40)).astype(float)

    def order(first, second):
        return np.argsort(np.lexsort((second, first))[::-1])

    by_accuracy = pairs_tau(x, y, 1.0 / (1.0 + order(y, x)))
    by_score = pairs_tau(x, y, 1.0 / (1.0 + order(x, y)))
    found = evaluate(x, y)
    assert found.kendall == pytest.approx(pairs_tau(x, y, np.ones(40)), abs=1e-14)
    assert found.weighted_kendall_by_accuracy == pytest.approx(by_accuracy, abs=1e-14)
    assert found.weighted_kendall == pytest.approx((by_accuracy + by_score) / 2, abs=1e-14)


def test_thousands_of_models_take_no_matrix_of_pairs():
    import tracemalloc

    x, y = np.random.default_rng(0).normal(size=(2, 4000))
    evaluate(x, y)
    tracemalloc.start()
    evaluate(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # a matrix would be 128 MB


@given(st.lists(st.tuples(finite, finite), min_size=2, max_size=20), st.randoms())
def test_figures_are_bounded_and_need_no_order_of_the_models(pairs, random):
    # Ties of the score are broken by position in recall and rel, so there are none here.
    assume(len({s for s, _ in pairs}) == len(pairs) and len({a for _, a in pairs}) == len(pairs))
    shuffled = random.sample(pairs, len(pairs))
    first, second = (evaluate(*zip(*rows, strict=True)) for rows in (pairs, shuffled))
    for figure, value in first.items():
        assert second[figure] == pytest.approx(value, abs=1e-9, nan_ok=True), figure
        assert math.isnan(value) or figure.startswith("re") or -1 <= value <= 1


def test_part_of_a_best_accuracy_of_next_to_nothing():
    assert evaluate([0.0, 1.0], [np.finfo(float).tiny, -4.0], ks=(1,))["rel@1"] == -math.inf


def test_perfect_and_reversed_orders():
    accuracies = [0.5, 0.7, 0.6, 0.9]
    perfect = evaluate(accuracies, accuracies)
    for figure in perfect:
        expected = 0.0 if figure.startswith("regret") else 1.0
        assert perfect[figure] == pytest.approx(expected, rel=1e-15), figure
    assert set(perfect.regret.values()) == {0.0}
    reverse = evaluate([-a for a in accuracies], accuracies, ks=(1,))
    for value in (reverse.kendall, reverse.weighted_kendall, reverse.spearman):
        assert value == pytest.approx(-1.0, rel=1e-15)
    assert reverse["recall@1"] == 0.0
    assert reverse["rel@1"] == pytest.approx(0.5 / 0.9)
    assert reverse["regret@1"] == pytest.approx(0.9 - 0.5)


def test_weightings_differ_in_whose_ranks_count():
    scores, accuracies = [4.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]
    by_accuracy = weighted_kendall(scores, accuracies, weighting="accuracy")
    by_score = weighted_kendall(accuracies, scores, weighting="accuracy")
    assert by_accuracy != pytest.approx(by_score)
    both = weighted_kendall(scores, accuracies)
    assert both == pytest.approx((by_accuracy + by_score) / 2)
    assert both == pytest.approx(weighted_kendall(accuracies, scores))


# ---------------------------------------------------------------------------- degenerate input


def test_constant_scores_order_nothing():
    result = evaluate([1.0, 1.0, 1.0], [0.1, 0.2, 0.3])
    for figure in ("kendall", "weighted_kendall", "weighted_kendall_by_accuracy", "pearson"):
        assert result[figure] == 0.0
    assert result.spearman == 0.0


def test_constant_accuracies_leave_nothing_to_predict():
    result = evaluate([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    assert all(math.isnan(result[figure]) for figure in ("kendall", "pearson", "spearman"))
    assert result["rel@1"] == 1.0


def test_failed_models_are_left_out_and_listed():
    scores = {"a": 1.0, "b": math.nan, "c": 2.0, "d": math.inf}
    result = evaluate(scores, {"a": 0.1, "b": 0.9, "c": 0.2, "d": 0.3})
    assert result.n_models == 2
    assert result.excluded == ("b", "d")
    assert "b, d" in str(result)
    assert result.kendall == 1.0


def test_rel_says_nothing_when_the_best_is_not_positive():
    assert math.isnan(rel_at_k([1.0, 2.0], [-0.5, -0.1], 1))


def test_huge_and_tiny_values_neither_overflow_nor_vanish():
    assert pearson([1e300, 2e300, 3e300], [1e-300, 2e-300, 3e-300]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("scores", "accuracies", "error", "message"),
    [
        ([1.0, 2.0], [1.0], ValueError, "2 scores but 1 accuracies"),
        ({"a": 1.0, "b": 2.0}, [1.0, 2.0], TypeError, "both as mappings"),
        ({"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}, ValueError, "accuracies has no 'b'; .*'c'"),
        ([1.0, 2.0], [1.0, math.nan], ValueError, "model 1 is not finite"),
        ([math.nan, 2.0], [1.0, 2.0], ValueError, "1 of 2 models have a finite score"),
        (["high", "low"], [1.0, 2.0], TypeError, "real numbers"),
        ([[1.0], [2.0]], [1.0, 2.0], ValueError, r"shape \(2, 1\)"),
    ],
)
def test_refusals(scores, accuracies, error, message):
    with pytest.raises(error, match=message):
        evaluate(scores, accuracies)


def test_single_functions_refuse_what_evaluate_would_leave_out():
    with pytest.raises(ValueError, match="drop those models"):
        kendall([math.nan, 1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="at least 1"):
        recall_at_k([1.0, 2.0], [1.0, 2.0], 0)
    with pytest.raises(ValueError, match="'both' or 'accuracy'"):
        weighted_kendall([1.0, 2.0], [1.0, 2.0], weighting="score")


# ---------------------------------------------------------------------------- appearance


def test_evaluation_is_a_mapping_and_prints_every_figure():
    result = evaluate([1.0, 2.0, 3.0], [0.2, 0.1, 0.3], ks=(1, 2))
    assert dict(result) == result.to_dict()
    assert {"recall@1", "rel@2", "weighted_kendall"} <= set(result)
    assert all(figure in str(result) for figure in result)


def test_table_has_an_aligned_row_per_score():
    result = evaluate([1.0, 2.0, 3.0], [0.2, 0.1, 0.3])
    lines = evaluation_table({"sfda": result, "a longer name": result}).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert f"{result.weighted_kendall:.3f}" in lines[2]
