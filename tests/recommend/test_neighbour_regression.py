"""Placing a task by its neighbours: by hand, at the limits, and inside Fennec."""

import numpy as np
import pytest

from transfer_kernels.recommend import Fennec, TransferHistory
from transfer_kernels.recommend.fennec.neighbour_regression import Neighbours


def images_at(centre, seed=0, n=30):
    return np.random.default_rng(seed).normal(centre, 0.1, size=(n, len(centre)))


def test_a_place_by_hand():
    images = [np.array([[x - 1.0], [x + 1.0]]) for x in (0.0, 2.0, 4.0)]
    places = np.array([[0.0], [1.0], [5.0]])
    fitted = Neighbours.fit(images, places)
    # The standard deviations are alike, so that they say nothing; the means are 0, 2 and 4.
    scale = np.std([0.0, 2.0, 4.0])
    distances = (np.array([0.0, 2.0, 4.0]) - 1.0) ** 2 / scale**2 / 2
    weights = np.exp(-distances / fitted.bandwidth)
    expected = weights @ places / weights.sum()
    np.testing.assert_allclose(fitted.place(np.array([[0.0], [2.0]])), expected, rtol=1e-12)


def test_the_bandwidth_leaves_out_the_least_error():
    rng = np.random.default_rng(1)
    images = [images_at(centre, seed) for seed, centre in enumerate(rng.normal(size=(12, 3)))]
    places = np.array([x.mean(axis=0)[:2] for x in images])
    fitted = Neighbours.fit(images, places)

    rows = fitted.descriptions
    distances = ((rows[:, None] - rows[None]) ** 2).mean(axis=2)

    def error(bandwidth):
        weights = np.exp(-distances / bandwidth) * ~np.eye(len(rows), dtype=bool)
        guesses = weights @ places / weights.sum(axis=1, keepdims=True)
        return ((guesses - places) ** 2).sum()

    unit = np.median(distances[~np.eye(len(rows), dtype=bool)])
    errors = [error(unit * part) for part in Neighbours.BANDWIDTHS]
    assert fitted.bandwidth[0] == pytest.approx(unit * Neighbours.BANDWIDTHS[np.argmin(errors)])
    assert min(errors) < 0.7 * max(errors)


def test_places_stay_among_those_of_the_past():
    places = np.array([[0.2, 1.0], [0.7, 0.0], [0.4, 3.0]])
    fitted = Neighbours.fit([images_at([x, -x]) for x in (0.0, 1.0, 2.0)], places)
    for centre in ([0.5, 0.5], [1e6, -1e6], [-1e100, 0.0]):
        place = fitted.place(images_at(centre))
        assert (place >= places.min(axis=0) - 1e-12).all()
        assert (place <= places.max(axis=0) + 1e-12).all()


@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_few_tasks_and_tasks_all_alike(n_tasks):
    places = np.arange(n_tasks, dtype=float)[:, None]
    for centres in ([[1.0, 1.0]] * n_tasks, [[float(t), 0.0] for t in range(n_tasks)]):
        place = Neighbours.fit([images_at(c) for c in centres], places).place(images_at([0.0, 0.0]))
        assert np.isfinite(place).all()


def test_fennec_finds_the_specialist_and_keeps_its_scores_on_disk(tmp_path):
    kinds = {f"t{i}": float(i % 2) for i in range(10)}
    history = TransferHistory(
        ["for zeros", "for ones", "general"],
        list(kinds),
        [[1 - k for k in kinds.values()], list(kinds.values()), [0.6] * 10],
        proxies={
            t: images_at([k, 1 - k, -k, 2 * k], seed) for seed, (t, k) in enumerate(kinds.items())
        },
    )
    options = {"metric": None, "meta_weight": 0, "n_factors": 2, "regressor": "neighbours"}
    fennec = Fennec(**options).fit(history.without_task("t3"))
    scores = fennec.recommend(history.task("t3"))
    assert list(scores) == ["for ones", "general", "for zeros"]
    fennec.save(tmp_path)
    assert Fennec.load(tmp_path).recommend(history.task("t3")) == scores
