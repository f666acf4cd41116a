"""Shape functions γ₀(r): the part of a particle's volume that stays inside it when it is shifted by r, averaged over all directions.

G(r) of a particle is that of its crystal times γ₀(r). For any body γ₀(0) = 1, the slope at 0 is −S/4V (Porod), ∫ 4πr² γ₀ dr = V, and γ₀ = 0
beyond its largest chord. D is the diameter of the sphere of the same volume throughout; of a distribution the mean by volume.

- sphere: 1 − 3x/2 + x³/2 with x = r/D < 1.
- lognormal: spheres with ln D normal of width s, weighted by volume. With m the mean of ln D (by volume) and Φ the normal distribution,
  ∫_r^∞ p(D) D⁻ᵏ dD = exp(−km + k²s²/2) Φ((m − ks² − ln r)/s), so γ₀ is a sum of three terms. The relative standard deviation of the diameters is
  √(exp(s²) − 1), and it is the same by number and by volume, whose distributions differ by a shift of m by 3s².
- spheroid of half axes a, a, c: along a direction at θ to the axis it is a sphere of diameter 2/√(sin²θ/a² + cos²θ/c²), averaged over cos θ.
- polyhedra: parallel chords of length L through a convex body in many directions give ∫ max(L − r, 0) dA / V.

Source: Guinier & Fournet, Small-Angle Scattering of X-Rays (1955), ch. 2; Kodama et al., Acta Cryst. A62 (2006) 444 (spheroid); Gilbert, J. Appl.
Cryst. 41 (2008) 554 (lognormal distributions in G(r)); chords: Kostorz, in Treatise on Materials Science and Technology 15 (1979) 227.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from deepstruc_hpc.core.shapes import Float64

Float = NDArray[np.float64]
ShapeFunction = Callable[[Float, float], Float]
"""γ₀ of r (Å, any shape) and 1/D (Å⁻¹, 0 for a crystal without end)."""
FACETTED: dict[str, tuple[tuple[tuple[int, int, int], float], ...]] = {
    "cube": (((1, 0, 0), 1.0),),
    "octahedron": (((1, 1, 1), 1.0),),
    "truncated octahedron": (((1, 1, 1), 1.0), ((1, 0, 0), 2.0 / math.sqrt(3.0))),
}
"""Families of facets {hkl} of a cubic body and their distances from its centre; the truncated octahedron has edges of one length."""
NARROWEST_SPREAD = 1e-3
"""Of ln D: a distribution narrower than it is one size."""
_DIRECTIONS, _LINES, _TABLE = 300, 90, 601
_GAUSS = np.polynomial.legendre.leggauss(24)


def sphere_shape(r: Float64[Float, " *shape"], inverse_diameter: float) -> Float64[Float, " *shape"]:
    """γ₀(r) of a sphere: 1 − 3r/2D + r³/2D³ up to D, 0 beyond; 1 for 1/D = 0.

    Args:
        r: Å, any shape.
        inverse_diameter: 1/D in Å⁻¹, 0 for a crystal without end.
    """
    x = np.minimum(np.asarray(r, dtype=np.float64) * inverse_diameter, 1.0)
    return np.asarray(1.0 - 1.5 * x + 0.5 * x**3)


def lognormal_shape(r: Float64[Float, " *shape"], inverse_diameter: float, spread: float) -> Float64[Float, " *shape"]:
    """γ₀(r) of spheres whose diameters are distributed lognormally.

    Args:
        r: Å, any shape.
        inverse_diameter: 1/D in Å⁻¹ with D the mean by volume.
        spread: relative standard deviation of the diameters.
    """
    r = np.asarray(r, dtype=np.float64)
    width = math.sqrt(math.log1p(spread**2))
    if inverse_diameter <= 0 or width < NARROWEST_SPREAD:
        return sphere_shape(r, inverse_diameter)
    middle = -math.log(inverse_diameter) - 0.5 * width**2
    with np.errstate(divide="ignore"):
        away = (middle - np.log(np.maximum(r, 0.0))) / width
    total = ndtr(away)
    for power, factor in ((1, -1.5), (3, 0.5)):
        total = total + factor * r**power * math.exp(-power * middle + 0.5 * (power * width) ** 2) * ndtr(away - power * width)
    return np.asarray(total)


def spheroid_shape(r: Float64[Float, " *shape"], inverse_diameter: float, aspect: float) -> Float64[Float, " *shape"]:
    """γ₀(r) of a spheroid, averaged over directions.

    Args:
        r: Å, any shape.
        inverse_diameter: 1/D in Å⁻¹ of the sphere of its volume.
        aspect: length along the axis over width: above 1 prolate, below 1 oblate.
    """
    cosine, weight = 0.5 * (1.0 + _GAUSS[0]), 0.5 * _GAUSS[1]
    across, along = aspect ** (-1.0 / 3.0), aspect ** (2.0 / 3.0)
    factors = np.sqrt((1.0 - cosine**2) / across**2 + cosine**2 / along**2)
    r = np.asarray(r, dtype=np.float64)
    return np.asarray(sum(share * sphere_shape(r, inverse_diameter * factor) for share, factor in zip(weight, factors, strict=True)))


def facetted_shape(r: Float64[Float, " *shape"], inverse_diameter: float, name: str) -> Float64[Float, " *shape"]:
    """γ₀(r) of a polyhedron of :data:`FACETTED`, averaged over directions.

    Args:
        r: Å, any shape.
        inverse_diameter: 1/D in Å⁻¹ of the sphere of its volume.
        name: which.
    """
    x, values = _facetted_table(name)
    return np.asarray(np.interp(np.asarray(r, dtype=np.float64) * inverse_diameter, x, values, right=0.0))


def shape_function(name: str, value: float = 0.0) -> ShapeFunction:
    """γ₀ by name.

    Args:
        name: ``sphere``, ``lognormal``, ``spheroid``, or one of :data:`FACETTED`.
        value: the relative standard deviation of a lognormal, ln(aspect) of a spheroid; the others have none.
    """
    if name == "sphere":
        return sphere_shape
    if name == "lognormal":
        return partial(lognormal_shape, spread=value)
    if name == "spheroid":
        return partial(spheroid_shape, aspect=math.exp(value))
    return partial(facetted_shape, name=name)


def facet_planes(name: str) -> tuple[Float64[Float, "planes 3"], Float64[Float, " planes"]]:
    """Unit normals (F, 3) of a facetted body and their distances from its centre (F,), of volume π/6: that of the sphere with D = 1."""
    normals, distances = [], []
    for family, distance in FACETTED[name]:
        for order in permutations(family):
            for signs in np.ndindex(2, 2, 2):
                normals.append(np.array(order) * (1 - 2 * np.array(signs)))
                distances.append(distance)
    unique, first = np.unique(np.array(normals, dtype=np.float64) + 0.0, axis=0, return_index=True)
    planes, away = unique / np.linalg.norm(unique, axis=1)[:, None], np.array(distances)[first]
    return planes, away * np.cbrt(np.pi / 6.0 / polyhedron_volume(planes, away))


def polyhedron_volume(normals: Float64[Float, "planes 3"], distances: Float64[Float, " planes"]) -> float:
    """Volume of {x : n·x ≤ d for all planes} around the origin, Å³ for Å."""
    from scipy.spatial import ConvexHull, HalfspaceIntersection

    corners = HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
    return float(ConvexHull(corners).volume)


@lru_cache(maxsize=8)
def _facetted_table(name: str) -> tuple[Float, Float]:
    """r/D up to the largest chord, and γ₀ there."""
    normals, distances = facet_planes(name)
    chords, weights = _chords(normals, distances)
    order = np.argsort(chords)
    length, weight = chords[order], weights[order]
    longer, moment = (np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]]) for values in (weight, weight * length))
    x = np.linspace(0.0, float(length[-1]), _TABLE)
    place = np.searchsorted(length, x)
    gamma = (moment[place] - x * longer[place]) / moment[0]
    return x, gamma


def _chords(normals: Float, distances: Float) -> tuple[Float, Float]:
    """Lengths of parallel chords through a convex body in directions spread evenly over a half sphere, and the area that each stands for."""
    reach = 1.05 * float(distances.max()) * math.sqrt(3.0)
    line = reach * (2.0 * (np.arange(_LINES) + 0.5) / _LINES - 1.0)
    first, second = (axis.ravel() for axis in np.meshgrid(line, line))
    lengths = []
    for number in range(_DIRECTIONS):
        height = (number + 0.5) / _DIRECTIONS
        angle = np.pi * (3.0 - math.sqrt(5.0)) * number
        flat = math.sqrt(1.0 - height**2)
        direction = np.array([flat * math.cos(angle), flat * math.sin(angle), height])
        beside = np.cross(direction, [0.0, 0.0, 1.0] if height < 0.9 else [1.0, 0.0, 0.0])
        beside /= np.linalg.norm(beside)
        points = np.outer(first, beside) + np.outer(second, np.cross(direction, beside))
        slope, room = normals @ direction, distances - points @ normals.T
        ahead, behind = slope > 1e-9, slope < -1e-9
        inside = (room[:, np.abs(slope) <= 1e-9] >= 0).all(axis=1)
        found = (room[:, ahead] / slope[ahead]).min(axis=1) - (room[:, behind] / slope[behind]).max(axis=1)
        lengths.append(np.where(inside, np.maximum(found, 0.0), 0.0))
    chords = np.concatenate(lengths)
    kept = chords > 0
    return chords[kept], np.ones(int(kept.sum()))
