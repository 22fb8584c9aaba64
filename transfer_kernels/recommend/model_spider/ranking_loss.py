"""The Plackett-Luce likelihood of a ranking, as a loss."""

from __future__ import annotations

import torch
from torch import Tensor


def plackett_luce_loss(scores: Tensor, performance: Tensor) -> Tensor:
    """Mean negative log-likelihood that drawing without replacement by exp(score) ranks the models.

    The best model is drawn from all, the next from those that are left, and so on; models of equal
    performance stay among those left for each other. The last draw is no choice and does not count.

    Parameters
    ----------
    scores, performance : (B, M) tensor
        Higher is better. Models whose performance is NaN are left out.

    Returns
    -------
    loss : scalar tensor
        Mean over the tasks of the mean over their draws.

    Notes
    -----
    It compares every pair of models: O(B M^2) memory.

    References
    ----------
    Xia, Liu, Wang, Zhang, Li, "Listwise approach to learning to rank: theory and algorithm", ICML
    2008 (ListMLE); as used by Zhang, Huang, Ding, Zhan, Ye, "Model Spider: learning to rank
    pre-trained models efficiently", NeurIPS 2023.
    """
    known = ~performance.isnan()
    left = (performance[:, None, :] <= performance[:, :, None]) & known[:, None, :]
    # A row of a model that is left out would be empty; it is given itself and does not count.
    left = left | torch.eye(left.shape[1], dtype=torch.bool, device=left.device)
    rest = scores[:, None, :].masked_fill(~left, -torch.inf).logsumexp(dim=2)
    counted = known.clone()
    last = performance.masked_fill(~known, torch.inf).argmin(dim=1)
    counted[torch.arange(len(last), device=last.device), last] = False
    draws = ((rest - scores) * counted).sum(dim=1)
    return (draws / counted.sum(dim=1).clamp(min=1)).mean()
