"""archi2vec: graphs of all kinds of modules, and families of real architectures that cluster."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import in_subprocess

torch = pytest.importorskip("torch")
pytest.importorskip("gensim")
pytest.importorskip("sklearn")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from transfer_kernels.recommend import (  # noqa: E402
    ArchitectureGraph,
    archi2vec,
    architecture_graph,
)
from transfer_kernels.recommend.architectures.architecture_embedding import graph_words  # noqa: E402

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
X = torch.zeros(2, 6)
#: Small depths, so that the graphs are quickly made; RegNet-X has a test of its own.
SHOWN = {
    "ResNet-18 ResNet-34 ResNet-50 ResNet-101",
    "RegNet-Y-002 RegNet-Y-032 RegNet-Y-080",
    "ConvNeXt-tiny ConvNeXt-atto",
    "MobileNetV2-0.35 MobileNetV2-0.75 MobileNetV2-1.0 MobileNetV2-1.4",
    "EfficientNet-b0 EfficientNet-b2",
    "ViT-tiny ViT-base",
    "Swin-mini Swin-tiny",
    "BERT-mini BERT-medium BERT-base",
    "GPT-2-distilled GPT-2-small",
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm = nn.BatchNorm1d(6)

    def features(self, x):
        return F.relu(self.norm(self.first(x))) + x

    def forward(self, x):
        return self.second(self.features(x))


class PartlyFrozen(Net):
    def forward(self, x):
        with torch.no_grad():
            features = self.features(x)
        return self.second(features)


class Frozen(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Inference(Net):
    @torch.inference_mode()
    def forward(self, x):
        return super().forward(x)


class Deciding(Net):
    def forward(self, x):
        return super().forward(x).argmax(-1)


class Detaching(Net):
    def forward(self, x):
        return self.second(self.features(x).detach())


class Branching(Net):
    """Looks at its values, which do not exist on the "meta" device."""

    def forward(self, x):
        features = self.features(x)
        return self.second(features) if features.sum().item() < 1e9 else features


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(6, 6)

    def forward(self, x):
        tokens = self.mix(x)[None, None]
        return F.scaled_dot_product_attention(tokens, tokens, tokens)


def canonical(graph):
    """What does not depend on how the nodes are numbered."""
    return sorted(graph_words(graph, 4))


# ------------------------------------------------------------------------------------------ graphs


def test_graph_of_a_small_network():
    graph = architecture_graph(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1)), X)
    assert sorted(graph.labels) == sorted(
        ["Parameter"] * 4 + ["AddmmBackward0"] * 2 + ["TBackward0"] * 2 + ["ReluBackward0"]
    )
    label = graph.labels.__getitem__
    assert sorted((label(a), label(b)) for a, b in graph.edges) == sorted(
        [("Parameter", "AddmmBackward0"), ("Parameter", "TBackward0")] * 2
        + [("TBackward0", "AddmmBackward0")] * 2
        + [("AddmmBackward0", "ReluBackward0"), ("ReluBackward0", "AddmmBackward0")]
    )
    assert graph.n_parameters == 4


@pytest.mark.parametrize("kind", [PartlyFrozen, Frozen, Inference, Deciding, Detaching])
def test_what_a_plain_forward_does_not_record_is_traced(kind):
    assert canonical(architecture_graph(kind(), X)) == canonical(architecture_graph(Net(), X))


def test_the_trace_of_a_plain_network_is_its_autograd_graph():
    by_fx = architecture_graph(Net(), X, method="fx")
    assert canonical(by_fx) == canonical(architecture_graph(Net(), X, method="autograd"))


def test_values_are_computed_where_a_network_looks_at_them():
    graph = architecture_graph(Branching(), X)
    assert canonical(graph) == canonical(architecture_graph(Net(), X))


def test_frozen_weights_and_half_precision_change_nothing():
    expected = canonical(architecture_graph(Net(), X))
    assert canonical(architecture_graph(Net().requires_grad_(False), X)) == expected
    assert canonical(architecture_graph(Net().bfloat16(), X.bfloat16())) == expected


def test_weights_need_not_exist():
    with torch.device("meta"):
        net = Net()
    assert canonical(architecture_graph(net, X)) == canonical(architecture_graph(Net(), X))


def test_attention_is_recorded_as_its_parts():
    labels = architecture_graph(Attention(), X).labels
    assert not any("Attention" in label for label in labels)
    assert labels.count("BmmBackward0") == 2


def test_the_module_is_left_as_it_was():
    net = Branching().train()
    net.norm.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.random.get_rng_state()
    architecture_graph(net, X)
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert net.training and not net.norm.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_inputs_may_be_arguments_or_keywords():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6))

        def forward(self, x, scale, power=1):
            return {"nested": [(x * self.weight * scale) ** power]}

    by_position = architecture_graph(Two(), (X, X, 2))
    assert canonical(by_position) == canonical(
        architecture_graph(Two(), {"scale": X, "x": X, "power": 2})
    )
    assert "PowBackward0" in by_position.labels


def test_a_network_without_parameters_has_a_graph():
    assert architecture_graph(nn.ReLU(), X).labels.count("ReluBackward0") == 1


def test_an_image_is_the_default_input():
    net = nn.Sequential(nn.Conv2d(3, 2, 7), nn.Flatten(), nn.Linear(2 * 218 * 218, 2))
    assert "ConvolutionBackward0" in architecture_graph(net).labels


def test_shared_weights_are_one_node():
    net = Net()
    net.second = net.first
    assert architecture_graph(net, X).n_parameters == 4


def test_a_graph_survives_json():
    graph = architecture_graph(Net(), X)
    assert ArchitectureGraph.from_json(graph.to_json()) == graph


def test_input_errors_of_graphs():
    with pytest.raises(TypeError, match="module: a torch.nn.Module is needed, not int"):
        architecture_graph(3)
    with pytest.raises(
        ValueError, match=r"forward pass of Net fails with a tensor of shape \(2, 7"
    ):
        architecture_graph(Net(), torch.zeros(2, 7))
    with pytest.raises(ValueError, match="method: 'jit' given"):
        architecture_graph(Net(), X, method="jit")
    with pytest.raises(ValueError, match="no differentiable operation"):
        architecture_graph(nn.Identity(), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="edges"):
        ArchitectureGraph(("a",), ((0, 1),))


# --------------------------------------------------------------------------------------- embedding


def test_words_are_neighbourhoods():
    chain = ArchitectureGraph(("a", "b", "b", "c"), ((0, 1), (1, 2), (2, 3)))
    words = graph_words(chain, 1)
    assert len(words) == 8 and len(set(words[:4])) == 3 and len(set(words[4:])) == 4
    renumbered = ArchitectureGraph(("c", "b", "b", "a"), ((3, 2), (2, 1), (1, 0)))
    assert sorted(graph_words(renumbered, 3)) == sorted(graph_words(chain, 3))


def perceptron(depth, activation):
    layers = [nn.Linear(6, 6)]
    for _ in range(depth):
        layers += [activation(), nn.Linear(6, 6)]
    return nn.Sequential(*layers)


def small_zoo():
    kinds = {"relu": nn.ReLU, "gelu": nn.GELU, "norm": lambda: nn.LayerNorm(6)}
    return {f"{k}{depth}": perceptron(depth, kinds[k]) for k in kinds for depth in (4, 6, 9)}


def test_clusters_and_their_one_hot_columns():
    embedding = archi2vec(small_zoo(), X, dimensions=16)
    assert embedding.vectors.shape == (9, 16) and embedding.vectors.dtype == np.float32
    assert embedding.n_clusters == 3
    groups = {frozenset(n for n, c in embedding.clusters.items() if c == k) for k in range(3)}
    assert groups == {frozenset(f"{k}{d}" for d in (4, 6, 9)) for k in ("relu", "gelu", "norm")}
    assert embedding.one_hot.tolist() == np.eye(3)[embedding.codes].tolist()
    assert np.array_equal(embedding["gelu6"], embedding.vectors[embedding.names.index("gelu6")])
    assert len(embedding) == 9


def test_one_more_architecture_joins_its_cluster():
    embedding = archi2vec(small_zoo(), X, dimensions=16)
    before = embedding.vectors.copy()
    for kind, activation in {"relu": nn.ReLU, "gelu": nn.GELU}.items():
        vector = embedding.embed(perceptron(7, activation), X)
        assert embedding.cluster_of(vector) == embedding.clusters[f"{kind}6"]
        assert np.array_equal(vector, embedding.embed(perceptron(7, activation), X))
    assert np.array_equal(embedding.vectors, before)
    with pytest.raises(ValueError, match="none of its operations occur in the zoo"):
        embedding.embed(ArchitectureGraph(("strange",), ()))


def digest():
    """Hash of all vectors of a small zoo, one added later among them."""
    nets = {str(depth): nn.Sequential(*[nn.Linear(3, 3)] * depth, nn.ReLU()) for depth in (3, 5, 8)}
    zoo = archi2vec(nets, torch.zeros(1, 3), min_count=1, n_clusters=2)
    vector = zoo.embed(nets["5"], torch.zeros(1, 3))
    return hashlib.sha256(zoo.vectors.tobytes() + vector.tobytes()).hexdigest()


@pytest.mark.exhaustive
def test_same_bits_in_every_process():
    here = Path(__file__).parent
    code = f"import sys; sys.path[:0] = {[str(here), str(here.parent)]!r}\n"
    code += "import test_archi2vec; print(test_archi2vec.digest())"
    other = in_subprocess(code, PYTHONHASHSEED="1")
    assert other.stdout.split() == [digest()], other.stderr


def test_the_seed_matters():
    zoo = {name: architecture_graph(net, X) for name, net in small_zoo().items()}
    one, other = (archi2vec(zoo, n_clusters=3, seed=seed).vectors for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_input_errors_of_embeddings():
    zoo = small_zoo()
    with pytest.raises(TypeError, match="a mapping of names to modules or graphs is needed"):
        archi2vec(zoo["relu4"], X)
    with pytest.raises(ValueError, match="architectures: 1 given; at least two"):
        archi2vec({"relu4": zoo["relu4"]}, X)
    with pytest.raises(TypeError, match="'b' is a str"):
        archi2vec({"a": zoo["relu4"], "b": "resnet"}, X)
    with pytest.raises(ValueError, match="relu4: inputs: the forward pass"):
        archi2vec(zoo, torch.zeros(1, 7))
    with pytest.raises(ValueError, match="n_clusters: 10 given"):
        archi2vec(zoo, X, n_clusters=10)
    with pytest.raises(ValueError, match="min_count: no neighbourhood occurs 1000 times"):
        archi2vec(zoo, X, min_count=1000)


@pytest.mark.exhaustive
def test_missing_libraries_are_named():
    code = (
        "import sys\n"
        "sys.modules['gensim'] = None\n"
        "try:\n"
        "    from transfer_kernels.recommend import archi2vec\n"
        "except ImportError as error:\n"
        "    print(error)"
    )
    result = in_subprocess(code)
    assert result.stdout == 'archi2vec needs gensim: pip install "transfer_kernels[recommend]"\n'


# ------------------------------------------------------------------------------ real architectures


@pytest.fixture(scope="module")
def real():
    """Name to family and graph of the example's architectures."""
    pytest.importorskip("transformers")
    pytest.importorskip("matplotlib")
    sys.path.insert(0, str(EXAMPLES))
    try:
        import architectures
    finally:
        sys.path.remove(str(EXAMPLES))
    shown = {name for line in SHOWN for name in line.split()} | {"RegNet-X-032"}
    return architectures.graphs(shown)


@pytest.mark.exhaustive
def test_families_of_real_architectures_cluster(real):
    from sklearn.metrics import adjusted_rand_score

    families, graphs = real
    shown = {name: graph for name, graph in graphs.items() if name != "RegNet-X-032"}
    truth = [families[name] for name in shown]
    assert len(shown) >= 24 and len(set(truth)) >= 6
    embedding = archi2vec(shown, n_clusters=len(set(truth)))
    assert adjusted_rand_score(truth, embedding.codes) >= 0.9


@pytest.mark.exhaustive
def test_the_graph_of_a_regnet_x_is_nearest_to_a_resnet(real):
    families, graphs = real
    embedding = archi2vec(graphs, n_clusters=9)
    unit = embedding.vectors / np.linalg.norm(embedding.vectors, axis=1, keepdims=True)
    nearness = dict(
        zip(embedding.names, unit @ unit[embedding.names.index("RegNet-X-032")], strict=True)
    )
    nearness.pop("RegNet-X-032")
    assert families[max(nearness, key=nearness.get)] == "ResNet"
