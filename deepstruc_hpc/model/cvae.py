"""The conditional variational autoencoder: three parts and what passes between them."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.decoder import make_decoder
from deepstruc_hpc.model.encoder import GraphEncoder, PdfPrior
from deepstruc_hpc.model.parts import Decoder, Gaussian, GraphBatch


class Cvae(nn.Module):
    """encode: q(z | structure, PDF); prior: p(z | PDF); decode: z → structure. No state is kept between calls."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = GraphEncoder(config.encoder, config.grid.points, config.latent_dim)
        self.pdf_prior = PdfPrior(config.prior, config.grid.points, config.latent_dim)
        self.decoder_network = make_decoder(config)

    @property
    def decoder(self) -> Decoder:
        """The decoder, seen through its protocol."""
        return cast("Decoder", self.decoder_network)

    def encode(self, graphs: GraphBatch, pdf: Tensor) -> Gaussian:
        """Posterior over the latent point of B structures with (B, 2, R) PDFs."""
        posterior: Gaussian = self.encoder(graphs, pdf)
        return posterior

    def prior(self, pdf: Tensor) -> Gaussian:
        """Prior over the latent point from (B, 2, R) PDFs alone."""
        prior: Gaussian = self.pdf_prior(pdf)
        return prior

    def decode(self, z: Tensor) -> Any:
        """The decoder's output for (B, latent) points."""
        return self.decoder(z)
