"""LEEP of features by the classifier of a checkpoint on disk, as SFDA's code has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .calls import number

FOLDER = Path("models", "group1", "checkpoints")
HEADS = ("fc", "classifier", "classifier.1")


def LEEP(X: Any, y: Any, model_name: str = "resnet50") -> np.float64:
    """Mean expected probability of the labels, without a logarithm.

    The head is that of the checkpoint whose file name starts with the model's in
    ``models/group1/checkpoints``; its tensors are read, and nothing in it is executed.

    Raises
    ------
    FileNotFoundError
        If there is none.
    KeyError
        If it holds no classifier, or one of features of another width.
    """
    from ..metrics.leep import leep

    weight, bias = _head(model_name, X.shape[1])
    logits = np.asarray(X, dtype=np.float64) @ weight.T + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return number(leep(powers / powers.sum(axis=1, keepdims=True), y, "sfda"))


def _head(model_name: str, width: int) -> tuple[np.ndarray, np.ndarray]:
    import torch

    found = sorted(FOLDER.glob(f"{model_name.replace('_', '?')}[-._]*.pth"))
    found = found or sorted(FOLDER.glob(f"{model_name.replace('_', '')}[-._]*.pth"))
    if not found:
        raise FileNotFoundError(f"{FOLDER / model_name}-*.pth: no such checkpoint")
    state = torch.load(found[0], map_location="cpu", weights_only=True)
    for name in HEADS:
        weight = state.get(f"{name}.weight")
        if weight is not None and weight.ndim == 2 and weight.shape[1] == width:
            return weight.double().numpy(), state[f"{name}.bias"].double().numpy()
    raise KeyError(f"{found[0]} holds no classifier of {width} features, by {', '.join(HEADS)}")
