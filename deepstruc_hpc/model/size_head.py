"""The number of atoms as an answer of its own: p(ln N | PDF), a mixture of normal distributions.

A decoder over sites counts the sites that it fills, and so knows no sizes beyond those of its training. The decay of G(r) and where it ends tell
the size of any particle. A size head reads both from a longer axis than the model's, together with what the model's prior has made of the PDF.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.model.config import PdfGridConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.layers import ResidualNetwork
from deepstruc_hpc.model.parts import TensorRecord
from deepstruc_hpc.model.size_references import WINDOW, ReferenceStrengths

MIDDLE, SPREAD = 5.3, 1.6
"""ln N of a particle of 200 atoms, and how far the sizes of 13 to 3,000 atoms spread about it: answers are in units of order 1."""
SHARPEST, WIDEST = -5.0, 1.0
"""Bounds of the logarithm of a component's width in ln N: from below one atom in 150 to a factor of e^e."""
FAINTEST = 1e-3
"""Added to the mean square of G in a window, in units of that of the whole curve: the square of 3 % noise."""
KNOWN_SHARE = 0.5
"""A window whose points are known to a smaller share has no strength of its own."""
COARSE_FROM, COARSE_STEEPNESS = 6.0, 0.1
"""ln N of a particle of 400 atoms, above which the decoder is asked about coarse views; over 10 % of the size the weights may change."""
BLEND = "blend."
"""Weights whose names begin so are fitted after the others."""

Array = NDArray[np.float64]


class SizeHeadConfig(Config):
    """Everything needed to build the network before its weights are read."""

    stop: float = Field(20.7, gt=1, description="last point of the axis, r / d_nn; it begins, and is spaced, as the model's own")
    hidden: int = Field(320, ge=8, description="width")
    layers: int = Field(3, ge=1, description="residual blocks")
    components: int = Field(3, ge=1, description="normal distributions of the mixture")
    window: float = Field(0.6, gt=0, description="width of the windows in which the strength of G is read, r / d_nn")
    library: bool = Field(False, description="a library of bodies lies beside the head, and is a reading of its own")


@dataclass(frozen=True, eq=False)
class SizeMixture(TensorRecord):
    """Mixtures of K normal distributions over ln N, of B curves.

    Attributes:
        log_weight: (B, K), logarithms of shares that add up to 1.
        mean: (B, K).
        log_std: (B, K).
    """

    log_weight: Tensor
    mean: Tensor
    log_std: Tensor

    def log_density(self, log_n: Tensor) -> Tensor:
        """(B,) ln p(ln N) at (B,) logarithms of numbers."""
        z = (log_n[:, None] - self.mean) * (-self.log_std).exp()
        return (self.log_weight - self.log_std - 0.5 * z.square()).logsumexp(dim=1) - 0.5 * float(np.log(2 * np.pi))

    def moments(self) -> tuple[Tensor, Tensor]:
        """(B,) mean and standard deviation of ln N."""
        share = self.log_weight.exp()
        mean = (share * self.mean).sum(dim=1)
        square = (share * (self.mean.square() + (2 * self.log_std).exp())).sum(dim=1)
        return mean, (square - mean.square()).clamp(min=1e-8).sqrt()


@dataclass(frozen=True, eq=False)
class FieldReading(TensorRecord):
    """What a decoder over sites says of the size, asked about a particle as if it had ``supposed`` atoms.

    Attributes:
        log_ratio: (B,) ln of the expected number of filled sites over the number supposed.
        log_exact: (B,) the same of the number of sites that are more probably filled than empty: exact where the decoder is sure of its sites.
        log_width: (B,) ln of the relative standard deviation of the number of filled sites at the mean latent point.
        latent_width: (B,) mean logarithm of the latent standard deviations.
    """

    log_ratio: Tensor
    log_exact: Tensor
    log_width: Tensor
    latent_width: Tensor


@dataclass(frozen=True, eq=False)
class LibraryReading(TensorRecord):
    """What the library of bodies says of the size (:mod:`deepstruc_hpc.model.size_library`).

    Attributes:
        mean: (B,) of ln N.
        log_width: (B,) ln of its standard deviation.
    """

    mean: Tensor
    log_width: Tensor


class SizeBlend(nn.Module):
    """One normal distribution of ln N from the head's mixture, the decoder's readings and the library's, weighed by how sure each of them is.

    ln N = (1 − c) (head + a · (expected number − head) + b · (exact number − expected number)) + c · library, with a, b, c and the width from linear
    functions of the size, of the width of each and of how far they are apart. Fitted after the head, on shapes that none of them saw. At first the
    decoder is believed below the size at which coarse views begin, the head above, and the library as much as both.

    Args:
        library: whether there is one.
    """

    def __init__(self, *, library: bool = False) -> None:
        super().__init__()
        self.library = library
        self.weigh = nn.Linear(8 if library else 6, 4 if library else 3)
        with torch.no_grad():
            self.weigh.weight.zero_()
            self.weigh.weight[0, 0] = -1.0
            self.weigh.bias.zero_()
            self.weigh.bias[1] = -4.0

    def forward(self, head: SizeMixture, field: FieldReading, library: LibraryReading | None = None) -> tuple[Tensor, Tensor]:
        """(B,) mean and logarithm of the standard deviation of ln N."""
        mean, std = head.moments()
        beyond = ((mean - COARSE_FROM) / COARSE_STEEPNESS).clamp(-3.0, 3.0)
        apart = (field.log_ratio.abs() + 0.01).log() + 3.0
        seen = [beyond, (mean - MIDDLE) / SPREAD, std.log() + 3.0, field.log_width + 3.0, apart, field.latent_width + 2.0]
        if library is None:
            share, exact, width = self.weigh(torch.stack(seen, dim=1)).unbind(dim=1)
        else:
            seen += [library.log_width + 3.0, ((library.mean - mean).abs() + 0.01).log() + 3.0]
            share, exact, width, other = self.weigh(torch.stack(seen, dim=1)).unbind(dim=1)
        found = mean + share.sigmoid() * field.log_ratio + exact.sigmoid() * (field.log_exact - field.log_ratio)
        if library is not None:
            found = found + other.sigmoid() * (library.mean - found)
        return found, std.log() + width


