"""What every drop-in keeps: signatures, quiet, lean imports, the peers' exceptions, scripts."""

import ast
import inspect
import json
import pickle
import sys
import warnings

import numpy as np
import pytest
from conftest import in_subprocess

import transfer_kernels as tk
from transfer_kernels import compat
from transfer_kernels.compat import etran, parc, sfda, thuml_logme, tllib, transformer_ranker
from transfer_kernels.compat.known_sources import KNOWN
from transfer_kernels.compat.peers import PEERS, digests

rng = np.random.default_rng(7)
y = np.arange(120) % 4
X = (rng.normal(size=(120, 12)) + 2.0 * np.eye(4, 12)[y]).astype(np.float32)


@pytest.mark.parametrize("peer", PEERS.values(), ids=lambda peer: peer.name)
def test_names_are_there_and_known(peer):
    module = getattr(compat, peer.module)
    assert "differs" in module.__doc__.lower() or peer.module == "transformer_ranker"
    for name in module.__all__:
        assert getattr(module, name).__doc__, name
    replaced = {place.rpartition(".")[2] for place in KNOWN[peer.name]}
    assert replaced <= set(module.__all__)
    assert {place.rpartition(".")[0] for place in KNOWN[peer.name]} <= set(peer.homes)


def test_imports_are_lean():
    names = [peer.module for peer in PEERS.values()] + ["scikit_learn"]
    result = in_subprocess(
        "import sys, transfer_kernels\n"
        "assert 'transfer_kernels.compat' not in sys.modules\n"
        "from transfer_kernels import compat\n"
        f"modules = [getattr(compat, name) for name in {names!r}]\n"
        "heavy = {'torch', 'numba', 'triton', 'pandas', 'matplotlib', 'sklearn', 'tqdm'}\n"
        "print(len(modules), sorted(heavy & set(sys.modules)))"
    )
    assert result.stdout == f"{len(names)} []\n", result.stderr


