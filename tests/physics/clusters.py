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


def measured(
    structure: Structure, *, zoom: float = 1.0, scale: float = 1.0, uiso: float = 0.006, delta2: float = 2.0, rmax: float = 22.0, **settings
) -> PdfCurve:
    """A noise-free curve of a cluster on a 0.02 Å grid."""
    r = np.arange(0.0, rmax, 0.02)
    conditions = {**INSTRUMENT, **settings}
    g = scale * simulate_pdf(structure.symbols, structure.positions * zoom, r, uiso=uiso, delta2=delta2, **conditions)
    return PdfCurve(r, g)
