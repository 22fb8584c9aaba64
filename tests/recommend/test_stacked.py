"""The stacked ranker: planted weights, proxies, what is missing, wrong use."""

import numpy as np
import pytest

from transfer_kernels.estimators import NotFittedError
from transfer_kernels.evaluation.measures import weighted_kendall
from transfer_kernels.evaluation.yardstick import by_table, leave_one_task_out, with_mean_rank
from transfer_kernels.recommend import Stacked, TransferHistory, by_stacking

MODELS, TASKS = [f"m{i}" for i in range(15)], [f"t{i}" for i in range(24)]


def planted(seed=0, **sources):
    """A skill that all tasks share, one of each task that a good metric sees, and a blind one."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(15, 24))
    performance = 0.7 * rng.normal(size=(15, 1)) + own
    seen = own + 0.3 * rng.normal(size=own.shape)

    def table(matrix):
        return {
            t: dict(zip(MODELS, matrix[:, i].tolist(), strict=True)) for i, t in enumerate(TASKS)
        }

    history = TransferHistory(MODELS, TASKS, performance, **sources)
    return history, {"good": table(100 * seen + 3), "blind": table(rng.normal(size=own.shape))}


def test_weights_are_those_that_were_planted():
    history, scores = planted()
    stacked = Stacked().fit(history, scores)
    weights = stacked.weights_
    assert stacked.names_ == ("mean rank", "good", "blind")
    assert weights["good"] > weights["mean rank"] > 0.1 > abs(weights["blind"])


def test_it_beats_the_sum_where_the_weights_differ():
    history, scores = planted()
    comparison = leave_one_task_out(
        history,
        {"good": by_table(scores["good"], metric=True), "stacked": by_stacking(scores)},
        tasks=TASKS[:12],
        progress=False,
    )
    assert comparison.mean("stacked") > comparison.mean(with_mean_rank("good"))
    assert comparison.mean("stacked") > comparison.mean("good")
    assert comparison.cost("stacked") == 15


def test_size_and_proxies_make_columns():
    rng = np.random.default_rng(3)
    kinds = rng.normal(size=24)
    profile = rng.normal(size=15)
    performance = np.outer(profile, kinds) + 0.2 * rng.normal(size=(15, 24))
    history = TransferHistory(
        MODELS,
        TASKS,
        performance,
        proxies={t: rng.normal(k, 0.2, (30, 3)) for t, k in zip(TASKS, kinds, strict=True)},
        model_facts={m: {"parameters": 10.0 ** (i % 5)} for i, m in enumerate(MODELS)},
    )
    past, new = history.without_task("t0"), history.task("t0")
    stacked = Stacked(proxies=True).fit(past)
    assert stacked.names_ == ("mean rank", "parameters", "proxy prior")
    assert max(stacked.weights_, key=stacked.weights_.get) == "proxy prior"
    found = dict(zip(MODELS, stacked.score(new).tolist(), strict=True))
    assert weighted_kendall(found, history.column("t0")) > 0.6
    assert list(stacked.recommend(new, k=2)) == sorted(found, key=found.get)[::-1][:2]
    with pytest.raises(ValueError, match="task: give the new task"):
        stacked.score()


def test_gaps_and_missing_scores_are_taken():
    history, scores = planted()
    holes = np.random.default_rng(1).random((15, 24)) < 0.3
    gapped = history.with_performance(np.where(holes, np.nan, history.performance))
    scores["good"].pop("t3")
    scores["good"]["t4"].pop("m2")
    stacked = Stacked().fit(gapped, scores)
    assert stacked.weights_["good"] > 0.3
    new = {"good": {"m1": 2.0, "m2": float("nan"), "m3": 1.0}, "blind": {}}
    found = stacked.score(scores=new)
    assert np.isfinite(found).all() and found[1] > found[2]


def test_wrong_use_is_told():
    history, scores = planted()
    with pytest.raises(NotFittedError):
        Stacked().score()
    stacked = Stacked().fit(history, scores)
    with pytest.raises(ValueError, match="scores: of 'good' given, but those of fit are"):
        stacked.score(scores={"good": {}})
    with pytest.raises(ValueError, match="scores: model 'x' is unknown"):
        stacked.score(scores={"good": {"x": 1.0}, "blind": {}})
    with pytest.raises(ValueError, match="k=99 is out of range"):
        stacked.recommend(scores={"good": {}, "blind": {}}, k=99)
    with pytest.raises(ValueError, match="history: 1 task orders two models"):
        Stacked().fit(history.subset(tasks=["t0"]))
