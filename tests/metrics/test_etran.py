"""ETran over a zoo: published values, and the parts that they are made of."""

import numpy as np
import pytest

import transfer_kernels as tk


def test_published_totals(goldens, backend):
    arrays, scores = goldens["arrays"]("zoo"), goldens["scores"]["zoo"]
    zoo = {f"m{i}": arrays[f"X{i}"] for i in range(6)}
    specs = {"etran": "etran_total_bot_0.5", "etran(percent=10.0)": "etran_total_bot_10"}
    ranking = tk.rank(zoo, arrays["y"], list(specs), backend=backend)
    for spec, key in specs.items():
        found = [ranking.column(spec)[model] for model in zoo]
        np.testing.assert_allclose(found, scores[key], rtol=2e-6, atol=2e-7)


def test_parts_are_the_metrics_of_their_names(goldens):
    arrays = goldens["arrays"]("zoo")
    X, y = arrays["X0"], arrays["y"]
    found = tk.etran(X, y, 10.0)
    assert found.lda == tk.etran_lda(X, y)
    assert found.energy == tk.etran_energy(X, y, 10.0)
    columns = tk.score(X, y, "etran(percent=10.0)")
    assert columns == {
        "etran(percent=10.0).lda": found.lda,
        "etran(percent=10.0).energy": found.energy,
    }


def test_one_model_alone_has_no_score(goldens):
    arrays = goldens["arrays"]("zoo")
    with pytest.warns(tk.UninformativeScoreWarning, match=r"etran\.(lda|energy) is the same"):
        ranking = tk.rank({"a": arrays["X0"]}, arrays["y"], "etran")
    assert ranking.column("etran") == {"a": 0.0}
