"""The seven families of the DeepStruc paper, and anti-Mackay icosahedra: what is listed, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from deepstruc_hpc.structures.close_packed import PAPER_C_OVER_A, build_hcp_block
from deepstruc_hpc.structures.cubic import EXTRA_LAYER, build_cubic, planes_needed
from deepstruc_hpc.structures.family import Candidates, Family
from deepstruc_hpc.structures.multiply_twinned import build_anti_mackay, build_decahedron, build_icosahedron
from deepstruc_hpc.structures.octahedral import build_octahedron


def _layers_up_to(max_layers: int) -> Iterator[tuple[int, int, int]]:
    return ((h, k, l) for h in range(1, max_layers + 1) for k in range(h, max_layers + 1) for l in range(k, max_layers + 1))  # noqa: E741


def _cubic(lattice: str) -> Callable[..., Candidates]:
    def candidates(max_atoms: int, *, max_layers: int) -> Candidates:
        planes = planes_needed(lattice, max_layers)
        for h, k, l in _layers_up_to(max_layers):  # noqa: E741
            if np.count_nonzero((planes < np.array([[h], [k], [l]]) + EXTRA_LAYER).all(axis=0)) > max_atoms:
                continue
            yield f"{lattice} 100:{h} 110:{k} 111:{l}", {"lattice": lattice, "h": h, "k": k, "l": l}

    return candidates


def _hcp_blocks(max_atoms: int, *, max_cells: int, c_over_a: float) -> Candidates:
    for a, b, c in _layers_up_to(max_cells):
        if 2 * a * b * c <= max_atoms:
            yield f"hcp {a}x{b}x{c}", {"a": a, "b": b, "c": c, "c_over_a": c_over_a}


def _decahedra(max_atoms: int, *, max_p: int, max_q: int, max_r: int) -> Candidates:  # noqa: ARG001
    for p in range(1, max_p + 1):
        for q in range(1, max_q + 1):
            for r in range(max_r + 1):
                yield f"decahedral p{p} q{q} r{r}", {"p": p, "q": q, "r": r}


def _icosahedra(max_atoms: int) -> Candidates:
    shells = 1
    while _icosahedron_atoms(shells) <= max_atoms:
        yield f"icosahedral shells {shells}", {"shells": shells}
        shells += 1


def _octahedra(max_atoms: int, *, truncated: bool) -> Candidates:
    length = 2
    while length < 3 or _octahedron_atoms(length, (length - 1) // 2 if truncated else 0) <= max_atoms:
        for cutoff in range((length - 1) // 2 + 1 if truncated else 1):
            yield f"octahedral length {length}" + (f" cut {cutoff}" if cutoff else ""), {"length": length, "cutoff": cutoff}
        length += 1


def _octahedron_atoms(length: int, cutoff: int) -> int:
    return length * (2 * length**2 + 1) // 3 - cutoff * (cutoff + 1) * (2 * cutoff + 1)


def _anti_mackay(max_atoms: int) -> Candidates:
    shells = 2
    while _icosahedron_atoms(shells) <= max_atoms:
        yield f"anti-Mackay shells {shells}", {"shells": shells}
        shells += 1


def _icosahedron_atoms(shells: int) -> int:
    n = shells - 1
    return (10 * n**3 + 15 * n**2 + 11 * n + 3) // 3


_LAYERS = {"max_layers": 10}

PAPER_FAMILIES = (
    Family(
        "octahedral",
        "octahedral",
        _octahedra,
        build_octahedron,
        {"truncated": False},
        description="fcc octahedra; truncated: true cuts the corners too",
    ),
    Family("icosahedral", "icosahedral", _icosahedra, build_icosahedron, description="Mackay icosahedra"),
    Family(
        "decahedral",
        "decahedral",
        _decahedra,
        build_decahedron,
        {"max_p": 5, "max_q": 5, "max_r": 5},
        description="decahedra (p, q, r), Marks and Ino",
    ),
    Family("sc", "sc", _cubic("sc"), build_cubic, _LAYERS, description="simple cubic with (100), (110), (111) facets"),
    Family("bcc", "bcc", _cubic("bcc"), build_cubic, _LAYERS, description="body-centred cubic with (100), (110), (111) facets"),
    Family("fcc", "fcc", _cubic("fcc"), build_cubic, _LAYERS, description="face-centred cubic with (100), (110), (111) facets"),
    Family("hcp", "hcp", _hcp_blocks, build_hcp_block, {"max_cells": 10, "c_over_a": PAPER_C_OVER_A}, description="blocks of hexagonal cells"),
)

ANTI_MACKAY = Family(
    "anti_mackay",
    "icosahedral",
    _anti_mackay,
    build_anti_mackay,
    description="icosahedra with an overlayer in stacking-fault positions: 45, 127, 279 atoms",
)
