"""The latent space of a decoder over sites as a search sees it: template lattices, their probabilities, and what a point means on each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.model.site_features import type_of_template
from deepstruc_hpc.model.site_proposals import most_probable_sites, site_order, template_probabilities
from deepstruc_hpc.model.sites import SitesDecoder
from deepstruc_hpc.structures.template_lattices import TemplateLattice

Array = NDArray[np.float64]


class SiteSearchSpace:
    """One curve's view of a decoder over sites.

    Args:
        decoder: of the model.
        mean: (D,) of the prior.
        std: (D,) of the prior as trained, from which the template lattices follow.
        widths: (D,) factors by which the stated widths differ from those.
        samples: of the prior over which the probabilities are averaged.
        most_atoms: of the largest structure.
        device: of the decoder.
        rng: random numbers of the samples.

    Attributes:
        mean, std: (D,) of the prior, the widths as calibrated.
        names: of the L template lattices.
        kinds: structure type of each.
        probability: (L,) of each for this curve.
        most_atoms: of the largest structure.
    """

    def __init__(
        self,
        decoder: SitesDecoder,
        mean: Array,
        std: Array,
        *,
        widths: Array | float,
        samples: int,
        most_atoms: int,
        device: torch.device,
        rng: np.random.Generator,
    ) -> None:
        self._decoder, self._device = decoder, device
        self.mean, self.std, self.most_atoms = mean, std * widths, most_atoms
        self.names = list(decoder.book.names)
        self.kinds = [type_of_template(name) for name in self.names]
        self.probability = template_probabilities(decoder, mean + self.std * rng.standard_normal((samples, len(mean))), device)

    @property
    def templates(self) -> Sequence[TemplateLattice]:
        """The decoder's template lattices, in the order of ``kinds`` and ``probability``."""
        return _Templates(self._decoder)

    def occupations(self, points: Array, template: int) -> list[NDArray[np.bool_]]:
        """The most probable occupation of a template lattice, (S,) bool, at each of (B, D) latent points."""
        return most_probable_sites(self._decoder, points, template, self.most_atoms, self._device)

    def site_order(self, point: Array, template: int) -> NDArray[np.intp]:
        """(S,) sites of a template lattice from the most to the least probable at one (D,) latent point."""
        order: NDArray[np.intp] = site_order(self._decoder, point[None], template, self._device)[0]
        return order


class _Templates(Sequence[TemplateLattice]):
    """The template lattices of a decoder, made when they are asked for."""

    def __init__(self, decoder: SitesDecoder) -> None:
        self._book = decoder.book

    def __len__(self) -> int:
        return len(self._book)

    def __getitem__(self, number: int) -> TemplateLattice:  # type: ignore[override]
        return self._book.template(number)
