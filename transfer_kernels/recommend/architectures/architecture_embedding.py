"""archi2vec: vectors of network architectures, alike where their operations are wired alike.

Every architecture becomes a document whose words are the neighbourhoods in its graph, and the
documents are embedded together (graph2vec). Needs PyTorch, gensim and scikit-learn.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from torch import nn

from ...inputs import arrays
from ...kernels.threads import at_most_processors
from ...optional_packages import some_home
from ...text.quoting import shown
from .autograd_graph import ArchitectureGraph, architecture_graph

with some_home():
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument, train_document_dbow

_LEARNING_RATE, _LAST_LEARNING_RATE = 0.025, 1e-4
_SUBSAMPLING = 1e-4

Architecture = nn.Module | ArchitectureGraph


def archi2vec(
    architectures: Mapping[str, Architecture],
    inputs: Any = None,
    *,
    n_clusters: int | None = None,
    dimensions: int = 128,
    wl_iterations: int = 2,
    epochs: int = 100,
    min_count: int = 5,
    seed: int = 42,
    workers: int = 1,
) -> ArchitectureEmbedding:
    """Embed the architectures of a zoo, and cluster them.

    Parameters
    ----------
    architectures : mapping of str to torch.nn.Module or ArchitectureGraph
        At least two. Only the operations matter, not the weights, which need not exist (modules on
        the "meta" device), nor the widths.
    inputs : tensor, tuple or dict, optional
        What the forward passes take, see `architecture_graph`. Where the modules take different
        inputs, pass their graphs.
    n_clusters : int, optional
        Number of clusters; by default the one of the greatest mean silhouette, of up to 50.
    dimensions : int, default 128
        Length of a vector.
    wl_iterations : int, default 2
        Rounds of Weisfeiler-Lehman relabelling: how far the neighbourhoods reach.
    epochs : int, default 100
    min_count : int, default 5
        Neighbourhoods that occur less often in the whole zoo are passed over.
    seed : int, default 42
    workers : int, default 1
        Threads, at most as many as processors. One makes the same vectors every time; more are
        faster on a large zoo, and their vectors differ from run to run.

    Returns
    -------
    ArchitectureEmbedding

    Raises
    ------
    TypeError
        If ``architectures`` is no mapping of modules or graphs.
    ValueError
        If there are fewer than two, nothing occurs ``min_count`` times, or ``n_clusters`` is out of
        range; else as `architecture_graph` raises.

    References
    ----------
    Narayanan et al., "graph2vec: learning distributed representations of graphs", 2017; as used for
    architectures by Bai, Wu, Song, Zhao, Chen, "Pre-Trained Model Recommendation for Downstream
    Fine-tuning", arXiv:2403.06382, 2024.

    Examples
    --------
    >>> zoo = archi2vec({"resnet50": a, "resnet101": b, "vit": c}, n_clusters=2)  # doctest: +SKIP
    >>> zoo.clusters  # doctest: +SKIP
    {'resnet50': 0, 'resnet101': 0, 'vit': 1}
    """
    arrays.require_positive_integer(workers, "workers")
    documents = {
        name: graph_words(graph, wl_iterations)
        for name, graph in _graphs(architectures, inputs).items()
    }
    if not 1 <= (n_clusters or 1) <= len(documents):
        raise ValueError(
            f"n_clusters: {n_clusters} given; it lies between 1 and the {len(documents)} "
            "architectures"
        )
    frequency = Counter(word for words in documents.values() for word in words)
    if max(frequency.values()) < min_count:
        raise ValueError(
            f"min_count: no neighbourhood occurs {min_count} times in these architectures; the "
            f"commonest occurs {max(frequency.values())} times"
        )
    language = Doc2Vec(
        [TaggedDocument(words, [name]) for name, words in documents.items()],
        dm=0,
        window=0,
        vector_size=dimensions,
        min_count=min_count,
        sample=_SUBSAMPLING,
        alpha=_LEARNING_RATE,
        min_alpha=_LAST_LEARNING_RATE,
        epochs=epochs,
        workers=at_most_processors(int(workers), "workers"),
        seed=seed,
    )
    return ArchitectureEmbedding(tuple(documents), language, wl_iterations, n_clusters)


class ArchitectureEmbedding:
    """Vectors and clusters of the architectures of a zoo; made by `archi2vec`.

    Attributes
    ----------
    names : tuple of str
    vectors : (M, dimensions) float32 array
        One row an architecture, in the order of ``names``.
    codes : (M,) int64 array
        Cluster of each.
    n_clusters : int
    """

    def __init__(
        self, names: tuple[str, ...], language: Doc2Vec, wl_iterations: int, n_clusters: int | None
    ) -> None:
        self.names = names
        self.vectors: NDArray[np.float32] = np.stack([language.dv[name] for name in names])
        self._language = language
        self._wl_iterations = wl_iterations
        self._clustering = _cluster(self.vectors, n_clusters)
        self.codes: NDArray[np.int64] = self._clustering.labels_.astype(np.int64)
        self.n_clusters: int = self._clustering.n_clusters

    @property
    def clusters(self) -> dict[str, int]:
        """Name of an architecture to its cluster."""
        return dict(zip(self.names, self.codes.tolist(), strict=True))

    @property
    def one_hot(self) -> NDArray[np.float64]:
        """(M, n_clusters) membership: Fennec's published feature of an architecture."""
        return np.eye(self.n_clusters)[self.codes]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Return the vector of one of the architectures."""
        if name not in self.names:
            raise KeyError(name)
        return self.vectors[self.names.index(name)]

    def __len__(self) -> int:
        return len(self.names)

    def embed(self, architecture: Architecture, inputs: Any = None) -> NDArray[np.float32]:
        """Return the vector of one more architecture; those of the zoo stay as they are.

        The same architecture gets the same vector every time.

        Raises
        ------
        ValueError
            If none of its neighbourhoods occur in the zoo.
        """
        graph = _graphs({"architecture": architecture}, inputs, at_least=1)["architecture"]
        words = graph_words(graph, self._wl_iterations)
        known = [word for word in words if word in self._language.wv]
        if not known:
            raise ValueError(
                "architecture: none of its operations occur in the zoo that was embedded; embed it "
                "together with the others"
            )
        return _inferred(self._language, known)

    def cluster_of(self, vector: NDArray[np.float32]) -> int:
        """Return the cluster whose centre is nearest to a vector."""
        return int(self._clustering.predict(np.asarray(vector, np.float32)[None])[0])


def graph_words(graph: ArchitectureGraph, wl_iterations: int = 2) -> list[str]:
    """Words of an architecture: every node's neighbourhoods of radius 0 to ``wl_iterations``.

    Weisfeiler-Lehman relabelling: in each round a node's new name is made of its old one and the
    sorted old names of the nodes that take its result.
    """
    consumers = graph.consumers()
    names = [_word(label) for label in graph.labels]
    words = list(names)
    for _ in range(wl_iterations):
        names = [
            _word(" ".join([name, *sorted(names[node] for node in nodes)]))
            for name, nodes in zip(names, consumers, strict=True)
        ]
        words += names
    return words


def _word(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _graphs(
    architectures: Mapping[str, Architecture], inputs: Any, at_least: int = 2
) -> dict[str, ArchitectureGraph]:
    if not isinstance(architectures, Mapping):
        raise TypeError(
            "architectures: a mapping of names to modules or graphs is needed, not "
            f"{type(architectures).__name__}; vectors are learnt of several architectures "
            "together, and one more is added to them with ArchitectureEmbedding.embed"
        )
    if len(architectures) < at_least:
        raise ValueError(f"architectures: {len(architectures)} given; at least two are needed")
    graphs = {}
    for name, architecture in architectures.items():
        if isinstance(architecture, ArchitectureGraph):
            graphs[name] = architecture
            continue
        if not isinstance(architecture, nn.Module):
            raise TypeError(
                f"architectures: {shown(name)} is a {type(architecture).__name__}; a "
                "torch.nn.Module or an ArchitectureGraph is needed"
            )
        try:
            graphs[name] = architecture_graph(architecture, inputs)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return graphs


#: Families that are looked for unasked: trying as many as there are architectures is cubic.
_MOST_CLUSTERS = 50


def _cluster(vectors: NDArray[np.float32], n_clusters: int | None) -> KMeans:
    def clustered(k: int) -> KMeans:
        return KMeans(k, n_init=10, random_state=0).fit(vectors)

    if n_clusters is not None or len(vectors) == 2:
        return clustered(n_clusters or 2)
    candidates = [clustered(k) for k in range(2, min(len(vectors), _MOST_CLUSTERS + 1))]
    return max(candidates, key=lambda found: silhouette_score(vectors, found.labels_))


def _inferred(language: Doc2Vec, words: list[str]) -> NDArray[np.float32]:
    """Vector of one more document; `Doc2Vec.infer_vector` with nothing left to chance."""
    language.random = np.random.RandomState(language.seed)
    generator = np.random.default_rng(language.seed)
    size = language.vector_size
    vector = ((2 * generator.random((1, size), dtype=np.float32) - 1) / size).astype(np.float32)
    for rate in np.linspace(_LEARNING_RATE, _LAST_LEARNING_RATE, language.epochs):
        train_document_dbow(
            language,
            words,
            [0],
            float(rate),
            np.zeros(size, dtype=np.float32),
            learn_words=False,
            learn_hidden=False,
            doctag_vectors=vector,
            doctags_lockf=np.ones(1, dtype=np.float32),
        )
    return vector[0]
