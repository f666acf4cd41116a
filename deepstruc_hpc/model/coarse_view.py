"""Coarse to fine: a particle larger than a decoder's training seen as one of a size that it knows, and the decoder's answer stretched again.

The PDF of a large particle is that of a small one of the same kind but for its decay: G(r) of a body is that of the endless crystal times the
body's shape function γ(r). So G times γ(small)/γ(large) of two spheres looks as if the particle were small: type and outline can be read off it,
and the noise of the far end, where a small particle has no pairs, is gone. What the decoder then says of sites near the origin holds for sites
farther out by the ratio of the two radii.

Source of the shape function: Howell, Proffen & Conradson, Phys. Rev. B 73 (2006) 094107; of a sphere: 1 − 3r/2D + r³/2D³.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.model.sites import SitesDecoder
from deepstruc_hpc.structures.lattices import metal_atomic_volume
from deepstruc_hpc.structures.template_lattices import TemplateLattice, template_lattice

Array = NDArray[np.float64]

WHOLE_ATOMS = 400
"""Up to so many atoms particles are seen as they are: the largest of the shipped model's catalog."""
COARSE_ATOMS = 300
"""Larger particles are seen as if they had so many atoms: the upper half of the training's 13 to 400, with room for a size that is 30 % wrong."""
LEAST_DECAY = 1e-3
"""Of a shape function that is divided by: nearer to its end there is nothing but noise."""
BLUR = 0.5
"""Standard deviation, in nearest-neighbour distances, over which log-odds of sites are averaged where they are stretched: half a layer."""
NEIGHBOURS = 12
"""Sites over which they are averaged."""
EMPTY_LOGIT = -6.0
"""Coarse sites whose log-odds are less, 1 in 400, bound what is laid out of the larger set of sites."""
FARTHEST = 1.0
"""Stretched sites farther than this from every coarse one lie outside, nearest-neighbour distances."""


def sphere_diameter(n_atoms: NDArray[np.floating], volume: NDArray[np.floating] | float) -> Array:
    """Of the sphere that holds so many atoms of a volume each, in the unit of length of which the volume is the cube."""
    return np.asarray(np.cbrt(6.0 / np.pi * np.multiply(n_atoms, volume)))


def sphere_decay(r: Array, diameter: Array) -> Array:
    """γ(r) of spheres, (B, R) for (R,) distances and (B,) diameters: 1 at r = 0, 0 from the diameter on."""
    x = np.minimum(r / diameter[:, None], 1.0)
    return np.asarray(1.0 - 1.5 * x + 0.5 * x**3)


def coarse_view(pdf: NDArray[np.float32], axis: Array, n_atoms: Array, volume: Array) -> tuple[NDArray[np.float32], Array]:
    """PDFs of particles of more than :data:`WHOLE_ATOMS` atoms as if they had :data:`COARSE_ATOMS`.

    Args:
        pdf: (B, 2, R), standardised, on an axis in nearest-neighbour distances.
        axis: (R,).
        n_atoms: (B,) supposed sizes.
        volume: (B,) of an atom, in cubes of the nearest-neighbour distance.

    Returns:
        The PDFs, standardised again; those of small particles as they were. And (B,) the sizes that they then stand for.
    """
    coarse = n_atoms > WHOLE_ATOMS
    seen = np.where(coarse, float(COARSE_ATOMS), n_atoms)
    small, large = (sphere_decay(axis, sphere_diameter(size, volume)) for size in (seen, n_atoms))
    g, known = pdf[:, 0] * (small / np.maximum(large, LEAST_DECAY)), pdf[:, 1]
    rms = np.sqrt((g**2 * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1.0))
    scaled = np.where(coarse[:, None], g / np.where(rms > 0, rms, 1.0)[:, None], pdf[:, 0])
    return np.stack([scaled, known], axis=1).astype(np.float32), seen


def atomic_volumes(decoder: SitesDecoder, templates: NDArray[np.integer]) -> Array:
    """(B,) volumes of an atom on (B,) template lattices by number, in cubes of the nearest-neighbour distance."""
    return np.array([metal_atomic_volume(decoder.book.type_of(int(template)), 1.0) for template in templates])


def stretched_sites(template: TemplateLattice, logits: NDArray[np.floating], coarse_atoms: float, n_atoms: int) -> Array:
    """(N, 3) the most probable sites of a particle of ``n_atoms`` atoms, by what a decoder says of one of ``coarse_atoms``.

    Stacks of layers have as many layers as their template lattice, so they are stretched along the layers alone.

    Args:
        template: within the decoder's reach.
        logits: (S,) of its sites, for the coarse particle.
        coarse_atoms: that the logits stand for.
        n_atoms: wanted.
    """
    lateral = template.layer is not None
    stretch = (n_atoms / coarse_atoms) ** (1 / 2 if lateral else 1 / 3)
    if stretch <= 1.0:
        return np.asarray(template.sites[np.sort(np.argsort(-np.asarray(logits), kind="stable")[:n_atoms])])
    factors = np.array([stretch, stretch, 1.0 if lateral else stretch])
    bound = np.asarray(logits) > EMPTY_LOGIT
    reach = float(np.linalg.norm(template.sites[bound] * factors, axis=1).max()) + 1.0
    larger = template_lattice(template.name, float(np.ceil(max(reach, template.radius))))
    odds = _blurred(template, logits, larger.sites / factors)
    order = np.lexsort((larger.distance, -odds))[:n_atoms]
    return np.asarray(larger.sites[np.sort(order)])


def _blurred(template: TemplateLattice, logits: NDArray[np.floating], points: Array) -> Array:
    """(P,) log-odds at points between the template lattice's sites: a mean over the nearest ones with a Gaussian weight; −∞ far from all."""
    found = cKDTree(template.sites).query(points, k=min(NEIGHBOURS, len(template)))
    distance, nearest = np.asarray(found[0]), np.asarray(found[1])
    weight = np.exp(-0.5 * ((distance**2 - distance[:, :1] ** 2) / BLUR**2))
    mean = (weight * np.asarray(logits, dtype=np.float64)[nearest]).sum(axis=1) / weight.sum(axis=1)
    return np.asarray(np.where(distance[:, 0] > FARTHEST, -np.inf, mean))
