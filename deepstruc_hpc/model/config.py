"""Settings that fix the shape of a model; they travel in its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from deepstruc_hpc.core.config import Config, StoredConfig
from deepstruc_hpc.structures.template_lattices import TemplateLattice, template_lattice


class PdfGridConfig(Config):
    """The axis on which the model sees a PDF, in units of the nearest-neighbour distance, so that every metal is one case."""

    start: float = Field(0.7, gt=0, description="first point, r / d_nn")
    stop: float = Field(9.5, gt=0, description="last point, r / d_nn")
    step: float = Field(0.04, gt=0, description="spacing, r / d_nn; π / (Qmax d_nn) loses nothing")

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.stop <= self.start + self.step:
            raise ValueError(f"the grid runs from {self.start} to {self.stop} in steps of {self.step}: stop must lie beyond start")
        return self

    @property
    def points(self) -> int:
        """Number of points."""
        return round((self.stop - self.start) / self.step) + 1

    def axis(self) -> NDArray[np.float64]:
        """The points, r / d_nn, shape (R,)."""
        return np.asarray(self.start + self.step * np.arange(self.points), dtype=np.float64)


class EncoderConfig(Config):
    """Posterior: graph convolutions with edge features (GINE), pooled, joined with the PDF."""

    hidden: int = Field(48, ge=4, description="width of node states")
    layers: int = Field(3, ge=0, description="number of graph convolutions; 0: the posterior sees atoms without their bonds")
    cutoff: float = Field(1.2, gt=1, description="bonds reach this far, in nearest-neighbour distances")


class PriorConfig(Config):
    """Prior: a residual network on the PDF and its mask."""

    hidden: int = Field(256, ge=4, description="width")
    layers: int = Field(2, ge=1, description="residual blocks")


class CoordinatesConfig(Config):
    """Decoder that writes coordinates: Fourier features of the latent point, then a residual network with three heads."""

    hidden: int = Field(512, ge=4, description="width")
    layers: int = Field(3, ge=1, description="residual blocks")
    frequencies: int = Field(4, ge=0, description="octaves of Fourier features of each latent coordinate; 0 for none")


class SitesConfig(StoredConfig):
    """Decoder that says which sites of a template lattice are filled; ``parents`` is the stored name of ``template_lattices``, also in hashes."""

    renamed: ClassVar[Mapping[str, str]] = {"parents": "template_lattices"}
    stored_names: ClassVar[Mapping[str, str]] = {"template_lattices": "parents"}

    hidden: int = Field(96, ge=4, description="width of the field over sites")
    layers: int = Field(3, ge=1, description="layers of the field, each modulated by the latent point and the template lattice")
    trunk: int = Field(256, ge=8, description="width of the network that modulates")
    blocks: int = Field(2, ge=1, description="residual blocks of that network")
    embedding: int = Field(24, ge=1, description="numbers that stand for a template lattice")
    frequencies: int = Field(1, ge=0, description="octaves of Fourier features of each latent coordinate")
    per_structure: int = Field(64, ge=8, description="sites evaluated of each structure in a step of training")
    edge_share: float = Field(0.75, ge=0, le=1, description="share of them at the surface, where the decision falls")
    radius: float = Field(6.5, gt=1, description="reach of the template lattices, in nearest-neighbour distances")
    max_layers: int = Field(8, ge=4, description="longest faulted stack among the template lattices")
    crystals: tuple[str, ...] = Field(
        (), description="further crystals as template lattices: built-in names or CIF files; the built-in ones that the catalog holds are added"
    )
    template_lattices: tuple[str, ...] = Field((), description="names of the template lattices; empty: the standard set, and those of the crystals")

    def templates(self) -> tuple[TemplateLattice, ...]:
        """The template lattices, in the order of their names."""
        return tuple(template_lattice(name, self.radius) for name in self.template_lattices)


class ModelConfig(Config):
    """Everything needed to build the network before its weights are read.

    ``max_atoms``, ``structure_types`` and ``elements`` are filled from the catalog when a training starts.
    """

    latent_dim: int = Field(8, ge=1, description="size of the latent point; the paper has 2")
    log_std_floor: float = Field(-5.0, ge=-10.0, le=0.0, description="smallest logarithm of a latent standard deviation")
    decoder: str = Field("coordinates", description="which decoder: coordinates or sites")
    max_atoms: int = Field(0, ge=0, description="largest structure; 0: that of the catalog")
    structure_types: tuple[str, ...] = Field((), description="types in the order of the type head; empty: those of the catalog")
    elements: tuple[str, ...] = Field(
        (), description="elements to decode, where the catalog mixes them; empty: structures are of one element, which the model need not know"
    )
    given_elements: bool = Field(
        False,
        description="the model is given the elements of a compound: three more readings say the length of its bond and what its elements scatter",
    )
    grid: PdfGridConfig = PdfGridConfig()
    encoder: EncoderConfig = EncoderConfig()
    prior: PriorConfig = PriorConfig()
    coordinates: CoordinatesConfig = CoordinatesConfig()
    sites: SitesConfig = SitesConfig()

    @model_serializer(mode="wrap")
    def _elements_where_given(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves ``given_elements`` out where it is false: checkpoints and hashes from before it stay what they are."""
        values: dict[str, Any] = plain(self)
        if not self.given_elements:
            values.pop("given_elements", None)
        return values

    @property
    def readings(self) -> int:
        """Numbers that the model reads off a PDF: its points, the length of its unit where that tells elements, and what it is given of them."""
        return self.grid.points + (GIVEN_READINGS if self.given_elements else int(bool(self.elements)))

    @model_validator(mode="after")
    def _knows_its_decoder(self) -> Self:
        if self.decoder not in DECODER_NAMES:
            raise ValueError(f"decoder {self.decoder!r} is not one of {', '.join(DECODER_NAMES)}")
        if self.given_elements and (self.decoder != "sites" or self.elements):
            raise ValueError("given_elements: for the decoder over sites, and where elements are not decoded")
        return self


DECODER_NAMES = ("coordinates", "sites")
GIVEN_READINGS = 3
"""Readings of :func:`~deepstruc_hpc.data.standard_pdf.with_elements`."""