SIGNATURES = {
    thuml_logme.LogME: "(regression=False)",
    thuml_logme.LogME.fit: "(self, f, y)",
    thuml_logme.LogME.predict: "(self, f)",
    tllib.log_maximum_evidence: "(features, targets, regression=False, return_weights=False)",
    tllib.transrate: "(features, labels, eps=0.0001)",
    sfda.SFDA: "(shrinkage=None, priors=None, n_components=None)",
    sfda.PARC_Score: "(X, y, ratio=2)",
    sfda.w_kendall_metric: "(score, finetune_acc, dset)",
    sfda.rel_k: "(score, finetune_acc, dset, k)",
    parc.PARC: "(n_dims=None, fmt='')",
    parc.TransferabilityMethod.__call__: "(self, features, probs, y, source_dataset, "
    "target_dataset, architecture, cache_path_fn)",
    parc.HScore: "(n_dims=None, use_published_implementation=False)",
    parc.feature_reduce: "(features, f=None)",
    transformer_ranker.LogME.fit: "(self, embeddings, labels, initial_alpha=1.0, "
    "initial_beta=1.0, max_iter=11, tol=0.001, **kwargs)",
    etran.Energy_Score: "(logits, percent, tail)",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
def test_signatures_are_the_published_ones(function):
    plain = [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    assert str(inspect.Signature(plain)) == SIGNATURES[function]


def test_scores_are_numbers_and_nothing_is_printed(capsys):
    before = X.copy()
    scores = {
        "logme": sfda.LogME_Score(X, y),
        "sfda": sfda.SFDA_Score(X, y),
        "parc": sfda.PARC_Score(X, y, ratio=0.5),
        "energy": etran.Energy_Score(X, 10, "bot").tolist(),
        "lda": etran.LDA_Score(X, y),
        "hscore": tllib.h_score(X, y),
        "ranker": transformer_ranker.HScore().fit(embeddings=X, labels=y),
    }
    assert all(isinstance(score, float) for score in scores.values())
    assert json.loads(json.dumps(scores)) == scores
    assert capsys.readouterr() == ("", "")
    assert (X == before).all()


def test_logme_keeps_what_published_callers_read():
    model = thuml_logme.LogME(regression=False)
    with pytest.raises(RuntimeError, match="not fitted"):
        model.predict(X)
    assert not model.fitted and len(model.ms) == 0
    score = model.fit(X, y)
    assert model.fitted and model.num_dim == 4
    assert isinstance(model.alphas, list) and len(model.alphas) == len(model.betas) == 4
    with pytest.warns(UserWarning, match="fitted before"):
        assert model.fit(X, y) == score
    assert len(model.alphas) == 4
    # The definition of the weights: m = (F^T F + t I)^-1 F^T y.
    found = tk.LogME(variant="thuml").fit(X, y)
    np.testing.assert_allclose(model.ms, found.weights_, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(X), (X @ model.ms.T).argmax(axis=1))
    model._fit = model._fit_icml  # as callers choose the first version
    with pytest.warns(UserWarning):
        assert model.fit(X, y) == pytest.approx(tk.logme(X, y, variant="thuml-icml"), rel=1e-12)


@pytest.mark.parametrize("shape", [(120, 12), (9, 12)])
@pytest.mark.parametrize("regression", [False, True])
def test_weights_are_of_the_features_at_the_fit(shape, regression):
    n, _ = shape
    features, labels = X[:n].copy(), (X[:n, :2] @ [1.0, 2.0] if regression else y[:n])
    early, late = thuml_logme.LogME(regression), thuml_logme.LogME(regression)
    assert early.fit(features, labels) == late.fit(features, labels)
    expected = early.ms
    features[:] = -1.0  # the caller's own, before the weights are asked for
    np.testing.assert_array_equal(late.ms, expected)
    assert abs(expected).max() > 0.0


def test_weights_have_rows_for_absent_classes():
    model = thuml_logme.LogME()
    model.fit(X, 2 * y)
    assert model.ms.shape == (7, 12) and model.num_dim == 7
    assert not model.ms[1::2].any() and model.ms[::2].any(axis=1).all()


def test_sfda_model_is_the_discriminant():
    model = sfda.SFDA().fit(X, y)
    ours = tk.SFDA().fit(X, y)
    assert model.shrinkage == pytest.approx(ours.shrinkage_, rel=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), ours.predict_proba(X), rtol=1e-9)
    assert model.transform(X).shape == (120, 3)
    given = sfda.SFDA(shrinkage=1.0).fit(X, y)  # S = tr(Sw) / d I: the nearest mean
    distances = ((X[:, None].astype(float) - given.means_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(given.predict_proba(X).argmax(axis=1), distances.argmin(axis=1))
    with pytest.raises(ValueError, match="n_components=4"):
        sfda.SFDA(n_components=4).fit(X, y)
    probabilities = sfda.LogME()
    probabilities.fit(X, y)
    np.testing.assert_allclose(probabilities.predict(X).sum(axis=1), 1.0)


def test_the_ranker_starts_and_stops_as_told():
    """Against the fixed point written out, classes one after the other."""
    options = {"initial_alpha": 3.0, "initial_beta": 0.5, "max_iter": 2, "tol": 1e-9}
    ours = transformer_ranker.LogME().fit(embeddings=X, labels=y, **options)
    u, s, _ = np.linalg.svd(X.astype(np.float64), full_matrices=False)
    n, d = X.shape
    alpha, beta, total = 3.0, 0.5, 0.0
    for c in range(4):
        target = (y == c).astype(np.float64)
        p = (u.T @ target) ** 2
        for _ in range(2):
            t = alpha / beta
            gamma = (s**2 / (s**2 + t)).sum()
            weight = (s**2 * p / (s**2 + t) ** 2).sum()
            residual = (p * (t / (s**2 + t)) ** 2).sum() + target.sum() - p.sum()
            alpha, beta = gamma / (weight + 1e-5), (n - gamma) / (residual + 1e-5)
        logs = d * np.log(alpha) + n * np.log(beta) - np.log(alpha + beta * s**2).sum()
        total += (logs - beta * residual - alpha * weight - n * np.log(2 * np.pi)) / (2 * n)
    assert ours == pytest.approx(total / 4, rel=1e-6)
    with pytest.raises(ValueError, match="initial_alpha=0"):
        transformer_ranker.LogME().fit(embeddings=X, labels=y, initial_alpha=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda f: thuml_logme.LogME().fit(f, y),
        lambda f: tllib.log_maximum_evidence(f, y),
        lambda f: tllib.h_score(f, y),
        lambda f: sfda.SFDA_Score(f, y),
    ],
)
def test_nan_is_the_published_exception(call):
    bad = X.copy()
    bad[5, 3] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="row 5, column 3"):
        call(bad)
    with pytest.raises(ValueError) as caught:  # but other errors stay what they are
        call(X[:50])
    assert not isinstance(caught.value, np.linalg.LinAlgError)


def test_tensors_are_taken():
    torch = pytest.importorskip("torch")
    features, labels = torch.tensor(X), torch.tensor(y)
    assert tllib.h_score(features, labels) == tllib.h_score(X, y)
    assert thuml_logme.LogME().fit(features, labels) == thuml_logme.LogME().fit(X, y)


# ------------------------------------------------------------------- parc, called with seven


def experiment(method, **changed):
    """As parc's experiment calls a method."""
    given = {
        "features": X,
        "probs": None,
        "y": y,
        "source_dataset": "imagenet",
        "target_dataset": "pets",
        "architecture": "resnet50",
        "cache_path_fn": None,
    }
    return method(**{**given, **changed})


def test_a_subclass_of_the_method_reads_what_was_given():
    class Mine(parc.TransferabilityMethod):
        def forward(self):
            assert self.source_dataset == "imagenet" and self.architecture == "resnet50"
            return float(self.features.mean()) + len(self.y)

    assert experiment(Mine()) == pytest.approx(X.mean() + 120)
    with pytest.raises(NotImplementedError, match="TransferabilityMethod must define forward"):
        experiment(parc.TransferabilityMethod())


def test_parc_reduces_to_no_more_components_than_samples():
    few = slice(0, 8)
    reduced = parc.feature_reduce(X[few], 12)
    assert reduced.shape == (8, 8)
    assert parc.feature_reduce(X) is X
    assert experiment(parc.PARC(n_dims=5)) == pytest.approx(tk.parc(X, y, n_components=5))
    vectors = np.eye(4)[y]
    exact = experiment(parc.PARC(), y=vectors)
    assert exact == pytest.approx(experiment(parc.PARC()), rel=1e-9)


def test_splits_are_the_first_and_last_samples():
    sklearn = pytest.importorskip("sklearn.neighbors")
    model = sklearn.KNeighborsClassifier(n_neighbors=3).fit(X[:84], y[:84])
    expected = 100.0 * np.mean(model.predict(X[84:]) == y[84:])
    ours = experiment(parc.SplitkNN(percent_train=0.3, k=3))
    assert ours == pytest.approx(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 50.0 < experiment(parc.SplitLogistic()) <= 100.0


def test_references_are_read_and_nothing_in_them_runs(tmp_path):
    reference = X @ rng.normal(size=(12, 6))
    path = tmp_path / "resnet50_pets.pkl"
    path.write_bytes(pickle.dumps({"features": reference, "probs": None, "y": y}))

    def cache(architecture, source, target):
        assert (source, target) == ("pets", "pets")
        return tmp_path / f"{architecture}_{source}.pkl"

    similarity = experiment(parc.DDS(), cache_path_fn=cache)
    assert similarity == pytest.approx(tk.dds(X, reference=reference))
    assert experiment(parc.RSA("resnet50"), cache_path_fn=cache) == pytest.approx(
        tk.rsa(X, reference=reference)
    )
    path.write_bytes(pickle.dumps({"features": reference, "run": print}))
    with pytest.raises(ValueError, match="calls builtins.print"):
        experiment(parc.RSA(), cache_path_fn=cache)


# ---------------------------------------------------------------- scripts of the peers, restated

EVALUATE = """
import json, sys
import numpy as np
from metrics import LEEP, NLEEP, LogME_Score, SFDA_Score, PARC_Score, KFDA_Score
from rank_correlation import w_kendall_metric
import metrics

def main(name):
    X, y = np.load("m_feature.npy"), np.load("m_label.npy")
    score = {"logme": LogME_Score, "sfda": SFDA_Score, "kfda": KFDA_Score}[name](X, y)
    assert metrics.OWN == "the peer's"
    acc = {"pets": {"a": 1.0, "b": 2.0}}
    tau = w_kendall_metric({"a": 0.1, "b": 0.2}, acc, "pets")
    print(json.dumps({name: score, "tau": tau, "argv": sys.argv[1:]}))

if __name__ == "__main__":
    main(sys.argv[1])
"""


def run_script(folder, *arguments, peer="sfda"):
    words = [peer, str(folder / "evaluate.py"), *arguments]
    return in_subprocess(
        f"import os, sys; os.chdir({str(folder)!r})\n"
        "from transfer_kernels.compat.running import main\n"
        f"main({words!r})"
    )


@pytest.fixture
def clone(tmp_path):
    """A folder like a clone of SFDA's, with a module of metrics of which one is not ours."""
    (tmp_path / "evaluate.py").write_text(EVALUATE)
    (tmp_path / "metrics.py").write_text('OWN = "the peer\'s"\n')
    np.save(tmp_path / "m_feature.npy", X)
    np.save(tmp_path / "m_label.npy", y)
    return tmp_path


def test_a_script_runs_unedited(clone):
    result = run_script(clone, "sfda", "-x")
    found = json.loads(result.stdout)
    assert found == {"sfda": sfda.SFDA_Score(X, y), "tau": 1.0, "argv": ["sfda", "-x"]}


def test_a_name_that_neither_has_says_so_when_called(clone):
    result = run_script(clone, "kfda")
    assert "KFDA_Score has no replacement here" in result.stderr
    (clone / "metrics.py").write_text("import no_such_package\n")
    result = run_script(clone, "logme")
    assert "AttributeError: OWN has no replacement here" in result.stderr
    assert "does not run: ModuleNotFoundError" in result.stderr


def test_a_script_with_an_edited_metric_is_refused(clone):
    (clone / "metrics.py").write_text("def SFDA_Score(X, y):\n    return 1.0\n")
    result = run_script(clone, "sfda")
    assert "this SFDA_Score is not the published one of sfda" in result.stderr
    assert result.returncode == 2
    result = run_script(clone, "sfda", peer="no-such-peer")
    assert "peer 'no-such-peer' is unknown" in result.stderr


def test_install_into_files_beside_scripts(clone, monkeypatch):
    monkeypatch.syspath_prepend(str(clone))
    for name in ("metrics", "rank_correlation"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (clone / "metrics.py").write_text("def SFDA_Score(X, y):\n    return 1\ndef other(): pass\n")
    (clone / "rank_correlation.py").write_text("")
    with pytest.raises(ValueError, match="unknown_source=True"):
        compat.install("sfda")
    import metrics

    with compat.install("sfda", unknown_source=True) as done:
        assert metrics.SFDA_Score is sfda.SFDA_Score
        assert "metrics.SFDA_Score" in done.replaced and done.left == ("metrics.other",)
    assert metrics.SFDA_Score(None, None) == 1
    for name in ("metrics", "rank_correlation"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(clone)])
    with pytest.raises(ImportError, match="put the folder of its scripts on sys.path"):
        compat.install("sfda")
    with pytest.raises(ValueError, match="peer 'other' is unknown"):
        compat.install("other")
    compat.uninstall("sfda")


def test_digests_do_not_depend_on_blanks(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("def f(x):\n    y = x\n    return y\n")
    two.write_text("\n\ndef f(x):\n    y = x   \n\n    return y\n")
    assert digests(one) == digests(two)
    two.write_text("def f(x):\n    y = x\n    return -y\n")
    assert digests(one) != digests(two)
    assert ast.parse(one.read_text())


# -------------------------------------------------------------------------------- scikit-learn


def test_a_search_over_layers_and_components():
    decomposition = pytest.importorskip("sklearn.decomposition")
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    from transfer_kernels.compat.scikit_learn import TransferabilityScorer, stack_layers

    layers = {"early": rng.normal(size=(120, 9)), "late": X}
    stacked, step = stack_layers(layers)
    pipeline = Pipeline([("layer", step), ("pca", decomposition.PCA())])
    everything = [(np.arange(120), np.arange(120))]
    search = GridSearchCV(
        pipeline,
        {"layer__layer": ["early", "late"], "pca__n_components": [2, 5]},
        scoring=TransferabilityScorer("logme"),
        cv=everything,
        refit=True,
        error_score="raise",
    ).fit(stacked, y)
    assert search.best_params_["layer__layer"] == "late"
    expected = tk.logme(search.best_estimator_.transform(stacked), y)
    assert search.best_score_ == pytest.approx(expected, rel=1e-9)
    from sklearn.linear_model import LogisticRegression

    full = Pipeline([("layer", step), ("head", LogisticRegression())]).fit(stacked, y)
    scorer = TransferabilityScorer("hscore(shrinkage='ledoit-wolf')")
    assert scorer(full, stacked, y) == pytest.approx(tk.hscore(X, y, "ledoit-wolf"))
    with pytest.raises(TypeError, match="transforms nothing"):
        scorer(LogisticRegression(), X, y)
    with pytest.raises(ValueError, match="layer='middle' is unknown"):
        step.set_params(layer="middle").fit(stacked)
    with pytest.raises(ValueError, match="same samples"):
        stack_layers({"a": X, "b": X[:5]})