class SizeHead(nn.Module):
    """p(ln N | PDF) from G, its strength in windows and how much of them is known, and the features of a trained prior.

    Args:
        config: sizes.
        grid: of the model; the head's axis goes on from it.
        features: numbers that :func:`prior_features` gives.
    """

    g_mean: Tensor
    g_std: Tensor
    windows: Tensor

    def __init__(self, config: SizeHeadConfig, grid: PdfGridConfig, features: int) -> None:
        super().__init__()
        self.config = config
        axis = self.axis = long_axis(config, grid)
        windows = window_shares(axis, config.window)
        self.short = grid.points
        self.register_buffer("windows", torch.from_numpy(windows), persistent=False)
        self.register_buffer("g_mean", torch.zeros(len(axis)))
        self.register_buffer("g_std", torch.ones(len(axis)))
        self.strengths = ReferenceStrengths(axis, window_shares(axis, WINDOW))
        inputs = len(axis) + 2 * windows.shape[1] + self.strengths.outputs + features
        self.network = ResidualNetwork(inputs, config.hidden, config.layers)
        self.answer = nn.Linear(config.hidden, 3 * config.components)
        self.blend = SizeBlend(library=config.library)
        with torch.no_grad():
            self.answer.bias[config.components : 2 * config.components] = torch.linspace(-1.2, 1.2, config.components)

    @property
    def points(self) -> int:
        """Number of points of the axis."""
        return len(self.g_mean)

    @torch.no_grad()
    def initialise(self, pdf: Tensor) -> None:
        """Fit the scales of the inputs to a sample of (B, 2, L) PDFs, before the first step of a training."""
        g, known = pdf[:, 0], pdf[:, 1]
        count = known.sum(dim=0).clamp(min=1.0)
        mean = (g * known).sum(dim=0) / count
        self.g_mean.copy_(mean)
        self.strengths.initialise(self.axis)
        self.g_std.copy_((((g - mean).square() * known).sum(dim=0) / count).sqrt().clamp(min=0.02))

    def forward(self, pdf: Tensor, features: Tensor) -> SizeMixture:
        """(B, 2, L) PDFs, L at most the axis' points, and (B, features) of the prior for the same PDFs."""
        pdf = nn.functional.pad(pdf, (0, self.points - pdf.shape[2]))
        g, known = pdf[:, 0], pdf[:, 1]
        share = known @ self.windows
        strength = 0.5 * (((g.square() * known) @ self.windows) / share.clamp(min=1e-6) + FAINTEST).log() * (share > KNOWN_SHARE)
        scaled = (g - self.g_mean) / self.g_std * known
        inputs = torch.cat([scaled, share, strength, self.strengths(g, known), features], dim=1)
        x = self.answer(self.network(inputs))
        logits, mean, log_std = x.chunk(3, dim=1)
        middle, half = (WIDEST + SHARPEST) / 2, (WIDEST - SHARPEST) / 2
        return SizeMixture(logits.log_softmax(dim=1), MIDDLE + SPREAD * mean, middle + half * torch.tanh(log_std / half))


def long_axis(config: SizeHeadConfig, grid: PdfGridConfig) -> Array:
    """(L,) the head's axis, r / d_nn: the model's, and on."""
    points = max(grid.points, round((config.stop - grid.start) / grid.step) + 1)
    return np.asarray(grid.start + grid.step * np.arange(points), dtype=np.float64)


def window_shares(axis: Array, width: float) -> NDArray[np.float32]:
    """(L, W) weight of each point in each window, columns that add up to 1: cosine bells, half a width apart."""
    centres = np.arange(axis[0] + width / 2, axis[-1], width / 2)
    away = np.abs(axis[:, None] - centres) / width
    bells = np.where(away < 0.5, 1.0 + np.cos(2 * np.pi * away), 0.0)
    return np.asarray(bells / bells.sum(axis=0), dtype=np.float32)


def on_model_axis(pdf: Tensor, points: int) -> Tensor:
    """(B, 2, R) what the model sees of (B, 2, L) PDFs on a longer axis: the first points, G over its RMS there."""
    g, known = pdf[:, 0, :points], pdf[:, 1, :points]
    rms = ((g.square() * known).sum(dim=1) / known.sum(dim=1).clamp(min=1.0)).sqrt()
    return torch.stack([g / torch.where(rms > 0, rms, 1.0)[:, None], known], dim=1)


@torch.no_grad()
def prior_features(network: Cvae, pdf: Tensor) -> Tensor:
    """(B, hidden + latent) what a trained prior has made of (B, 2, R) PDFs on the model's axis: its last layer, and the mean of the latent point."""
    g, known = pdf[:, 0], pdf[:, 1]
    seen = network.pdf_prior.features(torch.stack([(g - network.pdf_mean) / network.pdf_std * known, known], dim=1))
    return torch.cat([seen, network.pdf_prior.head.mean(seen)], dim=1)


def feature_count(network: Cvae) -> int:
    """Numbers that :func:`prior_features` gives."""
    return network.config.prior.hidden + network.config.latent_dim
