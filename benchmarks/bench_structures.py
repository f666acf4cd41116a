"""Structures a second on one core: this package's builders beside ase.cluster, fingerprints, and random clusters.

Run: python benchmarks/bench_structures.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from ase.cluster import Decahedron, Icosahedron, Octahedron
from ase.cluster.cubic import BodyCenteredCubic, FaceCenteredCubic, SimpleCubic
from ase.lattice.hexagonal import HexagonalClosedPacked

from deepstruc_hpc.structures.families import FAMILIES, Shape
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates

SURFACES = [(1, 0, 0), (1, 1, 0), (1, 1, 1)]
CUBIC = {"sc": SimpleCubic, "bcc": BodyCenteredCubic, "fcc": FaceCenteredCubic}


def with_ase(shape: Shape) -> Any:
    """The same shape by ase."""
    p = shape.parameters
    if shape.family in CUBIC:
        return CUBIC[shape.family]("Au", SURFACES, (p["h"], p["k"], p["l"]), latticeconstant=4.08)
    if shape.family == "hcp":
        return HexagonalClosedPacked(symbol="Au", latticeconstant=(2.88, 4.7), size=(p["a"], p["b"], p["c"]))
    if shape.family == "decahedral":
        return Decahedron("Au", p["p"], p["q"], p["r"], latticeconstant=4.08)
    if shape.family == "icosahedral":
        return Icosahedron("Au", p["shells"], latticeconstant=4.08)
    return Octahedron("Au", p["length"], p["cutoff"], latticeconstant=4.08)


def rate(work: Callable[[Any], object], items: Sequence[Any], seconds: float = 1.0) -> float:
    """Items a second, over at least so many seconds."""
    work(items[0])
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for item in items:
            work(item)
        done += len(items)
    return done / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    print(f"{'family':<14}{'shapes':>7}{'atoms':>7}{'built/s':>10}{'ase/s':>10}{'fingerprints/s':>16}")
    for name in ("octahedral", "icosahedral", "decahedral", "sc", "bcc", "fcc", "hcp"):
        shapes = list(FAMILIES[name].enumerate(5, 200))
        built = [FAMILIES[name].build(shape, "Au", 2.88) for shape in shapes]
        mean = sum(shape.n_atoms for shape in shapes) / len(shapes)
        ours = rate(lambda shape, family=FAMILIES[name]: family.build(shape, "Au", 2.88), shapes)  # type: ignore[misc]
        print(f"{name:<14}{len(shapes):>7}{mean:>7.0f}{ours:>10.0f}{rate(with_ase, shapes):>10.0f}{rate(fingerprint, built):>16.0f}")
    templates = standard_templates()
    for most in (400, 1000):
        source = RandomShapes(templates, RandomShapeSettings(max_atoms=most))
        list(islice(source.stream(1), 500))
        start = time.perf_counter()
        list(islice(source.stream(2), 4000))
        print(f"random clusters of 13 to {most} atoms: {4000 / (time.perf_counter() - start):.0f} a second")


if __name__ == "__main__":
    main()
