"""Model Spider: its loss and network against plain definitions, its training, its input errors."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import transfer_kernels as tk  # noqa: E402
from transfer_kernels.recommend import (  # noqa: E402
    ModelSpider,
    TaskSample,
    TransferHistory,
    by_model_spider,
    reciprocal_rank_fusion,
    sample_tasks,
)
from transfer_kernels.recommend.model_spider.ranking_loss import plackett_luce_loss  # noqa: E402
from transfer_kernels.recommend.model_spider.spider_network import OwnTokens, SpiderNetwork  # noqa: E402
from transfer_kernels.recommend.model_spider.task_samples import class_means  # noqa: E402

MODELS = ("a", "b", "c", "d")
SMALL = {"width": 8, "epochs": 4, "learning_rate": 1e-2}


@pytest.fixture(autouse=True)
def one_thread():
    """These networks are so small that a second thread costs more than it gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_samples(n=24, seed=0, models=MODELS, own=True, n_classes=(2, 6)):
    """Tasks of a hidden kind in [0, 1] that the tokens tell; each model is good at its own kind."""
    rng = np.random.default_rng(seed)
    strength = dict(zip(models, np.linspace(0, 1, len(models)), strict=True))
    samples = []
    for number in range(n):
        kind, classes = rng.random(), rng.integers(*n_classes)
        general = rng.normal(kind, 0.1, (classes, 5)).astype(np.float32)
        performance = {m: 1 - abs(kind - place) for m, place in strength.items()}

        def own_tokens(model, classes=classes, number=number, performance=performance):
            noise = np.random.default_rng([number, MODELS.index(model)])
            width = 3 + MODELS.index(model)
            return noise.normal(performance[model], 0.1, (classes, width)).astype(np.float32)

        samples.append(
            TaskSample(general, performance, own_tokens if own else None, (f"t{number}",))
        )
    return samples


def make_history(n_tasks=6, n_images=40, n_classes=4, seed=0, labelled=True):
    """Past tasks with features; the further a model is down the list, the noisier it is."""
    rng = np.random.default_rng(seed)
    features, proxies = {}, {}
    for t in range(n_tasks):
        labels = np.arange(n_images) % n_classes
        centres = rng.normal(size=(n_classes, 6))
        for m, model in enumerate(MODELS):
            noise = (0.2 + 0.8 * m) * rng.normal(size=(n_images, 6 + m))
            noise[:, :6] += centres[labels]
            features[model, f"t{t}"] = noise.astype(np.float32), labels
        proxy = centres[labels] + rng.normal(size=(n_images, 6))
        proxies[f"t{t}"] = (proxy, labels) if labelled else proxy
    performance = [[1 - 0.1 * m + 0.01 * t for t in range(n_tasks)] for m in range(len(MODELS))]
    return TransferHistory(
        MODELS,
        [f"t{t}" for t in range(n_tasks)],
        performance,
        features=lambda model, task: features[model, task],
        proxies=proxies,
    )


# -------------------------------------------------------------------------------------------- parts


def test_rank_fusion_by_hand():
    fused = reciprocal_rank_fusion([[3.0, 1.0, 2.0], [10.0, 20.0, 20.0], [5.0, np.nan, 4.0]])
    assert fused == pytest.approx(
        [1 / 61 + 1 / 63 + 1 / 61, 1 / 63 + 1 / 61, 3 / 62 - 1 / 62 + 1 / 61]
    )


def test_fused_ties_are_exact_in_any_order():
    orders = (
        np.random.default_rng(0).permuted(np.tile([1.0, 2.0, 5.0, 9.0, 7.0], (50, 1)), axis=1).T
    )
    table = np.vstack([orders, np.zeros((0, 50))])
    ranks = 1 + (table[:, None] > table[:, :, None]).sum(axis=2)
    fused = reciprocal_rank_fusion(table)
    same = [fused[np.all(np.sort(ranks, 0) == np.sort(ranks, 0)[:, [i]], 0)] for i in range(50)]
    assert all(len(set(group)) == 1 for group in same)


