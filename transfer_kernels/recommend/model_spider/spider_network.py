"""Model Spider's network: a token for each model, and the scorer that all models share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

#: Numbers in the largest intermediate result of one pass of `SpiderNetwork.score`.
_PASS = 1 << 25


class OwnTokens(NamedTuple):
    """A model's own tokens of one task of a batch.

    Attributes
    ----------
    task, model : int
        Their places in the batch and among the models.
    tokens : (C, d_model) tensor
    """

    task: int
    model: int
    tokens: Tensor


class SpiderNetwork(nn.Module):
    """Scores of all models on a batch of tasks.

    One sequence for each pair: the model's token, the task's tokens and, where they are given, the
    model's own tokens of the task; a block of self-attention with one head, and a linear head on
    the first place. The order of the other tokens says nothing. Since only the first place is read,
    only its attention is computed, and tasks meet models in matrix products.

    Parameters
    ----------
    n_models : int
    general_width : int
        Width of the task tokens.
    own_widths : sequence of int or None
        Width of each model's own tokens, None where it has none.
    width : int, default 1024
        Of all tokens inside.
    dropout : float, default 0.1
        Of the attention weights and of what they give.
    """

    def __init__(
        self,
        n_models: int,
        general_width: int,
        own_widths: Sequence[int | None],
        width: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.tokens = nn.Parameter(torch.randn(n_models, width))
        self.from_general = nn.Linear(general_width, width)
        self.from_own = nn.ModuleDict(
            {str(m): nn.Linear(own, width) for m, own in enumerate(own_widths) if own is not None}
        )
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        for linear in (self.query, self.key, self.value):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / (width + width)))
        self.output = nn.Linear(width, width)
        nn.init.xavier_normal_(self.output.weight)
        self.dropout = nn.Dropout(dropout)
        self.norm, self.head_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)
        self._kept: tuple[Any, tuple[Tensor, Tensor, Tensor]] | None = None

    def forward(
        self,
        general: Tensor,
        present: Tensor,
        own: Sequence[OwnTokens] = (),
        models: slice = slice(None),
    ) -> Tensor:
        """Score all models on a batch of tasks.

        Parameters
        ----------
        general : (T, C, general_width) tensor
            Task tokens, filled up to the most classes of the batch.
        present : (T, C) bool tensor
            Which of them are tokens.
        own : sequence of OwnTokens
            At most one for each task and model.
        models : slice
            Which models to score; all where own tokens are given.

        Returns
        -------
        scores : (T, M) tensor
        """
        query, itself, value = (part[models] for part in self._model_side())
        keys, values = self._key_and_value(self.from_general(general))
        logits = torch.einsum("mw,tcw->tmc", query, keys)
        logits = logits.masked_fill(~present[:, None, :], -torch.inf)
        parts = [itself[None, :, None].expand(len(general), -1, 1), logits]
        if own:
            pairs, own_keys, own_values, own_present = self._own(own)
            own_logits = (own_keys * query[pairs[1], None, :]).sum(dim=2)
            own_logits = own_logits.masked_fill(~own_present, -torch.inf)
            nothing = logits.new_full((*logits.shape[:2], own_logits.shape[1]), -torch.inf)
            parts.append(nothing.index_put(pairs, own_logits))
        weights = self.dropout(torch.cat(parts, dim=2).softmax(dim=2))
        n_classes = general.shape[1]
        attended = weights[:, :, :1] * value + weights[:, :, 1 : 1 + n_classes] @ values
        if own:
            own_weights = weights[pairs[0], pairs[1], 1 + n_classes :]
            own_part = (own_weights[:, None, :] @ own_values)[:, 0]
            attended = attended.index_put(pairs, own_part, accumulate=True)
        attended = self.dropout(attended + self.output.bias)
        return self.head(self.head_norm(self.norm(self.tokens[models] + attended)))[:, :, 0]

    @torch.no_grad()
    def score(self, general: Tensor, present: Tensor) -> Tensor:
        """Score all models on any number of tasks in evaluation mode, in bounded memory."""
        self.eval()
        n_models, width = len(self.tokens), max(general.shape[1] + 1, self.width)
        step = max(1, _PASS // (n_models * width))
        some = max(1, min(n_models, _PASS // width))
        parts = [slice(start, start + some) for start in range(0, n_models, some)]
        passes = zip(general.split(step), present.split(step), strict=True)
        return torch.cat(
            [
                torch.cat([self(tokens, there, models=part) for part in parts], dim=1)
                for tokens, there in passes
            ]
        )

    def _model_side(self) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, logits of themselves and values of the models' tokens.

        They are the same for every task, and most of the work where tasks have few classes. So
        where nothing is learnt they are kept, until a weight changes.
        """
        weights = (
            self.tokens,
            self.query.weight,
            self.key.weight,
            self.value.weight,
            self.output.weight,
        )
        learning = torch.is_grad_enabled()
        # Weights made in inference mode count no versions, and cannot be changed outside it.
        versions = [-1 if w.is_inference() else w._version for w in weights]
        state = [(w.data_ptr(), w.device, w.dtype) for w in weights], versions
        if not learning and self._kept is not None and self._kept[0] == state:
            return self._kept[1]
        query = self.query(self.tokens) / math.sqrt(self.width)
        key, value = self._key_and_value(self.tokens)
        made = query, (query * key).sum(dim=1), value
        self._kept = None if learning else (state, made)
        return made

    def _key_and_value(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Key, and value times the output matrix: the same sum of fewer vectors."""
        return self.key(tokens), self.value(tokens) @ self.output.weight.T

    def _own(
        self, own: Sequence[OwnTokens]
    ) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor, Tensor]:
        """Places (task, model), keys and values of own tokens, and which of them are tokens."""
        own = sorted(own, key=lambda one: (one.model, one.task))
        device = self.tokens.device
        places = torch.tensor([[one.task, one.model] for one in own], device=device)
        projected = list(self._projected(own))
        filled = nn.utils.rnn.pad_sequence(projected, batch_first=True)
        lengths = torch.tensor([len(one) for one in projected], device=device)
        present = torch.arange(filled.shape[1], device=device) < lengths[:, None]
        return (places[:, 0], places[:, 1]), *self._key_and_value(filled), present

    def _projected(self, own: Sequence[OwnTokens]) -> Iterator[Tensor]:
        """Tokens in the common width; those of one model, which come together, in one product."""
        start = 0
        while start < len(own):
            model = own[start].model
            same = [one.tokens for one in own[start:] if one.model == model]
            projected = self.from_own[str(model)](torch.cat(same))
            yield from projected.split([len(tokens) for tokens in same])
            start += len(same)
