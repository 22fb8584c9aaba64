"""Recommenders that learn from past transfers: which models of a zoo suit a new task?

PyTorch and gensim are imported only when what needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Public name to the module that defines it.
_HOMES = {
    "ArchitectureEmbedding": "architecture_embedding",
    "ArchitectureGraph": "autograd_graph",
    "archi2vec": "architecture_embedding",
    "architecture_graph": "autograd_graph",
    "Fennec": "fennec",
    "ModelSpider": "model_spider",
    "Task": "history",
    "TaskSample": "task_samples",
    "TransferHistory": "history",
    "by_fennec": "recommenders",
    "by_model_spider": "recommenders",
    "reciprocal_rank_fusion": "rank_fusion",
    "sample_tasks": "task_samples",
}

#: Modules of the extra to their names for people.
_EXTRAS = {"gensim": "gensim", "sklearn": "scikit-learn", "torch": "PyTorch"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        raise ImportError(
            f'{name} needs {_EXTRAS[missing]}: pip install "transfer_kernels[recommend]"'
        ) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
