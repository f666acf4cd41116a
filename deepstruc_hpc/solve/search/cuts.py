"""Changes of a particle that is cut from a crystal: its size, centre, aspect, facets and surface rule, and the sites of a small one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.candidates.crystals import cut_candidate
from deepstruc_hpc.solve.search.moves import all_moves, in_turn
from deepstruc_hpc.structures.crystal_templates import CENTRES, occupation_of_cut
from deepstruc_hpc.structures.particle_cut import ParticleCut

RADIUS_STEPS = (0.25, -0.25, 0.5, -0.5, 1.0, -1.0)
"""Å. The list of sizes has steps of 1 Å; these make it finer, and go on where the best lies at its end."""
ASPECTS = (1.0, 0.6, 0.75, 0.87, 1.15, 1.33, 1.67)
"""Length over width of the spheroids that are tried, in steps of about 15 %."""
AXES = ((0, 0, 1), (1, 1, 1), (1, 1, 0))
"""Directions along which they are long or short, those of low indices."""
SURFACES = ("bonded", "formula_units", "coordinated", "as_cut")
FACETS = ({"111": 1.0}, {"100": 1.0}, {"111": 1.0, "100": 0.85}, {"101": 1.0}, {"101": 1.0, "001": 0.8})
"""Bodies by their planes and relative distances: octahedron, cube, cuboctahedron, bipyramids."""
SAME_VOLUME = 1.0 / 1.2
"""A body of facets at relative distance 1 holds more than the sphere inside it: its radius is taken smaller by about this much."""
MOST_ATOMS_BY_SITES = 400
"""Particles of more atoms are changed by their cut alone: one atom more or less does not show in a curve."""


def cut_moves(candidate: Candidate, rng: np.random.Generator) -> Iterator[Candidate]:
    """Changed particles, those that differ least first; kinds of change take turns, so that a small budget tries all of them.

    Args:
        candidate: with a cut.
        rng: of the outlines that are tried where sites are changed.
    """
    if candidate.cut is None:
        return
    streams = [
        _made(stream, candidate) for stream in (_sizes(candidate.cut), _centres(candidate.cut), _shapes(candidate.cut), _surfaces(candidate.cut))
    ]
    if len(candidate.structure) <= MOST_ATOMS_BY_SITES:
        streams.append(_sites(candidate, rng))
    yield from in_turn(*streams)


def _made(cuts: Iterator[ParticleCut], origin: Candidate) -> Iterator[Candidate]:
    for cut in cuts:
        if cut.radius > 0 and (made := cut_candidate(cut, "neighbour", listed=False)) is not None:
            yield replace(made, zoom=origin.zoom, crystal=origin.crystal, complexity=origin.type_complexity, type_complexity=origin.type_complexity)


def _sizes(cut: ParticleCut) -> Iterator[ParticleCut]:
    return (replace(cut, radius=cut.radius + step) for step in RADIUS_STEPS)


def _centres(cut: ParticleCut) -> Iterator[ParticleCut]:
    elements = sorted(cut.crystal.composition)
    for centre in dict.fromkeys((*CENTRES, *elements)):
        if centre != cut.centre:
            yield from (replace(cut, centre=centre, radius=cut.radius + step) for step in (0.0, 0.25, -0.25))


def _shapes(cut: ParticleCut) -> Iterator[ParticleCut]:
    """Rounded bodies of the same volume with another aspect, and facetted ones."""
    width = cut.radius * np.cbrt(cut.aspect) * (1.0 if not cut.facets else 1.0 / SAME_VOLUME)
    for aspect in ASPECTS:
        for axis in AXES if aspect != 1.0 else AXES[:1]:
            if cut.facets or (aspect, axis) != (cut.aspect, cut.axis):
                yield replace(cut, radius=float(width / np.cbrt(aspect)), aspect=aspect, axis=axis, facets={})
    for facets in FACETS:
        if facets != cut.facets:
            yield replace(cut, radius=float(width * SAME_VOLUME), aspect=1.0, axis=(0, 0, 1), facets=facets)


def _surfaces(cut: ParticleCut) -> Iterator[ParticleCut]:
    return (replace(cut, surface=surface) for surface in SURFACES if surface != cut.surface)  # type: ignore[arg-type]


def _sites(candidate: Candidate, rng: np.random.Generator) -> Iterator[Candidate]:
    """The particle as an occupation of its crystal's lattice, changed there; nothing for crystals with sites that several elements share."""
    held = occupation_of_cut(candidate.cut, candidate.structure) if candidate.cut is not None else None
    if held is None:
        return
    for occupation in all_moves(held, rng):
        label = f"{occupation.template.name} {int(occupation.mask.sum())} atoms"
        yield replace(
            candidate,
            structure=occupation.structure(label),
            source="neighbour",
            listed=False,
            catalog_id="",
            occupation=occupation,
        )
