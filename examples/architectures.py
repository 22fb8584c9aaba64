"""Do architectures cluster into families? Embed real ones, without weights, and draw them.

    python examples/architectures.py [--out FILE.png]

The networks are built from transformers' configuration classes at their published depths, on
PyTorch's "meta" device: nothing is downloaded and no weight is stored. All families come apart but
for one member: RegNet-X falls among the ResNets, whose bottleneck it shares (its groups are no
operation of their own; the squeeze-and-excitation of RegNet-Y is). Needs transformers, gensim,
scikit-learn and matplotlib.
"""

import argparse
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, linkage
from sklearn.metrics import adjusted_rand_score
from tqdm import tqdm

from transfer_kernels.display.plots import save_figure
from transfer_kernels.recommend import (
    ArchitectureEmbedding,
    ArchitectureGraph,
    archi2vec,
    architecture_graph,
)

TEXT = {"input_ids": torch.zeros(1, 16, dtype=torch.long)}


def networks() -> Iterator[tuple[str, str, type, object, object]]:
    """Family, name, model class, configuration and inputs of every architecture."""
    resnets = {
        "18": ("basic", [2, 2, 2, 2]),
        "34": ("basic", [3, 4, 6, 3]),
        "50": ("bottleneck", [3, 4, 6, 3]),
        "101": ("bottleneck", [3, 4, 23, 3]),
        "152": ("bottleneck", [3, 8, 36, 3]),
    }
    for name, (block, depths) in resnets.items():
        config = hf.ResNetConfig(layer_type=block, depths=depths)
        yield "ResNet", f"ResNet-{name}", hf.ResNetForImageClassification, config, None
    regnets = {
        "X-032": ("x", [2, 6, 15, 2]),
        "Y-002": ("y", [1, 1, 4, 7]),
        "Y-016": ("y", [2, 6, 17, 2]),
        "Y-032": ("y", [2, 5, 13, 1]),
        "Y-080": ("y", [2, 4, 10, 1]),
    }
    for name, (block, depths) in regnets.items():
        config = hf.RegNetConfig(layer_type=block, depths=depths)
        yield "RegNet", f"RegNet-{name}", hf.RegNetForImageClassification, config, None
    for name, depths in {
        "tiny": [3, 3, 9, 3],
        "small": [3, 3, 27, 3],
        "atto": [2, 2, 6, 2],
    }.items():
        config = hf.ConvNextConfig(depths=depths)
        yield "ConvNeXt", f"ConvNeXt-{name}", hf.ConvNextForImageClassification, config, None
    for width in (0.35, 0.75, 1.0, 1.4):
        config = hf.MobileNetV2Config(depth_multiplier=width)
        name = f"MobileNetV2-{width}"
        yield "MobileNetV2", name, hf.MobileNetV2ForImageClassification, config, None
    for name, width, depth in (("b0", 1.0, 1.0), ("b2", 1.1, 1.2), ("b4", 1.4, 1.8)):
        config = hf.EfficientNetConfig(
            width_coefficient=width, depth_coefficient=depth, hidden_dim=round(1280 * width)
        )
        family = "EfficientNet"
        yield family, f"{family}-{name}", hf.EfficientNetForImageClassification, config, None
    for name, depth in {"tiny": 6, "base": 12, "large": 24, "huge": 32}.items():
        config = hf.ViTConfig(num_hidden_layers=depth)
        yield "ViT", f"ViT-{name}", hf.ViTForImageClassification, config, None
    for name, depths in {
        "mini": [2, 2, 2, 2],
        "tiny": [2, 2, 6, 2],
        "small": [2, 2, 18, 2],
    }.items():
        config = hf.SwinConfig(depths=depths)
        yield "Swin", f"Swin-{name}", hf.SwinForImageClassification, config, None
    for name, depth in {"mini": 4, "medium": 8, "base": 12, "large": 24}.items():
        yield "BERT", f"BERT-{name}", hf.BertModel, hf.BertConfig(num_hidden_layers=depth), TEXT
    for name, depth in {"distilled": 6, "small": 12, "medium": 24, "large": 36}.items():
        yield "GPT-2", f"GPT-2-{name}", hf.GPT2Model, hf.GPT2Config(n_layer=depth), TEXT


def graphs(
    names: Collection[str] | None = None,
) -> tuple[dict[str, str], dict[str, ArchitectureGraph]]:
    """Name to family and name to graph, of these or all architectures."""
    families, found = {}, {}
    chosen = [one for one in networks() if names is None or one[1] in names]
    for family, name, network, config, inputs in tqdm(chosen, desc="graphs"):
        with torch.device("meta"):
            module = network(config)
        families[name] = family
        found[name] = architecture_graph(module, inputs)
    return families, found


def picture(embedding: ArchitectureEmbedding, families: dict[str, str], title: str) -> Figure:
    """Draw the tree of the vectors by average linkage, and the cosine of every pair."""
    order = list(dict.fromkeys(families.values()))
    unit = embedding.vectors / np.linalg.norm(embedding.vectors, axis=1, keepdims=True)
    member = np.array([order.index(families[name]) for name in embedding.names])
    figure = Figure(figsize=(11, 5.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    chart, matrix = figure.subplots(1, 2, width_ratios=[2, 3])
    dendrogram(
        linkage(unit, "average", metric="cosine"),
        labels=embedding.names,
        orientation="left",
        link_color_func=lambda _: "#777777",
        leaf_font_size=7,
        ax=chart,
    )
    for text in chart.get_yticklabels():
        text.set_color(colormaps["tab10"](order.index(families[text.get_text()])))
    chart.set_title(title, fontsize=10)
    chart.set_xlabel("1 - cosine")
    chart.spines[["left", "top", "right"]].set_visible(False)
    shown = matrix.imshow(unit @ unit.T, cmap="viridis")
    edges = np.flatnonzero(np.diff(member)) + 0.5
    for edge in edges:
        matrix.axhline(edge, color="white", linewidth=0.6)
        matrix.axvline(edge, color="white", linewidth=0.6)
    matrix.set_xticks([])
    middles = [np.flatnonzero(member == number).mean() for number in range(len(order))]
    matrix.set_yticks(middles, order)
    matrix.set_title("cosine of every pair", fontsize=10)
    figure.colorbar(shown, ax=matrix, shrink=0.8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    out = parser.parse_args().out
    families, found = graphs()
    embedding = archi2vec(found, n_clusters=len(set(families.values())))
    agreement = adjusted_rand_score(list(families.values()), embedding.codes)
    for cluster in range(embedding.n_clusters):
        print(*(name for name, its in embedding.clusters.items() if its == cluster), sep=", ")
    print(f"adjusted Rand index of the clusters and the families: {agreement:.3f}")
    title = f"{len(embedding)} architectures; clusters against families: ARI {agreement:.2f}"
    save_figure(picture(embedding, families, title), out)


if __name__ == "__main__":
    main()
