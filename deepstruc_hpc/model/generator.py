"""A trained model in use: from curves to latent points, from latent points to structures in Å."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from deepstruc_hpc.core.config import STORED
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError, PdfFileError, StructureError
from deepstruc_hpc.core.peaks import first_maximum, first_neighbour_distance, highest_point
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.graphs import GraphArrays, GraphTable, structure_graph
from deepstruc_hpc.data.standard_pdf import curve_to_grid, shortest_known, with_length
from deepstruc_hpc.model.checkpoint_info import CheckpointInfo
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.parts import DecodedArrays, GraphBatch
from deepstruc_hpc.model.proposal import Proposal
from deepstruc_hpc.model.search_space import SiteSearchSpace
from deepstruc_hpc.model.site_proposals import ODDS_SAMPLES, TEMPLATE_SAMPLES, log_odds, points_about, propose_occupations, template_probabilities
from deepstruc_hpc.model.sites import SitesDecoder
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.elements import nn_distance as nn_distance_of
from deepstruc_hpc.structures.lattices import OUTLINES
from deepstruc_hpc.structures.sites import shortest_distance

DECODE_BATCH = 512
ENCODE_ATOMS = 4096
"""Atoms of the structures that are encoded at once: what passes between two layers takes some 10 MB then."""
FIRST_PEAKS = (1.0, 1.0034, 1.036, 2.0 / 3.0**0.5)
"""Where a curve's first peak lies over the shortest distance, the unit in which a decoder that writes coordinates is trained: crystals, decahedra,
icosahedra (whose bonds along the radius are the shorter ones), and bcc particles whose second neighbours make the higher peak."""
Array = NDArray[np.float64]


class StructureModel:
    """Network and description of a checkpoint.

    Attributes:
        network: the CVAE, in evaluation mode.
        info: what the checkpoint says of itself.
    """

    def __init__(self, network: Cvae, info: CheckpointInfo) -> None:
        self.network = network.eval()
        self.info = info
        self.grid: Array = info.model.grid.axis()

    @property
    def name(self) -> str:
        """How results name it as the source of a structure."""
        return "cvae"

    @property
    def identity(self) -> str:
        """Hash of weights and settings."""
        return self.weights_hash()

    @property
    def latent_dim(self) -> int:
        """Size of a latent point."""
        return self.info.model.latent_dim

    @property
    def decodes_elements(self) -> bool:
        """Whether structures come with elements of their own: the model was trained on alloys or compounds."""
        return bool(self.info.model.elements)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def prior(
        self, pdf: PdfCurve | ArrayLike, *, symbol: str | None = None, nn_distance: float | None = None, instrument: Instrument | None = None
    ) -> tuple[Array, Array]:
        """Mean and standard deviation of p(z | PDF), as calibrated: a latent coordinate lies within the central 80 % eight times in ten.

        Args:
            pdf: one curve; or (B, 2, R) PDFs on the model's axis as :func:`~deepstruc_hpc.data.standard_pdf.curve_to_grid` makes them.
            symbol: element of a curve, for the expected nearest-neighbour distance.
            nn_distance: Å; taken as it is.
            instrument: how a curve was measured: its damping is taken out; the defaults of :class:`Instrument` where not given.

        Returns:
            Two arrays, (latent,) for a curve and (B, latent) for a batch.

        Raises:
            PdfFileError: the curve covers too little of the axis.
        """
        mean, std = self.prior_as_trained(pdf, symbol=symbol, nn_distance=nn_distance, instrument=instrument)
        return mean, std * self.info.stated_widths()

    @torch.inference_mode()
    def prior_as_trained(
        self, pdf: PdfCurve | ArrayLike, *, symbol: str | None = None, nn_distance: float | None = None, instrument: Instrument | None = None
    ) -> tuple[Array, Array]:
        """Mean and standard deviation of the prior before calibration, from which samples are drawn; arguments as for :meth:`prior`."""
        single = isinstance(pdf, PdfCurve)
        array = self._on_grid(pdf, symbol, nn_distance, instrument)[None] if isinstance(pdf, PdfCurve) else np.asarray(pdf, dtype=np.float32)
        prior = self.network.prior(torch.from_numpy(array).to(self.device))
        mean, std = prior.mean.double().cpu().numpy(), prior.log_std.double().exp().cpu().numpy()
        return (mean[0], std[0]) if single else (mean, std)

    def encode(
        self, structure: Structure, pdf: PdfCurve, *, nn_distance: float | None = None, instrument: Instrument | None = None
    ) -> tuple[Array, Array]:
        """Mean and standard deviation, (latent,), of the posterior q(z | structure, PDF).

        Args:
            structure: positions in Å.
            pdf: its measured or simulated G(r).
            nn_distance: Å; the expected distance of the structure's commonest element, refined on the curve, where not given.
            instrument: as for :meth:`prior`.

        Raises:
            StructureError: the structure has no atoms. PdfFileError: the curve covers too little of the axis.
        """
        mean, std = self._posterior([self._seen(structure, pdf, nn_distance, instrument)])
        return mean[0], std[0]

    def encode_many(
        self, structures: Sequence[Structure], pdfs: Sequence[PdfCurve], *, instrument: Instrument | None = None, skip: bool = False
    ) -> tuple[Array, Array]:
        """Means and standard deviations, (B, latent) each, of the posteriors of B structures with their PDFs: :meth:`encode`, many at once.

        Args:
            structures: positions in Å.
            pdfs: the measured or simulated G(r) of each.
            instrument: of all PDFs, as for :meth:`prior`.
            skip: rows of NaN for structures that cannot be encoded, instead of an error.

        Raises:
            StructureError, PdfFileError: as :meth:`encode`, unless ``skip``.
        """
        mean, std = (np.full((len(structures), self.latent_dim), np.nan) for _ in range(2))
        rows: list[int] = []
        seen: list[tuple[GraphArrays, NDArray[np.float32]]] = []
        for row, (structure, pdf) in enumerate(zip(structures, pdfs, strict=True)):
            try:
                seen.append(self._seen(structure, pdf, None, instrument))
            except DeepstrucError:
                if not skip:
                    raise
                continue
            rows.append(row)
            if sum(len(graph.nodes) for graph, _ in seen) >= ENCODE_ATOMS:
                mean[rows], std[rows] = self._posterior(seen)
                rows, seen = [], []
        if rows:
            mean[rows], std[rows] = self._posterior(seen)
        return mean, std

    def _seen(
        self, structure: Structure, pdf: PdfCurve, nn_distance: float | None, instrument: Instrument | None
    ) -> tuple[GraphArrays, NDArray[np.float32]]:
        """What the posterior sees of a structure: its graph, and its PDF on the model's axis, (2, R)."""
        if len(structure) == 0:
            raise StructureError(f"structure {structure.label!r}: no atoms, nothing to encode.")
        symbol = max(structure.elements, key=structure.symbols.count)
        unit = nn_distance or self.nn_distance(pdf, symbol)
        graph = structure_graph(structure, unit, cutoff=self.info.model.encoder.cutoff, elements=self.decodes_elements)
        return graph, self._on_grid(pdf, symbol, unit, instrument)

    @torch.inference_mode()
    def _posterior(self, seen: Sequence[tuple[GraphArrays, NDArray[np.float32]]]) -> tuple[Array, Array]:
        graphs, owner = GraphTable.of([graph for graph, _ in seen]).take(np.arange(len(seen)))
        nodes, edges, bonds, owners = (torch.from_numpy(part) for part in (graphs.nodes, graphs.edges, graphs.bonds, owner))
        pdf = torch.from_numpy(np.stack([channels for _, channels in seen])).to(self.device)
        posterior = self.network.encode(GraphBatch(nodes, edges, bonds, owners, len(seen)).to(self.device), pdf)
        return posterior.mean.double().cpu().numpy(), posterior.log_std.double().exp().cpu().numpy()

    def weights_hash(self) -> str:
        """Hash of all weights and of the settings that shape the network: equal for models that give the same numbers."""
        digest = blake2b(self.info.model.model_dump_json(context=STORED).encode(), digest_size=16)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def decode(self, z: ArrayLike, *, symbol: str = "Au", nn_distance: float | None = None) -> list[Structure]:
        """Structures in Å for (B, latent) points, or one for a single point.

        Args:
            z: latent points.
            symbol: element of every atom.
            nn_distance: Å; twice the metallic radius of the element where not given.
        """
        unit = nn_distance or nn_distance_of(symbol)
        points = np.atleast_2d(np.asarray(z, dtype=np.float64))
        return [self._structure(decoded, symbol, unit, str(number)) for number, decoded in enumerate(self._decode_arrays(points), start=1)]

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
        """Structures for a curve, from latent points around the mean of the prior.

        The first proposal is the mean itself; the others are drawn with ``sigma`` times the prior's standard deviation as trained. A decoder that
        writes coordinates is asked in each unit of length that the first peak may stand for, so there the first few are means. A decoder over
        sites has a larger latent space, in which the distance from the mean is kept as it would be in two dimensions, and gives several templates and
        several cuts for each point; it proposes no assignment twice, and so may give fewer than were asked for.

        Args:
            curve: measured G(r).
            symbol: element.
            n_samples: how many.
            sigma: width of the sampling in standard deviations of the prior as trained.
            rng: random numbers.
            instrument: how the curve was measured, as for :meth:`prior`.
            elements: of the sample, from which a model that decodes elements may choose.

        Raises:
            PdfFileError: the curve covers too little of the model's axis.
        """
        unit = self.nn_distance(curve, symbol)
        mean, std = self.prior_as_trained(curve, nn_distance=unit, instrument=instrument)
        decoder = self.network.decoder_network
        if isinstance(decoder, SitesDecoder):
            found = self._propose_sites(decoder, mean, std, unit, symbol=symbol, n_samples=n_samples, sigma=sigma, rng=rng)
            return [self._with_elements(decoder, proposal, elements) for proposal in found] if self.decodes_elements else found
        return self._propose_coordinates(curve, unit, symbol=symbol, n_samples=n_samples, sigma=sigma, rng=rng, instrument=instrument)

    def _propose_coordinates(
        self, curve: PdfCurve, unit: float, *, symbol: str, n_samples: int, sigma: float, rng: np.random.Generator, instrument: Instrument | None
    ) -> list[Proposal]:
        """Samples about the means that the curve has when it is read in each of the units that its first peak may stand for."""
        units = unit / np.array(FIRST_PEAKS[:n_samples])
        priors = [self.prior_as_trained(curve, nn_distance=one, instrument=instrument) for one in units.tolist()]
        which = np.arange(n_samples) % len(units)
        mean, std = (np.stack(parts)[which] for parts in zip(*priors, strict=True))
        offsets = sigma * rng.standard_normal((n_samples, self.latent_dim))
        offsets[: len(units)] = 0.0
        points = mean + offsets * std
        log_prior = self._log_prior(offsets, std)
        proposals = []
        for number, (point, decoded) in enumerate(zip(points, self._decode_arrays(points), strict=True)):
            structure = self._structure(decoded, symbol, float(units[which[number]]), f"sigma {sigma:g} sample {number + 1}")
            proposals.append(Proposal(structure, point, float(log_prior[number]), float(decoded.type_probabilities.max())))
        return proposals

    def _propose_sites(
        self, decoder: SitesDecoder, mean: Array, std: Array, unit: float, *, symbol: str, n_samples: int, sigma: float, rng: np.random.Generator
    ) -> list[Proposal]:
        typical = mean + std * rng.standard_normal((TEMPLATE_SAMPLES, self.latent_dim))
        probabilities = template_probabilities(decoder, typical, self.device)
        offsets = points_about(self.latent_dim, n_samples, sigma, rng)
        points = mean + offsets * std
        density = self._log_prior(offsets, std)
        proposals = []
        most = self.info.model.max_atoms
        assignments = propose_occupations(decoder, points, probabilities, count=n_samples, max_atoms=most, device=self.device)
        for number, assignment in enumerate(assignments, start=1):
            template = decoder.book.template(assignment.template)
            label = f"{symbol} cvae {template.name} {int(assignment.mask.sum())} atoms, sigma {sigma:g} proposal {number}"
            structure = template.structure(assignment.mask, symbol, unit, label)
            log_prior = float(density[assignment.sample]) + math.log(assignment.template_probability)
            filled = (template, assignment.mask)
            proposals.append(Proposal(structure, points[assignment.sample], log_prior, assignment.template_probability, template.name, filled))
        return proposals

    def _with_elements(self, decoder: SitesDecoder, proposal: Proposal, allowed: Sequence[str]) -> Proposal:
        """The proposal with the elements that its latent point means; its type is said by the model where template lattices do not tell it."""
        if proposal.occupation is None:
            return proposal
        template, mask = proposal.occupation
        z = torch.from_numpy(proposal.latent.astype(np.float32))[None].to(self.device)
        symbols = decoder.elements_on(z, decoder.book.names.index(template.name), mask, allowed)
        with torch.inference_mode():
            kind = self.info.model.structure_types[int(decoder.type_shares(decoder(z))[0].argmax())]
        unit = float(shortest_distance(proposal.structure.positions) / shortest_distance(template.sites[mask]))
        structure = template.cluster(mask, symbols, unit, kind, proposal.structure.label)
        return Proposal(structure, proposal.latent, proposal.log_prior, proposal.type_probability, proposal.template)

    def _log_prior(self, offsets: Array, std: Array) -> Array:
        """(B,) ln density of the prior, as calibrated, at (B, latent) offsets from its mean in standard deviations as trained, ([B,] latent)."""
        widths = self.info.stated_widths()
        return np.asarray(
            -0.5 * ((offsets / widths) ** 2).sum(axis=1) - np.log(std * widths).sum(axis=-1) - 0.5 * self.latent_dim * math.log(2 * math.pi)
        )

    def type_probabilities(
        self, curve: PdfCurve, *, symbol: str | None = None, instrument: Instrument | None = None, rng: np.random.Generator | None = None
    ) -> dict[str, float]:
        """What the model says of the structure types before anything is fitted: averaged over samples of the prior as trained (sigma 1).

        A decoder over sites says the lattice, not the outline: ``octahedral`` then has the probability of fcc, beside fcc, and the sum may exceed 1.

        Args:
            curve: measured G(r).
            symbol: element.
            instrument: as for :meth:`prior`.
            rng: random numbers; the same every time where not given.
        """
        mean, std = self.prior_as_trained(curve, nn_distance=self.nn_distance(curve, symbol), instrument=instrument)
        random = rng or np.random.default_rng(0)
        points = mean + std * random.standard_normal((TEMPLATE_SAMPLES, self.latent_dim))
        shares = self.network.mean_type_shares(points)
        found = dict(zip(self.info.model.structure_types, (float(share) for share in shares), strict=True))
        if self.info.model.decoder == "sites":
            found |= {outline: found[lattice] for outline, lattice in OUTLINES.items() if lattice in found}
        return found

    def site_odds(
        self, curve: PdfCurve, *, symbol: str, instrument: Instrument | None = None, elements: Sequence[str] = ()
    ) -> Callable[[str], Array | None]:
        """What a decoder over sites says of each site, averaged over the prior: a function of a template lattice's name to (S,) ln p/(1 − p), nats.

        The function gives None for template lattices that the model does not know, and for a decoder that writes coordinates.

        Args:
            curve: measured G(r).
            symbol: element.
            instrument: as for :meth:`prior`.
            elements: not used.
        """
        del elements
        decoder = self.network.decoder_network
        if not isinstance(decoder, SitesDecoder):
            return lambda _: None
        mean, std = self.prior_as_trained(curve, nn_distance=self.nn_distance(curve, symbol), instrument=instrument)
        points = mean + std * np.random.default_rng(0).standard_normal((ODDS_SAMPLES, self.latent_dim))
        return lambda name: log_odds(decoder, points, decoder.book.names.index(name), self.device) if name in decoder.book.names else None

    def search_space(self, curve: PdfCurve, *, symbol: str, instrument: Instrument, rng: np.random.Generator) -> SiteSearchSpace | None:
        """The latent space to search in for a curve.

        None for a decoder that writes coordinates, and for one that decodes elements: moving the lattice alone would leave them behind.

        Args:
            curve: measured G(r).
            symbol: element.
            instrument: as for :meth:`prior`.
            rng: of the samples by which the lattices' probabilities are told.
        """
        decoder = self.network.decoder_network
        if not isinstance(decoder, SitesDecoder) or self.decodes_elements:
            return None
        mean, std = (np.ravel(part) for part in self.prior_as_trained(curve, symbol=symbol, instrument=instrument))
        widths, most = self.info.stated_widths(), self.info.model.max_atoms
        return SiteSearchSpace(decoder, mean, std, widths=widths, samples=TEMPLATE_SAMPLES, most_atoms=most, device=self.device, rng=rng)

    def nn_distance(self, curve: PdfCurve, symbol: str | None = None) -> float:
        """The distance by which a curve's r is divided, Å: that of its first peak, near where the metal's twelve neighbours would be.

        Raises:
            PdfFileError: no element is given and the curve has no points where first neighbours lie.
        """
        if self.decodes_elements:
            return first_maximum(curve)
        if symbol is not None:
            return first_neighbour_distance(curve, nn_distance_of(symbol, "twelve"))
        highest = highest_point(curve, 2.2, 3.6)
        if highest is None:
            raise PdfFileError(f"{curve.source or 'curve'}: no points between 2.2 and 3.6 Å, where first neighbours lie. Name the element.")
        return first_neighbour_distance(curve, highest)

    def _on_grid(self, curve: PdfCurve, symbol: str | None, nn_distance: float | None, instrument: Instrument | None) -> NDArray[np.float32]:
        unit = nn_distance or self.nn_distance(curve, symbol)
        qdamp = (instrument or Instrument()).qdamp
        channels = curve_to_grid(curve, unit, self.grid, qdamp=qdamp, rmin=float(shortest_known(np.array(unit))))
        return with_length(channels[None], np.array([unit]))[0] if self.info.model.elements else channels

    @torch.inference_mode()
    def _decode_arrays(self, points: Array) -> list[DecodedArrays]:
        if points.shape[1] != self.latent_dim:
            raise StructureError(f"latent points have {points.shape[1]} coordinates, but the model's have {self.latent_dim}.")
        decoded: list[DecodedArrays] = []
        for start in range(0, len(points), DECODE_BATCH):
            part = torch.from_numpy(points[start : start + DECODE_BATCH].astype(np.float32)).to(self.device)
            decoded += self.network.structures(part)
        return decoded

    def _structure(self, decoded: DecodedArrays, symbol: str, unit: float, what: str) -> Structure:
        kind = self.info.model.structure_types[int(decoded.type_probabilities.argmax())]
        if decoded.symbols is not None:
            return Structure(decoded.symbols, decoded.positions * unit, kind, f"cvae {kind} {what}")
        return Structure.of_element(symbol, decoded.positions * unit, kind, f"{symbol} cvae {kind} {what}")
