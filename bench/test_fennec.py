"""Fennec's online work: scoring a placed task and taking the best, for a great many models."""

import numpy as np
import pytest

from transfer_kernels.recommend import Fennec, TransferHistory

FACTORS, TASKS = 5, 8


@pytest.fixture(scope="module")
def placed(request):
    """A Fennec with a meta phase, the place of a task, and its scores worked out plainly."""
    n_models = 1_000_000 if request.config.getoption("full") else 2_000
    rng = np.random.default_rng(0)
    performance = rng.random((n_models, FACTORS)) @ rng.random((FACTORS, TASKS))
    history = TransferHistory(
        [f"m{i}" for i in range(n_models)],
        [f"t{i}" for i in range(TASKS)],
        performance,
        proxies={f"t{i}": rng.normal(size=(20, 4)) for i in range(TASKS)},
    )
    fennec = Fennec(metric=None, n_factors=FACTORS, max_iter=2, n_trees=2)
    fennec.fit(history, rng.random((n_models, 2)))
    place = fennec.place(rng.normal(size=(100, 4)))
    meta = fennec.scoring_vectors_[:, -1]
    expected = 0.5 * (fennec.model_vectors_ * place.vector).sum(axis=1) + meta
    return fennec, place, expected


@pytest.mark.parametrize("device", ["host", "cpu", "cuda"])
def test_scores(benchmark, placed, device):
    fennec, place, expected = on_device(placed, device)
    scores = benchmark(waited_for(device, lambda: fennec.score(place)))
    found = scores if device == "host" else scores.cpu().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("device", ["host", "cpu", "cuda"])
def test_best_ten(benchmark, placed, device):
    fennec, place, expected = on_device(placed, device)
    best = benchmark(lambda: fennec.recommend(place, 10))
    order = np.argsort(-expected, kind="stable")[:10]
    assert [int(name[1:]) for name in best] == order.tolist()


def on_device(placed, device):
    if device != "host":
        torch = pytest.importorskip("torch")
        if device == "cuda" and not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")
    placed[0].to(device)
    return placed


def waited_for(device, call):
    """The call, and on a GPU the wait for its end."""
    if device != "cuda":
        return call
    import torch

    def run():
        result = call()
        torch.cuda.synchronize()
        return result

    return run
