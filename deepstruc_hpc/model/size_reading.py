"""Sizes and structures of any size from a model with a decoder over sites and its size head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepstruc_hpc.model.coarse_view import WHOLE_ATOMS, atomic_volumes, coarse_view, stretched_sites
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.parts import DecodedArrays
from deepstruc_hpc.model.sites import FEWEST_ATOMS, SitesDecoder, SitesOutput
from deepstruc_hpc.model.size_head import FieldReading, LibraryReading, SizeHead, SizeMixture, long_axis, on_model_axis, prior_features
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.sites import centred_and_ordered

if TYPE_CHECKING:
    from deepstruc_hpc.model.size_library import SizeLibrary

Array = NDArray[np.float64]

UNLIKELY = 0.01
"""Lattices that the decoder gives more than this are tried, and this is added to what it gives."""
TWINS = ("fcc", "hcp", "stacking_fault", "decahedral", "icosahedral")
"""Lattices that are all tried for large particles, where one of them is the most probable: they differ by twins and faults alone."""
NARROWEST = 0.003
"""Least width of ln N."""


@dataclass(frozen=True, eq=False)
class SizedAnswer:
    """What a model says of B curves.

    Attributes:
        log_n: (B,) mean of ln N.
        log_std: (B,) ln of the standard deviation of ln N.
        head: the size head's own mixture.
        field: the decoder's reading.
        head_size: (B,) number of atoms that the head says.
        supposed: (B,) number of atoms as which the particles were shown to the decoder.
        output: the decoder's, of the mean latent points of the coarse views.
        template: (B,) number of the most probable template lattice.
        logits: of the sites of that template lattice, (S,) each.
        types: (B, T) probabilities of the model's types.
        library: the library's reading, where there is one.
    """

    log_n: Tensor
    log_std: Tensor
    head: SizeMixture
    field: FieldReading
    head_size: Array
    supposed: Array
    output: SitesOutput
    template: NDArray[np.int64]
    logits: list[NDArray[np.float32]]
    types: Array
    library: LibraryReading | None

    def n_atoms(self) -> NDArray[np.int64]:
        """(B,) the number of atoms that is predicted, in whole atoms."""
        whole = np.rint(np.exp(self.log_n.double().cpu().numpy()))
        return np.asarray(np.maximum(whole, FEWEST_ATOMS), dtype=np.int64)


class SizeReader:
    """Reads sizes off PDFs, and says which sites particles of these sizes fill.

    The head says a size. The curve is shown to the model as if the particle were at most as large as the model knows, and the decoder's answer is
    a second reading: how many of the sites of such a particle it fills, over how many it should. A third is the library's. They are weighed by how
    sure they are. Of particles larger than the model knows the library says the lattice, too.

    Args:
        network: in evaluation mode, with a decoder over sites of one-element particles.
        head: of this network.
        library: reads the library of bodies, where the head has one; called when it is needed first.

    Attributes:
        axis: (L,) r / d_nn, on which curves are read; the model's own axis is its first part.
    """

    def __init__(self, network: Cvae, head: SizeHead, library: Callable[[], SizeLibrary] | None = None) -> None:
        decoder = network.decoder_network
        if not isinstance(decoder, SitesDecoder):
            raise TypeError("a size head needs a decoder over sites.")
        self.network, self.decoder, self.head = network, decoder, head.eval()
        self.axis = long_axis(head.config, network.config.grid)
        self._read_library = library
        self._lattices = np.array([lattice_of(name) for name in network.config.structure_types])
        self._template_lattices = np.array([lattice_of(decoder.book.type_of(number)) for number in range(len(decoder.book))])

    @cached_property
    def library(self) -> SizeLibrary | None:
        """Of bodies; None where the head has none."""
        return None if self._read_library is None else self._read_library()

    @torch.no_grad()
    def read(self, pdf: NDArray[np.float32]) -> SizedAnswer:
        """What is predicted for (B, 2, L) PDFs on the reader's axis or on the first part of it, at least the model's own."""
        points = self.network.config.grid.points
        seen = torch.from_numpy(np.ascontiguousarray(pdf, dtype=np.float32)).to(next(self.network.parameters()).device)
        near = on_model_axis(seen, points)
        features = prior_features(self.network, near)
        mixture = self.head(seen, features)
        size = np.exp(mixture.moments()[0].double().cpu().numpy())
        direct = self.network.decode(features[:, -self.network.config.latent_dim :]).template_logits.argmax(dim=1).cpu().numpy()
        coarse, supposed = coarse_view(near.cpu().numpy(), self.axis[:points], size, atomic_volumes(self.decoder, direct))
        prior = self.network.prior(torch.from_numpy(coarse).to(seen.device))
        output = self.network.decode(prior.mean)
        types = self.decoder.type_shares(output)
        library = None
        if self.library is not None:
            library, types = self._by_library(self.library, pdf, size, types)
        template = self._templates(output, types, supposed < size)
        logits = [self.decoder.site_logits(output.z[row : row + 1], int(kind))[0].cpu().numpy() for row, kind in enumerate(template)]
        field = _field_reading(logits, supposed, prior.log_std.mean(dim=1))
        mean, log_std = self.head.blend(mixture, field, library)
        return SizedAnswer(mean, log_std, mixture, field, size, supposed, output, template, logits, types, library)

    def _by_library(self, library: SizeLibrary, pdf: NDArray[np.float32], size: Array, types: Array) -> tuple[LibraryReading, Array]:
        """The library's reading, and (B, T) types; of particles that the model knows they stay as the decoder says."""
        means, widths, found = [], [], types.copy()
        both = [lattice for lattice in library.curves if lattice in self._lattices]
        for row, shares in enumerate(types):
            known = pdf[row, 1] > 0
            r, g = self.axis[: pdf.shape[2]][known], pdf[row, 0][known].astype(np.float64)
            prior = {lattice: float(shares[self._lattices == lattice].sum()) for lattice in both}
            large, first = size[row] > WHOLE_ATOMS, max(prior, key=lambda lattice: prior[lattice])
            twins = TWINS if large and first in TWINS else ()
            tried = [lattice for lattice in prior if lattice == first or lattice in twins or prior[lattice] > UNLIKELY]
            about = float(np.log(size[row]))
            evidence = np.array([library.log_evidence(r, g, lattice, about) + np.log(prior[lattice] + UNLIKELY) for lattice in tried])
            mean, width = library.moments(np.logaddexp.reduce(evidence, axis=0))
            means.append(mean)
            widths.append(np.log(max(width, NARROWEST)))
            if large:
                total = np.logaddexp.reduce(evidence, axis=1)
                by_lattice = dict(zip(tried, np.exp(total - np.logaddexp.reduce(total)), strict=True))
                found[row] = self._spread_over_types(by_lattice, shares)
        reading = LibraryReading(torch.tensor(means, dtype=torch.float32), torch.tensor(widths, dtype=torch.float32))
        return reading.to(self.head.g_mean.device), found

    def _spread_over_types(self, by_lattice: dict[str, float], shares: NDArray[np.floating]) -> Array:
        """(T,) probabilities of types from those of lattices; types of one lattice are to each other as before."""
        found = np.zeros(len(shares))
        for lattice, share in by_lattice.items():
            before = np.where(self._lattices == lattice, shares + 1e-12, 0.0)
            found += share * before / before.sum()
        return found

    def _templates(self, output: SitesOutput, types: Array, coarse: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(B,) the most probable template lattice; of coarse views, of those of the most probable lattice."""
        logits = output.template_logits.double().cpu().numpy()
        of_lattice = self._lattices[types.argmax(axis=1)][:, None] == self._template_lattices
        barred = coarse[:, None] & of_lattice.any(axis=1)[:, None] & ~of_lattice
        return np.asarray(np.where(barred, -np.inf, logits).argmax(axis=1), dtype=np.int64)

    def structures(self, pdf: NDArray[np.float32]) -> list[DecodedArrays]:
        """As generated: the most probable sites of the most probable template lattice, as many as :meth:`read` says."""
        return self.generated(self.read(pdf))

    def generated(self, answer: SizedAnswer) -> list[DecodedArrays]:
        """The structures of an answer."""
        found = []
        for row, (number, count) in enumerate(zip(answer.template.tolist(), answer.n_atoms().tolist(), strict=True)):
            logits = answer.logits[row]
            coarse = min(_counts(logits)[0], float(count)) if answer.supposed[row] < answer.head_size[row] else float(count)
            sites = stretched_sites(self.decoder.book.template(number), logits, coarse, count)
            found.append(DecodedArrays(centred_and_ordered(sites), answer.types[row]))
        return found


def _field_reading(logits: list[NDArray[np.float32]], supposed: Array, latent_width: Tensor) -> FieldReading:
    counts = np.array([_counts(row) for row in logits])
    columns = [np.log(counts[:, 0] / supposed), np.log(counts[:, 1] / supposed), np.log(counts[:, 2] / counts[:, 0])]
    ratio, exact, width = (torch.from_numpy(column).to(latent_width) for column in columns)
    return FieldReading(ratio, exact, width, latent_width)


def _counts(logits: NDArray[np.float32]) -> tuple[float, float, float]:
    """The expected number of filled sites; that of sites more probably filled than empty; and the standard deviation of the number."""
    share = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    spread = float(np.sqrt((share * (1.0 - share)).sum()))
    fewest = float(FEWEST_ATOMS)
    return max(float(share.sum()), fewest), max(float(np.count_nonzero(logits > 0)), fewest), max(spread, 1e-3)
