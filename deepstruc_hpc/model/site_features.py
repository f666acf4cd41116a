"""Sites of template lattices as a network sees them: coordinates, numbers that symmetry leaves alone, and Fourier terms of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepstruc_hpc.structures import compound_types
from deepstruc_hpc.structures.crystal_templates import PREFIX, crystal_of_template, own_elements
from deepstruc_hpc.structures.template_lattices import TemplateLattice, template_lattice

LENGTH = 4.0
"""Coordinates are divided by it, nearest-neighbour distances."""
MOST_INVARIANTS = 8
INVARIANT_FREQUENCIES = (0.25, 0.5, 1.0)
COORDINATE_FREQUENCIES = (0.125, 0.25, 0.5)
"""Periods of Fourier terms, in inverse nearest-neighbour distances."""
FEATURES = 3 + 6 + 2 + MOST_INVARIANTS * (1 + 2 * len(INVARIANT_FREQUENCIES)) + 3 * 2 * len(COORDINATE_FREQUENCIES)


def site_features(template: TemplateLattice) -> NDArray[np.float32]:
    """(S, FEATURES) numbers of order 1 for each site of a template lattice."""
    x = template.sites / LENGTH
    radius = template.distance / LENGTH
    products = np.column_stack([x[:, i] * x[:, j] for i in range(3) for j in range(i, 3)])
    invariants = np.zeros((len(template), MOST_INVARIANTS))
    known = template.invariants[:, :MOST_INVARIANTS]
    invariants[:, : known.shape[1]] = known
    waves = [wave(2 * np.pi * f * invariants) for f in INVARIANT_FREQUENCIES for wave in (np.sin, np.cos)]
    waves += [wave(2 * np.pi * f * template.sites) for f in COORDINATE_FREQUENCIES for wave in (np.sin, np.cos)]
    return np.column_stack([x, products, radius, radius**2, invariants / LENGTH, *waves]).astype(np.float32)


def type_of_template(name: str) -> str:
    """The structure type of clusters on a template lattice, by its name."""
    if name.startswith(PREFIX):
        return crystal_of_template(name)
    if name.startswith(compound_types.PREFIX):
        return compound_types.type_of(name)
    first, _, rest = name.partition(" ")
    return "stacking_fault" if first == "close-packed" or "fault" in rest or "twin" in rest else first


class SiteBook:
    """Template lattices by number, made when they are first asked for.

    Args:
        names: of the template lattices.
        radius: within which their sets are complete, nearest-neighbour distances.
    """

    def __init__(self, names: Sequence[str], radius: float) -> None:
        self.names = tuple(names)
        self.radius = radius
        self._features: dict[tuple[int, str], Tensor] = {}
        self._table: tuple[Tensor, Tensor] | None = None
        self._own: Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    def template(self, index: int) -> TemplateLattice:
        """A template lattice by number."""
        return template_lattice(self.names[index], self.radius)

    def templates(self) -> tuple[TemplateLattice, ...]:
        """All of them."""
        return tuple(self.template(index) for index in range(len(self)))

    def type_of(self, index: int) -> str:
        """The structure type of clusters on a template lattice."""
        return type_of_template(self.names[index])

    def own(self, index: int, elements: Sequence[str]) -> Tensor:
        """(S,) int64, the number of the element that a crystal has on each site, len(elements) on template lattices of any element."""
        return torch.from_numpy(own_elements([self.template(index)], elements)[0])

    def own_table(self, elements: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
        """The same of all template lattices laid end to end, (ΣS,)."""
        if self._own is None or self._own.device != torch.device(device):
            self._own = torch.cat([self.own(index, elements) for index in range(len(self))]).to(device)
        return self._own

    def features(self, index: int, device: torch.device | str = "cpu") -> Tensor:
        """(S, FEATURES) of one template lattice."""
        key = (index, str(device))
        if key not in self._features:
            self._features[key] = torch.from_numpy(site_features(self.template(index))).to(device)
        return self._features[key]

    def table(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Features of all template lattices laid end to end, (ΣS, FEATURES), and the first row of each, (P,)."""
        if self._table is None or self._table[0].device != torch.device(device):
            parts = [self.features(index, device) for index in range(len(self))]
            starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
            self._table = (torch.cat(parts), torch.from_numpy(starts.astype(np.int64)).to(device))
        return self._table
