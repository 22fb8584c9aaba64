"""transformer-ranker's own ranker with its estimators replaced: the same scores, and put back."""

import random
import time
import warnings

import pytest

from transfer_kernels import compat

#: The extra `dev` brings the peer, `test` does not.
pytestmark = pytest.mark.exhaustive

WORDS = [f"w{i}" for i in range(60)]
LAYERS = ("lastlayer", "layermean", "bestlayer")


@pytest.fixture(scope="module", autouse=True)
def peer():
    pytest.importorskip("transformers")
    with warnings.catch_warnings():  # its import changes the filters
        pytest.importorskip("transformer_ranker")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of two small transformers of random weights, with a tokenizer of their own."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=64
    )
    folders = []
    for seed, width in ((0, 16), (1, 24)):
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=width,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=2 * width,
            max_position_embeddings=64,
        )
        folder = tmp_path_factory.mktemp("models") / f"bert{width}"
        BertModel(config).eval().save_pretrained(folder)
        fast.save_pretrained(folder)
        folders.append(str(folder))
    return folders


def dataset(kind):
    """140 sentences whose words follow a class, with the class or a number as the label."""
    from datasets import Dataset

    draw = random.Random(5)
    texts, classes, targets = [], [], []
    n_classes = 2 if kind == "two classes" else 4
    for i in range(140):
        c = i % n_classes
        words = [
            draw.choice(WORDS[c * 8 : c * 8 + 8] if draw.random() < 0.45 else WORDS)
            for _ in range(draw.randint(5, 9))
        ]
        texts.append(" ".join(words))
        classes.append(f"class {c}")
        targets.append(c + draw.gauss(0.0, 0.3))
    return Dataset.from_dict({"text": texts, "label": targets if kind == "numbers" else classes})


def ranked(models, kind, estimator, layers):
    """Scores by the peer's ranker, and the seconds its estimator took."""
    import torch
    from transformer_ranker import TransformerRanker

    ranker = TransformerRanker(dataset(kind))
    estimators = ranker.transferability_metrics
    seconds = 0.0
    fit = estimators[estimator].fit

    class Timed(estimators[estimator]):
        def fit(self, *args, **kwargs):
            nonlocal seconds
            start = time.perf_counter()
            score = fit(self, *args, **kwargs)
            seconds += time.perf_counter() - start
            return score

    estimators[estimator] = Timed
    torch.manual_seed(0)
    result = ranker.run(models, estimator=estimator, layer_aggregator=layers, device="cpu")
    assert len(result.scores) == len(models)
    return result.scores, seconds


CASES = [
    *(("four classes", e, layers) for e in ("logme", "hscore", "knn") for layers in LAYERS),
    ("two classes", "knn", "bestlayer"),
    ("numbers", "logme", "layermean"),
    ("numbers", "knn", "lastlayer"),
]


@pytest.mark.parametrize("kind,estimator,layers", CASES)
def test_the_ranker_gives_the_same_scores(models, record_property, kind, estimator, layers):
    published, theirs = ranked(models, kind, estimator, layers)
    with compat.install("transformer-ranker"):
        ours, mine = ranked(models, kind, estimator, layers)
    record_property("seconds published, ours", (theirs, mine))
    assert ours == pytest.approx(published, rel=1e-6)


def test_the_h_score_refuses_regression_as_published(models):
    for _ in range(2):
        with pytest.raises(ValueError):
            ranked(models, "numbers", "hscore", "lastlayer")
        compat.install("transformer-ranker")
    compat.uninstall("transformer-ranker")


def test_every_reference_is_replaced_and_put_back():
    from transformer_ranker import TransformerRanker, estimators, ranker
    from transformer_ranker.estimators import logme

    from transfer_kernels.compat import transformer_ranker as ours

    own = logme.LogME
    before = TransformerRanker(dataset("two classes"))  # holds the three in a dictionary

    class Holder:
        chosen = own
        others = [own]

    class Below(own):
        pass

    with compat.install("transformer-ranker") as done:
        assert ranker.LogME is estimators.LogME is logme.LogME is ours.LogME
        assert before.transferability_metrics["logme"] is ours.LogME
        assert Holder.chosen is ours.LogME and Holder.others == [ours.LogME]
        assert isinstance(before.transferability_metrics["knn"](), ours.NearestNeighbors)
        assert "transformer_ranker.ranker.LogME" in done.replaced
        assert any("Below" in left for left in done.left)
        assert compat.install("transformer_ranker") is done
        assert "transformer_ranker.ranker.HScore" in str(done)
    assert ranker.LogME is estimators.LogME is logme.LogME is own
    assert before.transferability_metrics["logme"] is own
    assert Holder.chosen is own and Holder.others == [own]


def test_an_edited_peer_is_refused(monkeypatch, tmp_path):
    from pathlib import Path

    from transformer_ranker.estimators import hscore, logme

    edited = tmp_path / "logme.py"
    edited.write_text(Path(logme.__file__).read_text().replace("1e-5", "1e-6"))
    own = hscore.HScore
    monkeypatch.setattr(logme, "__file__", str(edited))
    with pytest.raises(ValueError, match="this LogME is not the published one"):
        compat.install("transformer-ranker")
    assert hscore.HScore is own
    with compat.install("transformer-ranker", unknown_source=True) as done:
        assert any(name.endswith("logme.LogME") for name in done.replaced)
