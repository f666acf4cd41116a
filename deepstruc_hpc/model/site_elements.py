"""Which element lies on each filled site: one more answer of the decoder over sites, where a catalog mixes elements.

A template of one crystal suggests the element of each site; what the data say comes on top: alloys order, segregate or mix, and of which two metals
they are is read off contrast and distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from deepstruc_hpc.data.site_targets import EMPTY

SUGGESTED = 3.0
"""Logit, at the start of a training, that a crystal's own element has over the others on its site."""


class ElementHead(nn.Module):
    """p(element | z, template lattice, site) of filled sites."""

    def __init__(self, hidden: int, trunk: int, n_elements: int) -> None:
        super().__init__()
        self.on_site = nn.Linear(hidden, n_elements)
        self.overall = nn.Linear(trunk, n_elements)
        self.suggested = nn.Parameter(torch.tensor(SUGGESTED))
        self.n_elements = n_elements

    def forward(self, x: Tensor, condition: Tensor, own: Tensor) -> Tensor:
        """Logits (B, K, E) for (B, K, hidden) sites, (B, trunk) conditions and the crystal's own element of each site, (B, K) or (K,), E for none."""
        suggestion = one_hot(own, self.n_elements + 1)[..., :-1].to(x.dtype)
        logits: Tensor = self.on_site(x) + self.overall(condition)[:, None, :] + self.suggested * suggestion
        return logits


def element_loss(logits: Tensor, element: Tensor) -> Tensor:
    """Cross-entropy over the filled ones of (B, K) sites with (B, K, E) logits."""
    return cross_entropy(logits.flatten(0, 1), element.flatten().long(), ignore_index=EMPTY)
