"""How strongly a curve resembles endless crystals at each distance: a reading of the particle's shape function γ(r).

G(r) of a particle is γ(r) times that of the endless arrangement. The projection of a measured curve on such a reference in a window of r is γ there,
times what thermal motion and the instrument leave, which change slowly. Noise is averaged over the window and the peaks' positions are known, so
little is left to learn.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepstruc_hpc.model.coarse_view import sphere_decay, sphere_diameter
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.lattices import metal_atomic_volume
from deepstruc_hpc.structures.template_lattices import template_lattice

REFERENCES = ("fcc atom", "hcp atom", "bcc atom", "sc atom", "icosahedral", "decahedral atom")
"""One template lattice of each structure type that is not made of the others."""
REFERENCE_RADIUS = 15.0
"""Of the spheres from which references are made, nearest-neighbour distances: 10,000 to 20,000 atoms, beyond the end of the axis."""
REFERENCE_QMAX, REFERENCE_QMIN = 22.0 * 2.77, 0.5 * 2.77
"""In inverse nearest-neighbour distances: the middle of the training's 16 to 28 Å⁻¹, and its lowest Qmin, at platinum's 2.77 Å."""
REFERENCE_U, REFERENCE_DELTA2 = 0.01 / 2.77**2, 2.5 / 2.77**2
"""In squared nearest-neighbour distances: the middle of the training's ranges, 0.01 Å² and 2.5 Å², at the same distance."""
ZOOMS = np.linspace(0.95, 1.03, 33)
"""Ratios of a curve's distances over a reference's that are tried: the first peak is off by up to 1 %, in
icosahedra, whose bonds differ by 5 %, by more."""
WINDOW = 1.0
"""Width of the windows, nearest-neighbour distances: a few peaks."""
NEAR = 4.0
"""Strengths are given over that up to here, nearest-neighbour distances: all particles reach so far, and scale and thermal motion drop out."""
LARGEST = 3.0
"""Bound of a strength: of no meaning beyond."""


class ReferenceStrengths(nn.Module):
    """Strength of each reference in each window of a curve.

    Args:
        axis: (L,) r / d_nn.
        windows: (L, W) weights of its points in windows.
    """

    references: Tensor
    windows: Tensor
    near: Tensor

    def __init__(self, axis: NDArray[np.float64], windows: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("references", torch.zeros(len(REFERENCES), len(ZOOMS), len(axis)))
        self.register_buffer("windows", torch.from_numpy(windows), persistent=False)
        self.register_buffer("near", torch.from_numpy((axis <= NEAR).astype(np.float32)), persistent=False)

    @property
    def outputs(self) -> int:
        """Numbers a curve."""
        return len(REFERENCES) * (self.windows.shape[1] + 3)

    @torch.no_grad()
    def initialise(self, axis: NDArray[np.float64]) -> None:
        """Make the references; they travel with the weights."""
        self.references.copy_(torch.from_numpy(np.stack([reference_curves(name, axis) for name in REFERENCES])))

    @torch.no_grad()
    def forward(self, g: Tensor, known: Tensor) -> Tensor:
        """(B, L) curves and masks to (B, outputs): correlation, zoom and strength near the origin of each reference, and strengths in windows."""
        norms = torch.einsum("bl,tzl->btz", known, self.references.square()).clamp(min=1e-6).sqrt()
        size = (g.square() * known).sum(dim=1).clamp(min=1e-6).sqrt()
        likeness = torch.einsum("bl,tzl->btz", g * known, self.references) / norms / size[:, None, None]
        best, place = likeness.max(dim=2)
        chosen = self.references[torch.arange(len(REFERENCES), device=g.device)[None, :], place]
        product, square = chosen * (g * known)[:, None], chosen.square() * known[:, None]
        close = (product * self.near).sum(dim=2) / (square * self.near).sum(dim=2).clamp(min=1e-3)
        seen = known @ self.windows
        strength = (product @ self.windows) / (square @ self.windows + 0.05)
        relative = strength / close.abs().clamp(min=0.05)[:, :, None] * (seen > 0.5)[:, None]
        zoom = 2.0 * place.to(g.dtype) / (len(ZOOMS) - 1) - 1.0
        return torch.cat([best, zoom, close, relative.clamp(-LARGEST, LARGEST).flatten(1)], dim=1)


@lru_cache(maxsize=16)
def _reference(name: str, stop: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    template = template_lattice(name, REFERENCE_RADIUS)
    sites = template.sites[template.distance <= REFERENCE_RADIUS]
    r = np.arange(0.0, stop, 0.01)
    g = simulate_pdf(["Au"] * len(sites), sites, r, qmin=REFERENCE_QMIN, qmax=REFERENCE_QMAX, qdamp=0.0, uiso=REFERENCE_U, delta2=REFERENCE_DELTA2)
    diameter = sphere_diameter(np.array([float(len(sites))]), metal_atomic_volume(template.structure_type, 1.0))
    return r, np.asarray(g) / np.maximum(sphere_decay(r, diameter)[0], 0.05)


def reference_curves(name: str, axis: NDArray[np.float64]) -> NDArray[np.float32]:
    """(Z, L) G of an endless arrangement at r over each of the zooms, over its RMS, on an axis in nearest-neighbour distances."""
    r, g = _reference(name, float(np.ceil(axis[-1] / ZOOMS[0])) + 1.0)
    curves = np.interp(axis[None] / ZOOMS[:, None], r, g)
    return np.asarray(curves / np.sqrt((curves**2).mean(axis=1, keepdims=True)), dtype=np.float32)
