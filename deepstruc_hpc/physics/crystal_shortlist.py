"""Which of many crystals are worth a full comparison: a coarse one of all, over short distances and few cells.

A full screening takes some 7 ms a crystal. Up to 12 Å, with three ratios of axes and three diameters it takes a fifth of that. No structure type
takes all places: thousands of files may be the same few crystals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_fit import manageable
from deepstruc_hpc.physics.crystal_screen import Screen, by_rw, free_axes
from deepstruc_hpc.physics.instrument import Instrument

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

KEPT = 1000
"""Crystals that stay; so many are not compared coarsely at all."""
OF_A_KIND = 25
"""Places for crystals of one formula and one net of bonds while others wait for theirs."""
AXIS_STEP = 0.06
"""Of ln c/a to both sides: up to 12 Å a ratio that is wrong by half of it moves a distance by less than the width of a peak."""


class CoarseScreen(Screen):
    """As :class:`Screen`, over short distances and few cells."""

    farthest = 12.0
    fade = 3.0
    diameters = (10.0, 25.0, np.inf)

    @staticmethod
    def trials(space_group: int) -> list[tuple[float, float, float]]:
        """Factors of a, b, c to try."""
        steps = (0.0,) if free_axes(space_group) == 1 else (-AXIS_STEP, 0.0, AXIS_STEP)
        return [(float(np.exp(-x / 3)), float(np.exp(-x / 3)), float(np.exp(2 * x / 3))) for x in steps]


def shortlist(
    curve: PdfCurve, instrument: Instrument, candidates: Sequence[CrystalCandidate], *, rmin: float, rmax: float, keep: int = KEPT
) -> list[CrystalCandidate]:
    """The crystals of a long list that may be a sample, in the order of the list.

    Args:
        curve: a measured G(r).
        instrument: radiation, range of Q, Qdamp.
        candidates: any number; up to ``keep`` are all returned.
        rmin: Å.
        rmax: Å; those with more than four million pairs up to it are passed over.
        keep: how many stay.

    Raises:
        PdfFileError: nothing to compare between rmin and rmax.
    """
    if len(candidates) <= keep:
        return list(candidates)
    screened = by_rw(CoarseScreen(curve, instrument, rmin=rmin, rmax=rmax), manageable(candidates, rmax))
    seen: Counter[tuple[str, str]] = Counter()
    places: list[tuple[bool, int]] = []
    for number, found in enumerate(screened):
        kind = found.candidate.group, found.candidate.formula
        seen[kind] += 1
        places.append((seen[kind] > OF_A_KIND, number))
    chosen = {id(screened[number].candidate) for _, number in sorted(places)[:keep]}
    return [candidate for candidate in candidates if id(candidate) in chosen]
