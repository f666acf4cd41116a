"""A trained model of compounds in use: it is given the elements, and says the crystal type and which of its sites are filled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.core.peaks import first_neighbour_distance
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.species import atomic_numbers
from deepstruc_hpc.data.standard_pdf import curve_to_grid, shortest_known, with_elements
from deepstruc_hpc.model.checkpoint_info import CheckpointInfo
from deepstruc_hpc.model.contract import Generator, Proposal
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.site_proposals import ODDS_SAMPLES, TEMPLATE_SAMPLES, log_odds, points_about, propose_occupations, template_probabilities
from deepstruc_hpc.model.sites import SitesDecoder
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures import compound_types
from deepstruc_hpc.structures.compound_types import candidate_of_type, cations_and_anion
from deepstruc_hpc.structures.prototypes import CrystalCandidate
from deepstruc_hpc.structures.template_lattices import TemplateLattice

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GivenCurve:
    """A curve and the elements, as the model takes them.

    Attributes:
        pdf: (2, R + 3).
        bond: Å, the unit of r.
        crystals: of the types that the elements can have, with lengths from radii.
        cations: elements, as often as their share asks.
        anion: element.
    """

    pdf: NDArray[np.float32]
    bond: float
    crystals: dict[str, CrystalCandidate]
    cations: tuple[str, ...]
    anion: str


class CompoundModel(Generator):
    """Network and description of a checkpoint that was trained with ``model.given_elements``.

    Attributes:
        network: the CVAE, in evaluation mode.
        info: what the checkpoint says of itself.
    """

    def __init__(self, network: Cvae, info: CheckpointInfo) -> None:
        if not info.model.given_elements or not isinstance(network.decoder_network, SitesDecoder):
            raise CheckpointError("this checkpoint is no model of compounds: it was not trained with model.given_elements=true.")
        self.network, self.info = network.eval(), info
        self.decoder: SitesDecoder = network.decoder_network
        self.grid: Array = info.model.grid.axis()

    @property
    def name(self) -> str:
        """How results name it as the source of a structure."""
        return "cvae"

    @property
    def decodes_elements(self) -> bool:
        """Structures bear the sample's elements."""
        return True

    def given(self, curve: PdfCurve, elements: Sequence[str], instrument: Instrument | None = None) -> GivenCurve | None:
        """The curve on the model's axis, in units of its first peak; None for elements that are no compound of any type of the model.

        Args:
            curve: measured G(r).
            elements: of the sample; a cation that is named twice has two shares.
            instrument: how the curve was measured: its damping is taken out.

        Raises:
            PdfFileError: the curve covers too little of the model's axis.
        """
        roles = cations_and_anion(elements)
        if roles is None:
            return None
        crystals = self.possible(elements)
        if not crystals:
            return None
        cations, anion = roles
        bond = first_neighbour_distance(curve, float(np.median([one.crystal.bond_length for one in crystals.values()])))
        qdamp = (instrument or Instrument()).qdamp
        channels = curve_to_grid(curve, bond, self.grid, qdamp=qdamp, rmin=float(shortest_known(np.array(bond))))
        numbers = np.array([[float(atomic_numbers(cations).mean()), float(atomic_numbers([anion])[0])]])
        return GivenCurve(with_elements(channels[None], np.array([bond]), numbers)[0], bond, crystals, cations, anion)

    def possible(self, elements: Sequence[str]) -> dict[str, CrystalCandidate]:
        """The crystals that some elements can be, of the model's types."""
        found = {kind: candidate_of_type(kind, elements) for kind in self.info.model.structure_types}
        return {kind: crystal for kind, crystal in found.items() if crystal is not None}

    def propose(
        self,
        curve: PdfCurve,
        *,
        symbol: str,
        n_samples: int,
        sigma: float,
        rng: np.random.Generator,
        instrument: Instrument | None = None,
        elements: Sequence[str] = (),
    ) -> list[Proposal]:
        """Particles for a curve, from latent points around the mean of the prior; none for elements that are no compound.

        Args:
            curve: measured G(r).
            symbol: not used.
            n_samples: how many at most.
            sigma: width of the sampling in standard deviations of the prior, scaled to a latent space of two dimensions.
            rng: random numbers.
            instrument: as for :meth:`given`.
            elements: of the sample, cations and an anion.

        Raises:
            PdfFileError: the curve covers too little of the model's axis.
        """
        del symbol
        given = self.given(curve, elements, instrument)
        if given is None:
            return []
        mean, std = self._prior(given.pdf)
        dimensions = len(mean)
        shares = self.template_shares(given, mean + std * rng.standard_normal((TEMPLATE_SAMPLES, dimensions)))
        offsets = points_about(dimensions, n_samples, sigma, rng)
        points = mean + offsets * std
        found = propose_occupations(
            self.decoder, points, shares, count=n_samples, max_atoms=self.info.model.max_atoms, device=next(self.network.parameters()).device
        )
        density = -0.5 * (offsets**2).sum(axis=1) - np.log(std).sum() - 0.5 * dimensions * math.log(2 * math.pi)
        laid: dict[int, TemplateLattice] = {}
        proposals = []
        for assignment in found:
            if assignment.template not in laid:
                plain = self.decoder.book.template(assignment.template)
                laid[assignment.template] = compound_types.with_elements(plain, given.cations, given.anion, given.bond, rng)
            template, kind = laid[assignment.template], laid[assignment.template].structure_type
            structure = particle(template, assignment.mask, given.crystals[kind].crystal.name)
            log_prior = float(density[assignment.sample]) + math.log(max(assignment.template_probability, 1e-300))
            held, crystal = (template, assignment.mask), given.crystals[kind]
            proposals.append(Proposal(structure, points[assignment.sample], log_prior, assignment.template_probability, template.name, held, crystal))
        return proposals

    def site_odds(
        self, curve: PdfCurve, *, symbol: str = "", instrument: Instrument | None = None, elements: Sequence[str] = ()
    ) -> Callable[[str], Array | None]:
        """What is predicted of each site, averaged over the prior: a function of a template's name to (S,) ln p/(1 − p), nats; None where not known.

        Args:
            curve: measured G(r).
            symbol: not used.
            instrument: as for :meth:`given`.
            elements: of the sample.
        """
        del symbol
        given = self.given(curve, elements, instrument)
        if given is None:
            return lambda _: None
        mean, std = self._prior(given.pdf)
        points = mean + std * np.random.default_rng(0).standard_normal((ODDS_SAMPLES, len(mean)))
        names, device = self.decoder.book.names, next(self.network.parameters()).device
        return lambda name: log_odds(self.decoder, points, names.index(name), device) if name in names else None

    def most_probable(self, given: GivenCurve) -> tuple[int, NDArray[np.bool_]]:
        """As generated, before any fit: the template lattice, by number, and (S,) which of its sites are filled.

        The type is that whose template lattices are together most probable, over samples of the prior; the sites are those at the prior's mean.
        """
        mean, std = self._prior(given.pdf)
        shares = self.template_shares(given, mean + std * np.random.default_rng(0).standard_normal((TEMPLATE_SAMPLES, len(mean))))
        kinds = np.array([self.decoder.book.type_of(number) for number in range(len(shares))])
        best = max(given.crystals, key=lambda kind: float(shares[kinds == kind].sum()))
        template = int(np.where(kinds == best, shares, -1.0).argmax())
        point = torch.from_numpy(mean[None].astype(np.float32)).to(next(self.network.parameters()).device)
        return template, self.decoder.assignment(point, template)[0]

    def template_shares(self, given: GivenCurve, points: Array) -> Array:
        """(P,) probabilities of the template lattices of the types that the elements can have, averaged over (B, latent) points."""
        shares = template_probabilities(self.decoder, points, next(self.network.parameters()).device)
        possible = np.array([self.decoder.book.type_of(number) in given.crystals for number in range(len(self.decoder.book))])
        shares = np.where(possible, shares, 0.0)
        total = shares.sum()
        return np.asarray(shares / total if total > 0 else possible / possible.sum())

    @torch.inference_mode()
    def _prior(self, pdf: NDArray[np.float32]) -> tuple[Array, Array]:
        prior = self.network.prior(torch.from_numpy(pdf[None]).to(next(self.network.parameters()).device))
        return prior.mean[0].double().cpu().numpy(), prior.log_std[0].double().exp().cpu().numpy()


def particle(template: TemplateLattice, mask: NDArray[np.bool_], name: str) -> Structure:
    """The particle that fills some sites of a lattice with elements, Å; ``name`` is its crystal's."""
    symbols = [(template.species or ())[site] for site in np.flatnonzero(mask)]
    label = f"{name} cvae {template.name} {len(symbols)} atoms"
    return template.cluster(mask, symbols, template.length, template.structure_type, label)
