"""Every public result can be copied and pickled, and so returned from a pool of processes."""

import copy
import pickle
import warnings
from types import MappingProxyType

import numpy as np
import pytest

import transfer_kernels as tk
from transfer_kernels import ops
from transfer_kernels.estimators import NotFittedError
from transfer_kernels.evaluation import controls
from transfer_kernels.evaluation.yardstick import by_metric, by_table, leave_one_task_out
from transfer_kernels.kernels.fisher_discriminant import SingularScatter
from transfer_kernels.metrics.problem import Problem
from transfer_kernels.metrics.scatter_problem import ScatterProblem
from transfer_kernels.recommend import Fennec, Task, TransferHistory, by_fennec
from transfer_kernels.zoo.ranking import ModelScores

X, Y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 3
MODELS, TASKS = ("m0", "m1", "m2"), ("t0", "t1", "t2")


def ways():
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield lambda one, protocol=protocol: pickle.loads(pickle.dumps(one, protocol))
    yield copy.deepcopy
    yield copy.copy


def same(one, other, seen=()):
    """Whether two results say the same, whatever they are made of."""
    assert type(one) is type(other)
    if id(one) in seen:
        return True
    seen = (*seen, id(one))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict | MappingProxyType):
        return list(one) == list(other) and all(same(one[k], other[k], seen) for k in one)
    if isinstance(one, tuple | list):
        pairs = zip(one, other, strict=True)
        return len(one) == len(other) and all(same(*pair, seen) for pair in pairs)
    if not callable(one) and (state := getattr(one, "__dict__", None)):
        return same(state, other.__dict__, seen)
    return str(one) == str(other) or " at 0x" in str(one)


def zoo_folder(folder):
    """Features of every model on every task, and the proxy's, as files."""
    rng = np.random.default_rng(0)
    (folder / "proxies").mkdir()
    for task in TASKS:
        (folder / task).mkdir()
        np.savez(folder / "proxies" / f"{task}.npz", features=X[:20, :3], labels=Y[:20])
        np.save(folder / task / "labels.npy", Y[:20])
        for model in MODELS:
            np.save(folder / task / f"{model}.npy", rng.normal(size=(20, 3)))
    return folder


@pytest.fixture
def history(tmp_path):
    zoo_folder(tmp_path)
    return TransferHistory(
        MODELS,
        TASKS,
        np.random.default_rng(1).random((3, 3)),
        features=tmp_path,
        proxies=tmp_path / "proxies",
        model_facts={model: {"layers": i} for i, model in enumerate(MODELS)},
        task_facts={task: {"images": i} for i, task in enumerate(TASKS)},
    )


def results(history):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        ranking = tk.rank({"a": X, "b": X[:4], "c": X + 1}, Y)
        yield from (ranking, ranking[0], ranking["abc".index("b")], ranking.scores)
        yield tk.sfda_ensemble({"a": X, "b": X**2}, Y, k=2)
        problem = Problem(X, Y)
        tk.metrics.metric_call("sfda")(problem)
        yield problem
    yield ranking.evaluate({"a": 0.1, "b": 0.3, "c": 0.2})
    yield tk.evaluate({"a": 1.0, "b": 2.0, "c": float("nan")}, {"a": 1.0, "b": 2.0, "c": 0.0})
    scatter = ops.fisher_scatter(X, Y, 3)
    yield scatter
    yield ScatterProblem(scatter)
    outputs = tk.ModelOutputs(X, posteriors=np.full((len(X), 2), 0.5), source=(X, Y))
    yield outputs
    problem = Problem(outputs, Y, reference=X)
    assert problem.inputs.posteriors is not None
    yield problem
    yield ops.logme_evidence(scatter.gram, X.T @ np.eye(3)[Y], np.full(3, 20.0), 60, 5)
    yield from (ops.EvidenceRule(), ops.LargestEvidence())
    yield from (kind().fit(X, Y) for kind in (tk.SFDA, tk.LogME, tk.PARC))
    yield from (history, history.task("t1"), history.without_task("t0"), Task("t", {"images": 3}))
    fennec = Fennec(None, regressor="ridge").fit(history)
    yield from (fennec, fennec.place(history.task("t0")), fennec.recommend(history.task("t0")))
    yield leave_one_task_out(history)


def test_results_are_the_same_again(history):
    for one in results(history):
        for again in ways():
            assert same(one, again(one)), one


def test_rows_stay_read_only():
    for again in ways():
        row = again(ModelScores("a", {"m": 1.0}, {"m": 0.1}, None, {"m": "why"}))
        for mapping in (row.scores, row.seconds, row.warnings):
            with pytest.raises(TypeError):
                mapping["m"] = 2.0


def test_sources_work_again(history):
    for again in ways():
        other = again(history)
        assert np.array_equal(
            other.features("m1", "t2").features, history.task("t2").features("m1")[0]
        )
        task = again(history.task("t1"))
        assert np.array_equal(task.proxy().features, history.proxy("t1").features)
        assert not other.performance.flags.writeable


@pytest.mark.parametrize(
    "make",
    [
        lambda: by_fennec(metric=None, regressor="ridge", meta_weight=0.0),
        lambda: by_metric("logme", backend="reference"),
        lambda: by_table({"t0": {"m0": 1.0, "m1": 2.0, "m2": 3.0}}),
        lambda: controls.random_order(draws=2),
        lambda: controls.mean_rank,
    ],
)
def test_recommenders_recommend_the_same_again(history, make):
    past, new = history.without_task("t0"), history.task("t0")
    expected = make()(past, new)
    for again in ways():
        assert again(make())(past, new) == expected


def test_samples_and_model_spider(history):
    pytest.importorskip("torch")
    from transfer_kernels.recommend import ModelSpider, sample_tasks

    samples = list(sample_tasks(history, n_pools=1, progress=False))
    spider = ModelSpider(width=4, epochs=1).fit(samples, progress=False)
    for again in ways():
        assert np.array_equal(again(samples[0]).own("m1"), samples[0].own("m1"))
        scores = again(spider).score(again(history.task("t1")), budget=1)
        assert np.array_equal(scores, spider.score(history.task("t1"), budget=1))


def test_embeddings(history):
    for package in ("torch", "gensim", "sklearn"):
        pytest.importorskip(package)
    import torch
    from torch import nn

    from transfer_kernels.recommend import archi2vec, architecture_graph

    nets = {
        "a": nn.Sequential(nn.Linear(3, 3), nn.ReLU()),
        "b": nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)),
    }
    graph = architecture_graph(nets["a"], torch.zeros(1, 3))
    zoo = archi2vec(nets, torch.zeros(1, 3), min_count=1, epochs=2)
    for again in ways():
        assert again(graph) == graph
        assert np.array_equal(again(zoo).vectors, zoo.vectors)
        assert again(zoo).clusters == zoo.clusters
        assert np.array_equal(again(zoo).embed(graph), zoo.embed(graph))


@pytest.mark.parametrize("kind", [tk.UninformativeScoreWarning, NotFittedError, SingularScatter])
def test_errors_and_warnings(kind):
    for again in ways():
        one = again(kind("what happened"))
        assert type(one) is kind and str(one) == "what happened"
