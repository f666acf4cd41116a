"""Particles of sizes between those of two frames: the particles that fitted there, cut smaller and grown by what their outlines say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import SMALLEST_RADIUS, cut_candidate
from deepstruc_hpc.solve.search.moves import FEWEST_ATOMS, smoothed, usable
from deepstruc_hpc.structures.occupation import Occupation, assign_lattice, complexity_of, with_growth_room, with_room

STEP = 0.03
"""ln N between neighbouring sizes: 1 % of the diameter, a fifth of what counts as a right diameter."""
MARGIN = 0.12
"""ln N beyond both sizes: fits of one size scatter by about as much."""
RADIUS_STEP, RADIUS_MARGIN = 0.25, 1.0
"""Å, of spheres cut from crystals: half the step of a full solution, and half of its range."""
MOST = 40
"""Sizes of one outline: from 40 to 130 atoms in steps of 3 %."""


def sizes_between(left: Sequence[Candidate], right: Sequence[Candidate]) -> list[Candidate]:
    """New candidates, not fitted: for each lattice that both sides or one have, the sizes from the smaller to the larger.

    Args:
        left: explicit candidates of one frame, the best first.
        right: of another.
    """
    found: list[Candidate] = []
    pairs = _by_lattice(left), _by_lattice(right)
    for lattice in dict.fromkeys([*pairs[0], *pairs[1]]):
        ends = [side[lattice] for side in pairs if lattice in side]
        sizes = [len(one.structure) for one in ends]
        for one in ends:
            found += _cuts(one, ends) if one.cut is not None and one.occupation is None else _outlines(one, min(sizes), max(sizes))
    return list(CandidateSet(tuple(found)).distinct())


def _by_lattice(candidates: Sequence[Candidate]) -> dict[str, Candidate]:
    """The best of each lattice."""
    best: dict[str, Candidate] = {}
    for one in candidates:
        best.setdefault(one.on_lattice, one)
    return best


def _outlines(origin: Candidate, smallest: int, largest: int) -> Iterator[Candidate]:
    """A particle on a template lattice at other numbers of atoms."""
    held = _held(origin)
    if held is None or not held.symbol:
        return
    count = int(min(MOST, np.ceil((np.log(largest / smallest) + 2 * MARGIN) / STEP)))
    wanted = np.unique(np.round(np.geomspace(smallest * np.exp(-MARGIN), largest * np.exp(MARGIN), count + 1)).astype(int))
    centre = held.sites.mean(axis=0)
    round_about = np.linalg.norm(held.template.sites - centre, axis=1)
    seen: set[bytes] = set()
    for level in (-smoothed(held) + 1e-3 * round_about, round_about):
        order = np.argsort(level, kind="stable")
        for number in wanted:
            if FEWEST_ATOMS <= number < len(order) and (made := _sized(origin, held, order[:number], seen)) is not None:
                yield made


def _sized(origin: Candidate, held: Occupation, sites: NDArray[np.intp], seen: set[bytes]) -> Candidate | None:
    mask = np.zeros(len(held.template), dtype=bool)
    mask[sites] = True
    kept = usable(held, mask)
    if kept is None or (mark := np.packbits(kept).tobytes()) in seen:
        return None
    seen.add(mark)
    occupation = held.with_mask(kept)
    label = f"{occupation.symbol} between on {occupation.template.name} {int(kept.sum())} atoms"
    price = origin.type_complexity + complexity_of(occupation)
    return replace(
        origin,
        structure=occupation.structure(label),
        source="neighbour",
        listed=False,
        occupation=occupation,
        catalog_id="",
        latent=(),
        log_prior=0.0,
        complexity=price,
    )


def _held(candidate: Candidate) -> Occupation | None:
    """The template lattice that a particle of one element lies on, with room to grow."""
    if candidate.decoration is not None or not candidate.length:
        return None
    roomy = with_growth_room(candidate.occupation) if candidate.occupation is not None else None
    found = roomy or assign_lattice(candidate.structure, candidate.length)
    return None if found is None else with_room(found)


def _cuts(origin: Candidate, ends: Sequence[Candidate]) -> Iterator[Candidate]:
    """A sphere of a crystal at other radii."""
    radii = [one.cut.radius for one in ends if one.cut is not None]
    if origin.cut is None:
        return
    for radius in np.arange(min(radii) - RADIUS_MARGIN, max(radii) + RADIUS_MARGIN + 1e-9, RADIUS_STEP):
        made = cut_candidate(replace(origin.cut, radius=float(radius)), origin.source, listed=True) if radius >= SMALLEST_RADIUS else None
        if made is not None:
            yield replace(made, crystal=origin.crystal, zoom=origin.zoom, complexity=origin.complexity, type_complexity=origin.type_complexity)