def reference_loss(scores, performance):
    """One task, written out: models drawn from best to worst."""
    order = sorted(range(len(scores)), key=lambda m: -performance[m])
    draws = [
        math.log(sum(math.exp(scores[k]) for k in order if performance[k] <= performance[m]))
        - scores[m]
        for m in order[:-1]
    ]
    return sum(draws) / len(draws)


def test_loss_is_the_plackett_luce_likelihood():
    rng = np.random.default_rng(1)
    scores, performance = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    expected = np.mean([reference_loss(s, p) for s, p in zip(scores, performance, strict=True)])
    found = plackett_luce_loss(torch.tensor(scores), torch.tensor(performance))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_tied_models_stay_in_each_others_denominator():
    scores, performance = [0.3, -1.0, 0.5], [2.0, 2.0, 1.0]
    found = plackett_luce_loss(torch.tensor([scores]), torch.tensor([performance]))
    assert found.item() == pytest.approx(reference_loss(scores, performance), rel=1e-6)


def test_models_without_performance_do_not_enter_the_loss():
    scores = torch.tensor([[0.3, 7.0, -1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    loss = plackett_luce_loss(scores, torch.tensor([[2.0, math.nan, 3.0, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(reference_loss([0.3, -1.0, 0.5], [2.0, 3.0, 1.0]))
    assert scores.grad[0, 1] == 0 and scores.grad.isfinite().all()


def reference_score(network, model, general, own=None):
    """One model and task: the whole sequence through all of the attention, then the first place."""
    sequence = [network.tokens[model][None], network.from_general(general)]
    if own is not None:
        sequence.append(network.from_own[str(model)](own))
    x = torch.cat(sequence)
    logits = network.query(x) @ network.key(x).T / math.sqrt(network.width)
    y = network.norm(x + network.output(logits.softmax(1) @ network.value(x)))
    return network.head(network.head_norm(y))[0, 0]


def test_network_is_the_attention_over_the_whole_sequence():
    torch.manual_seed(0)
    network = SpiderNetwork(3, 5, [4, None, 6], width=8).double().eval()
    tasks = [torch.randn(c, 5, dtype=torch.float64) for c in (2, 7, 4)]
    general = torch.nn.utils.rnn.pad_sequence(tasks, batch_first=True)
    present = torch.arange(7) < torch.tensor([[2], [7], [4]])
    own = {
        (1, 0): torch.randn(3, 4, dtype=torch.float64),
        (0, 2): torch.randn(5, 6, dtype=torch.float64),
        (2, 0): torch.randn(1, 4, dtype=torch.float64),
    }
    for given in ({}, own):
        scores = network(general, present, [OwnTokens(t, m, x) for (t, m), x in given.items()])
        expected = [
            [reference_score(network, m, task, given.get((t, m))) for m in range(3)]
            for t, task in enumerate(tasks)
        ]
        torch.testing.assert_close(scores, torch.stack([*map(torch.stack, expected)]))
    alone = network.score(general[:1, :2], present[:1, :2])
    torch.testing.assert_close(network.score(general, present)[:1], alone)


def test_class_means():
    X = np.arange(12.0).reshape(6, 2)
    labels = ["b", "a", "b", "a", "c", "a"]
    expected = [X[[1, 3, 5]].mean(0), X[[0, 2]].mean(0), X[4]]
    assert class_means(torch.tensor(X), labels) == pytest.approx(np.array(expected))


# ------------------------------------------------------------------------------------ sampled tasks


def test_pools_are_ranked_by_the_metrics():
    history = make_history().with_performance(None)
    samples = sample_tasks(
        history, n_pools=6, draws=3, classes=(4, 8), shots=8, metrics=["logme", "fda_score"]
    )
    assert len(samples) == 18
    for sample in samples:
        assert 4 <= len(sample.general) <= 8 and sample.general.shape[1] == 6
        assert 2 <= len(sample.tasks) <= 4
        assert [sample.own(m).shape[1] for m in MODELS] == [6, 7, 8, 9]
        assert len(sample.own("a")) == len(sample.general)
    best = [max(sample.performance, key=sample.performance.get) for sample in samples]
    assert best.count("a") >= 15  # the least noisy


def test_sampled_tasks_depend_on_the_seed_alone():
    def tokens(seed):
        samples = sample_tasks(
            make_history(), performance="fused", n_pools=2, draws=2, metrics=["logme"], seed=seed
        )
        return [(s.general.tobytes(), s.own("b").tobytes(), s.performance) for s in samples]

    assert tokens(3) == tokens(3) != tokens(4)


def test_past_tasks_with_their_own_performance():
    history = make_history()
    samples = sample_tasks(history, performance="history", draws=2, shots=5, classes=(2, 3))
    assert [sample.tasks for sample in samples[:3]] == [("t0",), ("t0",), ("t1",)]
    assert all(len(sample.general) == 3 for sample in samples)  # of four classes
    assert samples[0].performance == history.column("t0")
    everything = sample_tasks(history, performance="history", draws=1)[0]
    proxy = history.proxy("t0")
    assert everything.general == pytest.approx(class_means(*proxy), abs=1e-6)
    assert everything.own("c") == pytest.approx(class_means(*history.features("c", "t0")), abs=1e-6)


def test_input_errors_of_sampling():
    history = make_history()
    for options, message in [
        ({"performance": "guess"}, "performance: 'guess' given"),
        ({"sources": (3, 2)}, r"sources: \(3, 2\) given"),
        ({"classes": (1, 2)}, r"classes: \(1, 2\) given; the least is from 2"),
        ({"shots": 0}, "shots=0 is out of range"),
        ({"metrics": ["guess"]}, "metric 'guess' is unknown"),
    ]:
        with pytest.raises(ValueError, match=message):
            sample_tasks(history, **{"performance": "fused", **options})
    with pytest.raises(ValueError, match="proxy features of task 't.' come without labels"):
        sample_tasks(make_history(labelled=False))
    needy = tk.Metric("needy", lambda problem: 0.0, needs={"posteriors"})
    with pytest.raises(ValueError, match="metrics: needy needs posteriors, but pools are made of"):
        sample_tasks(make_history(), performance="fused", metrics=[needy])
    with pytest.raises(ValueError, match="no task on which the performance of two models differs"):
        sample_tasks(history.with_performance(np.ones((4, 6))), performance="history")
    bare = TransferHistory(["a", "b"], ["t"], [[1], [2]], proxies={"t": (np.eye(4), [0, 0, 1, 1])})
    assert sample_tasks(bare, performance="history", draws=1)[0].own is None
    with pytest.raises(ValueError, match="no features"):
        sample_tasks(bare, performance="fused")


# ----------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    options = {"width": 16, "epochs": 25, "learning_rate": 1e-2}
    return ModelSpider(**options).fit(make_samples(96), progress=False)


def test_it_learns_which_model_suits_which_task(trained):
    new = make_samples(40, seed=1)
    assert trained.losses_[-1] < 0.6 * trained.losses_[0]
    truth = [max(sample.performance, key=sample.performance.get) for sample in new]
    for budget in (0, 2):
        hits = [
            next(iter(trained.recommend(sample, budget=budget))) == best
            for sample, best in zip(new, truth, strict=True)
        ]
        assert np.mean(hits) > 0.7  # 0.25 by chance


def test_scoring_many_tasks_is_scoring_each(trained):
    new = make_samples(9, seed=2)
    together = trained.score_all(new)
    assert together.shape == (9, 4) and together.dtype == np.float64
    assert together == pytest.approx(np.stack([trained.score(one) for one in new]), abs=1e-5)


def test_scoring_in_many_parts_is_scoring_at_once(trained, monkeypatch):
    new = make_samples(9, seed=2)
    at_once = trained.score_all(new)
    monkeypatch.setattr("transfer_kernels.recommend.model_spider.spider_network._PASS", 1)
    assert trained.score_all(new) == pytest.approx(at_once, abs=1e-5)


def test_a_budget_runs_the_best_models_and_no_other(trained):
    sample = make_samples(1, seed=3)[0]
    asked = []

    def own(model):
        asked.append(model)
        return sample.own(model)

    watched = TaskSample(sample.general, {}, own)
    first = trained.recommend(watched)
    assert asked == []
    second = trained.recommend(watched, budget=2)
    assert asked == list(first)[:2]
    changed = {model for model in MODELS if first[model] != pytest.approx(second[model], abs=1e-5)}
    assert changed == set(asked)
    assert list(second.values()) == sorted(second.values(), reverse=True)


def test_classes_have_no_order(trained):
    sample = make_samples(1, seed=4)[0]
    turned = TaskSample(sample.general[::-1], {})
    assert trained.score(turned) == pytest.approx(trained.score(sample), abs=1e-5)


def test_same_seed_same_bits():
    def bits(**options):
        spider = ModelSpider(**SMALL, **options).fit(make_samples(), progress=False)
        return spider.score(make_samples(1, seed=9)[0], budget=2).tobytes()

    torch.manual_seed(1)
    one = bits()
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    assert bits() == one != bits(seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)


class Interrupted(Exception):
    pass


def interrupted_after(n_epochs, monkeypatch):
    """Let training fail when it has done so many epochs and begun the next."""
    epoch_of = ModelSpider._epoch

    def epoch(self, number, *arguments):
        if number == n_epochs:
            raise Interrupted
        return epoch_of(self, number, *arguments)

    monkeypatch.setattr(ModelSpider, "_epoch", epoch)


def test_a_fit_resumes_with_the_same_bits(tmp_path, monkeypatch):
    whole = ModelSpider(**SMALL).fit(make_samples(), progress=False)
    with monkeypatch.context() as patch:
        interrupted_after(2, patch)
        with pytest.raises(Interrupted):
            ModelSpider(**SMALL).fit(make_samples(), checkpoint=tmp_path / "fit", progress=False)
    resumed = ModelSpider(**SMALL).fit(make_samples(), checkpoint=tmp_path / "fit", progress=False)
    assert resumed.losses_ == whole.losses_
    for name, value in whole.network_.state_dict().items():
        assert torch.equal(resumed.network_.state_dict()[name], value), name
    # A finished fit is not repeated.
    with monkeypatch.context() as patch:
        patch.setattr(ModelSpider, "_epoch", None)
        again = ModelSpider(**SMALL).fit(make_samples(), checkpoint=tmp_path / "fit")
    assert again.losses_ == whole.losses_


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    ModelSpider(**SMALL).fit(make_samples(), checkpoint=tmp_path, progress=False)
    for options, samples in [({"seed": 1}, make_samples()), ({}, make_samples(seed=5))]:
        with pytest.raises(ValueError, match="of a fit with other options or tasks"):
            ModelSpider(**SMALL, **options).fit(samples, checkpoint=tmp_path, progress=False)


def test_fit_shows_its_progress(capfd):
    ModelSpider(**SMALL).fit(make_samples(), progress=True)
    assert "Model Spider: 100%" in capfd.readouterr().err
    ModelSpider(**SMALL).fit(make_samples(), progress=False)
    assert capfd.readouterr() == ("", "")


def test_gaps_in_the_performance():
    samples = [
        TaskSample(one.general, {m: p for m, p in one.performance.items() if m != gap}, one.own)
        for one, gap in zip(make_samples(24), [*"abcd"] * 6, strict=True)
    ]
    spider = ModelSpider(**SMALL).fit(samples, progress=False)
    assert set(spider.models_) == set(MODELS)
    assert np.isfinite(spider.score(samples[0])).all() and np.isfinite(spider.losses_).all()


def test_fit_to_a_history_and_recommend_for_a_task():
    history = make_history()
    past, new = history.without_task("t5"), history.task("t5")
    samples = sample_tasks(
        past, performance="fused", n_pools=4, draws=4, shots=8, metrics=["logme"]
    )
    spider = ModelSpider(width=8, epochs=20, learning_rate=1e-2).fit(samples, progress=False)
    assert next(iter(spider.recommend(new))) == "a"
    assert next(iter(spider.recommend(new, k=1, budget=2))) == "a"
    alone = spider.score(tuple(history.proxy("t5")))
    assert alone == pytest.approx(spider.score(new), abs=1e-5)


def test_on_the_yardstick_it_never_sees_the_task_held_out():
    history = make_history()
    samples = sample_tasks(history, performance="history", draws=2)
    fitted = []

    class Watched(ModelSpider):
        def fit(self, tasks, **options):
            fitted.extend(tasks)
            return super().fit(tasks, **options)

    import transfer_kernels.recommend.model_spider.model_spider as module

    original, module.ModelSpider = module.ModelSpider, Watched
    try:
        recommender = by_model_spider(samples, budget=1, width=8, epochs=1)
        scores = recommender(history.without_task("t2"), history.task("t2"))
    finally:
        module.ModelSpider = original
    assert set(scores) == set(MODELS)
    assert {task for sample in fitted for task in sample.tasks} == {"t0", "t1", "t3", "t4", "t5"}


# --------------------------------------------------------------------------------- one more model


def test_a_new_model_is_learnt_and_nothing_else_changes():
    samples = make_samples(96)
    without = [
        TaskSample(one.general, {m: one.performance[m] for m in "abc"}, one.own) for one in samples
    ]
    spider = ModelSpider(width=16, epochs=25, learning_rate=1e-2).fit(without, progress=False)
    before = {name: value.clone() for name, value in spider.network_.state_dict().items()}
    new = make_samples(40, seed=1)
    scores = spider.score_all(new)
    assert spider.add_model("d", samples, progress=False) is spider
    after = spider.network_.state_dict()
    assert spider.models_ == MODELS
    assert torch.equal(after["tokens"][:3], before["tokens"])
    assert all(torch.equal(after[k], v) for k, v in before.items() if k != "tokens")
    assert spider.score_all(new)[:, :3] == pytest.approx(scores, abs=1e-5)
    performance = [sample.performance["d"] for sample in new]
    assert np.corrcoef(spider.score_all(new)[:, 3], performance)[0, 1] > 0.7
    assert all(p.requires_grad for p in spider.network_.parameters())
    assert set(spider.recommend(new[0], budget=4)) == set(MODELS)


def test_a_model_that_cannot_be_added_changes_nothing(trained, monkeypatch):
    def state():
        return trained.models_, trained.own_widths_, list(trained.losses_), trained.network_

    before = state()
    with pytest.raises(ValueError, match="model 'a' is there already"):
        trained.add_model("a", make_samples())
    with pytest.raises(ValueError, match="model 'e' is unknown; add one at a time"):
        trained.add_model("x", make_samples(models=(*MODELS, "e"), own=False))
    with pytest.raises(ValueError, match="'x' is compared with a known model in none"):
        trained.add_model("x", make_samples())
    with monkeypatch.context() as patch:
        interrupted_after(1, patch)
        with pytest.raises(Interrupted):
            trained.add_model("x", make_samples(models=(*MODELS, "x"), own=False))
    assert state() == before


# --------------------------------------------------------------------------------- save and load


def test_saved_and_loaded_it_scores_the_same(trained, tmp_path):
    sample = make_samples(1, seed=6)[0]
    trained.save(tmp_path / "spider")
    assert sorted(path.name for path in (tmp_path / "spider").iterdir()) == [
        "model_spider.json",
        "model_spider.safetensors",
    ]
    loaded = ModelSpider.load(tmp_path / "spider")
    assert loaded.get_params() == trained.get_params() and loaded.losses_ == trained.losses_
    assert loaded.score(sample, budget=3).tobytes() == trained.score(sample, budget=3).tobytes()
    assert loaded.recommend(sample) == trained.recommend(sample)


def test_damaged_files_are_refused(trained, tmp_path):
    with pytest.raises(FileNotFoundError):
        ModelSpider.load(tmp_path)
    trained.save(tmp_path)
    path = tmp_path / "model_spider.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"models": ["a", "b"]}))
    with pytest.raises(ValueError, match="not a list of 2 widths or null; copy"):
        ModelSpider.load(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        ModelSpider.load(tmp_path)


# ---------------------------------------------------------------------------------------- errors


def test_more_classes_than_max_classes_are_thinned_by_the_seed():
    samples = make_samples(8, n_classes=(20, 30))
    spider = ModelSpider(**SMALL, max_classes=6).fit(samples, progress=False)
    one = samples[0]
    assert np.isfinite(spider.score(one, budget=4)).all()
    kept = spider._bounded(one.general)
    assert len(kept) == 6 and not np.array_equal(kept, one.general[:6])
    assert np.array_equal(kept, spider._bounded(one.general))
    assert spider.score(TaskSample(kept, {})) == pytest.approx(spider.score(one), abs=1e-6)


def test_input_errors(trained):
    one = make_samples(1)[0]
    with pytest.raises(ValueError, match="not fitted yet"):
        ModelSpider().recommend(one)
    for options, message in [
        ({"width": 0}, "width=0 is out of range"),
        ({"dropout": 1.0}, "dropout=1.0 is out of range"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 is out of range"),
    ]:
        with pytest.raises(ValueError, match=message):
            ModelSpider(**options).fit(make_samples())
    with pytest.raises(TypeError, match="a TransferHistory or a sequence of TaskSample"):
        ModelSpider().fit({"a": one})
    with pytest.raises(ValueError, match="there is none on which the performance of two models"):
        ModelSpider().fit([TaskSample(one.general, {"a": 1.0, "b": 1.0, "c": math.nan})])
    with pytest.raises(ValueError, match="model 'x' is compared with another in none"):
        ModelSpider().fit([TaskSample(one.general, {**one.performance, "x": math.nan}, one.own)])
    with pytest.raises(ValueError, match="task tokens have 5 and 6 columns"):
        ModelSpider().fit([one, TaskSample(np.zeros((3, 6)), one.performance)])
    with pytest.raises(ValueError, match="task tokens have 4 columns, but .* fitted with 5"):
        trained.score(TaskSample(np.zeros((3, 4)), {}))
    with pytest.raises(ValueError, match="task tokens of shape .* contains nan"):
        trained.score(TaskSample(np.full((3, 5), np.nan), {}))
    with pytest.raises(ValueError, match="budget=5 is out of range: there are 4 models"):
        trained.score(one, budget=5)
    with pytest.raises(TypeError, match="budget must be an integer"):
        trained.score(one, budget=1.5)
    with pytest.raises(ValueError, match="no features of model"):
        trained.score(TaskSample(one.general, {}), budget=1)
    with pytest.raises(ValueError, match="own tokens of model '.' have 9 columns, but . in `fit`"):
        trained.score(TaskSample(one.general, {}, lambda model: np.zeros((3, 9))), budget=1)
    with pytest.raises(ValueError, match="k=5 is out of range"):
        trained.recommend(one, k=5)
    with pytest.raises(TypeError, match="a Task, a TaskSample or the pair"):
        trained.score(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="tasks: none given"):
        trained.score_all([])
    with pytest.raises(ValueError, match="at least two classes"):
        trained.score((np.zeros((3, 5)), [1, 1, 1]))
    with pytest.raises(ValueError, match="had no features in `fit`"):
        ModelSpider(**SMALL).fit(make_samples(own=False), progress=False).score(one, budget=1)


def test_what_is_learnt_from_is_the_table_where_it_holds_performances():
    history = make_history()
    told = sample_tasks(history, draws=1)
    assert all(sample.performance == history.column(sample.tasks[0]) for sample in told)
    worse = history.with_performance(-np.asarray(history.performance))
    opposite = sample_tasks(worse, draws=1)
    assert opposite[0].performance != told[0].performance
    untold = sample_tasks(history.with_performance(None), n_pools=2, draws=1, metrics=["logme"])
    assert len(untold) == 2
