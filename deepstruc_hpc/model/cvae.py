"""The conditional variational autoencoder: three parts and what passes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepstruc_hpc.data.graphs import NODE_FEATURES
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.decoder import make_decoder
from deepstruc_hpc.model.encoder import Convolution, GraphEncoder, PdfPrior
from deepstruc_hpc.model.message_passing import GineConvolution
from deepstruc_hpc.model.parts import DecodedArrays, Decoder, Gaussian, GraphBatch, Targets


class Cvae(nn.Module):
    """encode: q(z | structure, PDF); prior: p(z | PDF); decode: z → structure. No state is kept between calls.

    Args:
        config: sizes.
        convolution: layer of the encoder, see :class:`~deepstruc_hpc.model.encoder.GraphEncoder`.
    """

    pdf_mean: Tensor
    pdf_std: Tensor

    def __init__(self, config: ModelConfig, *, convolution: Convolution = GineConvolution) -> None:
        super().__init__()
        self.config = config
        self.encoder = GraphEncoder(
            config.encoder,
            config.readings,
            config.latent_dim,
            config.log_std_floor,
            node_features=NODE_FEATURES + bool(config.elements),
            convolution=convolution,
        )
        self.pdf_prior = PdfPrior(config.prior, config.readings, config.latent_dim, config.log_std_floor)
        self.decoder_network = make_decoder(config)
        self.register_buffer("pdf_mean", torch.zeros(config.readings))
        self.register_buffer("pdf_std", torch.ones(config.readings))

    @torch.no_grad()
    def initialise(self, graphs: GraphBatch, pdf: Tensor) -> None:
        """Fit scales to a sample of B structures with (B, 2, R) PDFs, before the first step of a training.

        The inputs: mean and spread of G at every point of the axis. Size is told by the weak far end of a PDF; on its own scale there it is learned
        as early as the strong first peaks. The outputs: see :meth:`~deepstruc_hpc.model.layers.GaussianHead.spread_means`.
        """
        g, known = pdf[:, 0], pdf[:, 1]
        count = known.sum(dim=0).clamp(min=1.0)
        mean = (g * known).sum(dim=0) / count
        variance = ((g - mean).square() * known).sum(dim=0) / count
        self.pdf_mean.copy_(mean)
        self.pdf_std.copy_(variance.sqrt().clamp(min=0.02))
        scaled = self._scaled(pdf)
        self.pdf_prior.head.spread_means(self.pdf_prior.features(scaled))
        self.encoder.head.spread_means(self.encoder.features(graphs, scaled[: graphs.size]))

    def _scaled(self, pdf: Tensor) -> Tensor:
        g, known = pdf[:, 0], pdf[:, 1]
        return torch.stack([(g - self.pdf_mean) / self.pdf_std * known, known], dim=1)

    @property
    def decoder(self) -> Decoder:
        """The decoder, seen through its protocol."""
        return cast("Decoder", self.decoder_network)

    def encode(self, graphs: GraphBatch, pdf: Tensor) -> Gaussian:
        """Posterior over the latent point of B structures with (B, 2, R) PDFs."""
        posterior: Gaussian = self.encoder(graphs, self._scaled(pdf))
        return posterior

    def prior(self, pdf: Tensor) -> Gaussian:
        """Prior over the latent point from (B, 2, R) PDFs alone."""
        prior: Gaussian = self.pdf_prior(self._scaled(pdf))
        return prior

    def decode(self, z: Tensor) -> Any:
        """The decoder's output for (B, latent) points, for :meth:`losses` and :meth:`errors`."""
        return self.decoder(z)

    def losses(self, output: Any, targets: Targets) -> dict[str, Tensor]:
        """Terms of the reconstruction loss, see :meth:`~deepstruc_hpc.model.parts.Decoder.losses`."""
        return self.decoder.losses(output, targets)

    def errors(self, output: Any, targets: Targets) -> dict[str, Tensor]:
        """(B,) figures of merit by name, see :meth:`~deepstruc_hpc.model.parts.Decoder.errors`."""
        return self.decoder.errors(output, targets)

    def structures(self, z: Tensor) -> Sequence[DecodedArrays]:
        """The most probable structure of each of (B, latent) points."""
        return self.decoder.structures(self.decode(z))

    def mean_type_shares(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T,) probabilities of the structure types, averaged over (B, latent) points."""
        return self.decoder.mean_type_shares(points, self.pdf_mean.device)

    def assignments(self, z: Tensor, allowed: Sequence[Sequence[str]]) -> list[tuple[int, NDArray[np.int64]]]:
        """Number of the template lattice and (S,) elements on its sites, −1 where empty, at each of (B, latent) points; none without sites.

        Args:
            z: (B, latent).
            allowed: B lists of elements to choose from; all of the model's where a list is empty.
        """
        return self.decoder.assignments(z, allowed)
