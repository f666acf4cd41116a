"""Small clusters for the tests, made from first principles."""

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.simulate import simulate_pdf

INSTRUMENT = {"qmin": 0.8, "qmax": 25.0, "qdamp": 0.03}


def ball(n: int, spacing: float = 2.88, lattice: str = "fcc", jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    """The n atoms of a lattice nearest to a generic point, Å."""
    rng = np.random.default_rng(seed)
    grid = np.array([(i, j, k) for i in range(-7, 8) for j in range(-7, 8) for k in range(-7, 8)])
    if lattice == "fcc":
        sites = grid[grid.sum(axis=1) % 2 == 0] * spacing / np.sqrt(2)
    elif lattice == "bcc":
        sites = grid[(grid % 2 == grid[:, :1] % 2).all(axis=1)] * spacing / np.sqrt(3)
    else:
        sites = grid * spacing
    sites = sites + np.array([0.21, 0.34, 0.13])
    chosen = sites[np.argsort((sites**2).sum(axis=1), kind="stable")[:n]]
    return chosen + rng.normal(size=chosen.shape) * jitter


def gold(n: int, **settings: object) -> Structure:
    return Structure.of_element("Au", ball(n, **settings))


def alloy(n: int, symbols: tuple[str, str] = ("Au", "Cu"), **settings: object) -> Structure:
    return Structure(tuple(symbols[i % 3 == 0] for i in range(n)), ball(n, **settings))


def of_atoms(structure: Structure, uiso: float | dict[str, float]) -> float | np.ndarray:
    """U of each atom, Å²."""
    return np.array([uiso[symbol] for symbol in structure.symbols]) if isinstance(uiso, dict) else uiso


def measured(
    structure: Structure,
    *,
    zoom: float = 1.0,
    scale: float = 1.0,
    uiso: float | dict[str, float] = 0.006,
    delta2: float = 2.0,
    rmax: float = 22.0,
    **settings,
) -> PdfCurve:
    """A noise-free curve of a cluster on a 0.02 Å grid; U of all atoms or of each element."""
    r = np.arange(0.0, rmax, 0.02)
    conditions = {**INSTRUMENT, **settings}
    g = scale * simulate_pdf(structure.symbols, structure.positions * zoom, r, uiso=of_atoms(structure, uiso), delta2=delta2, **conditions)
    return PdfCurve(r, g)


def fluorite(radius: float, symbols: tuple[str, str] = ("Ce", "O"), a: float = 5.411) -> Structure:
    """A sphere (Å) of CeO2 about a generic point."""
    grid = np.array([(i, j, k) for i in range(-4, 5) for j in range(-4, 5) for k in range(-4, 5)], dtype=float)
    metal = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    oxygen = [(x, y, z) for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)]
    parts = [((grid[:, None] + np.array(sites)) * a).reshape(-1, 3) - np.array([0.3, 0.2, 0.1]) for sites in (metal, oxygen)]
    inside = [part[np.linalg.norm(part, axis=1) < radius] for part in parts]
    return Structure((symbols[0],) * len(inside[0]) + (symbols[1],) * len(inside[1]), np.concatenate(inside))


def noise(curve: PdfCurve, level: float, seed: int = 0) -> PdfCurve:
    """The curve with band-limited noise whose norm is ``level`` times that of the curve."""
    waves = np.sin(np.outer(np.linspace(INSTRUMENT["qmin"], INSTRUMENT["qmax"], 400), curve.r))
    added = np.random.default_rng(seed).normal(size=400) @ waves
    return PdfCurve(curve.r, curve.g + level * added * np.linalg.norm(curve.g) / np.linalg.norm(added))
