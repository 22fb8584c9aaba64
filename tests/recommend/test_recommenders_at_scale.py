"""What grows with the number of models: names, rows added, fused ranks, keys, clusters tried."""

import copy
import time

import numpy as np
import pytest

from transfer_kernels.recommend import Fennec, TransferHistory, reciprocal_rank_fusion
from transfer_kernels.recommend.fennec.growing_rows import GrowingRows


def test_parts_of_a_history_do_not_search_names_one_after_the_other():
    models = [f"model number {i}" for i in range(60_000)]
    history = TransferHistory(models, ["a", "b", "c"], np.ones((60_000, 3)))
    start = time.perf_counter()
    part = history.without_task("b").subset(models=models[::-1])
    # A search through tuples takes 1.8e9 comparisons here, minutes.
    assert time.perf_counter() - start < 20
    assert part.models[0] == models[-1] and part.tasks == ("a", "c")


def test_a_repeated_name_is_found():
    with pytest.raises(ValueError, match="'[ab]' occurs twice"):
        TransferHistory(["a", "b", "c", "b", "a"], ["t"])


def test_rows_grow_without_changing_what_was_handed_out():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, 2))
    room = GrowingRows(first)
    expected, view = first, first
    views = []
    for _ in range(40):
        row = rng.normal(size=2)
        expected = np.vstack([expected, row])
        view = room.append(row)
        views.append((view, expected))
    for view, expected in views:
        np.testing.assert_array_equal(view, expected)
    assert room.holds(views[-1][0])
    assert not room.holds(views[-2][0]) and not room.holds(views[-1][1])


def test_copies_of_a_fennec_go_their_own_ways():
    rng = np.random.default_rng(1)
    history = TransferHistory([*"abcd"], [*"xyz"], rng.random((4, 3)))
    fennec = Fennec(meta_weight=0.0, n_factors=2).fit(history)
    fennec.add_model("e", {"x": 0.3, "y": 0.2})
    other = copy.copy(fennec)
    fennec.add_model("f", {"x": 0.9})
    other.add_model("g", {"x": 0.1}).add_model("f", {"z": 0.5})
    assert fennec.models_ == (*"abcdef",) and other.models_ == (*"abcdegf",)
    assert fennec.performance_[5, 0] == 0.9
    np.testing.assert_array_equal(other.performance_[5:, [0, 2]], [[0.1, np.nan], [np.nan, 0.5]])
    for one in (fennec, other):
        assert one.scoring_vectors_.shape == one.model_vectors_.shape == (len(one.models_), 2)
        with pytest.raises(ValueError, match="model 'f' is there already"):
            one.add_model("f", {"x": 0.1})
    place = fennec.place(performance={"f": 0.9})
    assert np.isfinite(place.vector).all()


def test_fused_ranks_are_those_of_all_pairs():
    scores = np.random.default_rng(2).integers(0, 6, size=(4, 30)).astype(float)
    scores[1, 3] = scores[2, 3] = np.nan
    better = scores[:, None, :] > scores[:, :, None]
    parts = np.where(np.isnan(scores), 0.0, 1.0 / (60.0 + 1 + better.sum(axis=2)))
    fused = reciprocal_rank_fusion(scores)
    np.testing.assert_array_equal(fused, np.sort(parts, axis=0).sum(axis=0))
    assert reciprocal_rank_fusion(np.ones((2, 50_000))).shape == (50_000,)


def test_a_networks_kept_keys_follow_its_weights():
    torch = pytest.importorskip("torch")
    from transfer_kernels.recommend.model_spider import spider_network

    torch.manual_seed(0)
    network = spider_network.SpiderNetwork(5, 3, [None] * 5, width=8).eval()
    tasks = torch.randn(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)
    with torch.no_grad():
        first = network(*tasks)
    kept = network._kept
    assert torch.equal(network.score(*tasks), first) and network._kept is kept
    assert torch.equal(network(*tasks).detach(), first)  # what learns keeps nothing
    assert network._kept is None
    network.score(*tasks)
    with torch.no_grad():
        network.key.weight.add_(0.5)
        changed = network(*tasks)
    network._kept = None
    assert torch.equal(network.score(*tasks), changed) and not torch.equal(changed, first)
    network.load_state_dict({k: v + 0.1 for k, v in network.state_dict().items()})
    loaded = network.score(*tasks)
    network._kept = None
    assert torch.equal(network.score(*tasks), loaded)


def test_a_network_scores_in_chunks_of_models(monkeypatch):
    torch = pytest.importorskip("torch")
    from transfer_kernels.recommend.model_spider import spider_network

    torch.manual_seed(1)
    network = spider_network.SpiderNetwork(11, 3, [None] * 11, width=8).eval()
    tasks = torch.randn(3, 4, 3), torch.ones(3, 4, dtype=torch.bool)
    whole = network.score(*tasks)
    monkeypatch.setattr(spider_network, "_PASS", 8 * 4)
    assert torch.allclose(network.score(*tasks), whole, atol=1e-6)


def test_the_number_of_clusters_tried_is_bounded(monkeypatch):
    pytest.importorskip("sklearn")
    pytest.importorskip("gensim")
    pytest.importorskip("torch")
    from transfer_kernels.recommend.architectures import architecture_embedding

    tried = []

    class Counted(architecture_embedding.KMeans):
        def fit(self, X):
            tried.append(self.n_clusters)
            return super().fit(X)

    monkeypatch.setattr(architecture_embedding, "KMeans", Counted)
    monkeypatch.setattr(architecture_embedding, "_MOST_CLUSTERS", 6)
    centres = np.repeat(np.eye(4) * 9, 10, axis=0)
    vectors = centres + np.random.default_rng(0).normal(size=(40, 4))
    found = architecture_embedding._cluster(vectors.astype(np.float32), None)
    assert tried == [2, 3, 4, 5, 6] and found.n_clusters == 4
