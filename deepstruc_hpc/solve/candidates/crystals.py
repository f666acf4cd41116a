"""Crystals found from the sample's elements alone, and particles cut from those that fit.

Every plausible crystal of the elements, and every one of the user's CIF files, is fitted as bulk × shape function
(:func:`~deepstruc_hpc.physics.crystal_fit.mine_crystals`). The best are candidates themselves, for crystals of any size; where they are small enough,
particles about as large as the sphere are cut from them, as explicit atoms that the local search can change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.physics.crystal_fit import CrystalFit, mine_crystals
from deepstruc_hpc.physics.crystal_refine import LACKING
from deepstruc_hpc.physics.crystal_shortlist import shortlist
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.source import Budget, metal_of
from deepstruc_hpc.solve.measurement.decay import LISTED, has_more_atoms
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.particle_cut import ParticleCut
from deepstruc_hpc.structures.prototypes import CrystalCandidate, candidate_crystals
from deepstruc_hpc.structures.user_crystals import UserCrystals

CUT_ZOOM = (0.97, 1.03)
"""The cell of a cut is refined already, with a spherical envelope in place of its surface: room for what that changes."""
REFINED = 8
"""Crystals that are refined, of all that are screened."""
WELL, FAR_BEHIND = 0.2, 2.0
"""Rw below which a crystal × shape explains a curve, and factor by which the best explicit particle must be worse for a search to be in vain. In
simulated metals a search took the best explicit Rw from 0.50 to 0.47 (30,883 atoms; the crystal 0.011), from 0.39 to 0.37 (4058 atoms; 0.017), from
0.16 to 0.14 (970 atoms on average, width 20 %; 0.013)."""
CUT_WITHIN = 1.25
"""Particles are cut from crystals whose Rw is within this factor of the best one's."""
MOST_CUT = 3
"""Crystals that particles are cut from, each of another net of bonds: a net is judged by the mean over its list, so rivals need lists alike."""
AROUND, STEP = 2.0, 0.5
"""Å. Radii of the particles, about that of the fitted sphere; the local search makes them finer."""
SMALLEST_RADIUS = 2.5
"""Å: a smaller cut holds a handful of atoms and no longer tells its crystal."""
BLOCK_RADIUS = 12.0
"""Å. What is written as the structure of a crystal that is larger than what is cut: a sphere of it."""
A_PARAMETER = 0.5
"""Complexity of one more refined length or position. At two nats a unit that is one nat, ½ ln n for the some ten data that count: the Bayesian
information criterion."""
ORDER_AT_END = 0.1
"""RMS of G at the end of the data over RMS from 2 to 10 Å, from which a metal may be larger than the particles that are listed."""
LEAST_METAL = 25.0
"""Å: metals whose sphere is smaller (750 atoms of nickel) are answered by what is listed, where every outline has a place."""
OTHER_FORMULAS = "no known crystal of the formula {} explains the curve well: crystals of other formulas of these elements were tried"
POOR = 0.4
"""Rw of the best crystal of a formula, above which other formulas are tried: where an answer gets the word ``poor_fit``, too."""
MOST_UNREADABLE = 5
"""CIF files without a crystal that a result names; of more it says the number."""
MOST_METAL_ATOMS = 1500
"""Metals are cut only where they are larger than lists and models reach, and then a sphere shows as much as atoms do."""


class CrystalSource:
    """Crystals of the sample's elements: known types, and those of CIF files.

    Args:
        folders: CIF files, and folders of them.
    """

    name = "crystals"

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self.notes: list[str] = []
        self._folders = [UserCrystals(folder) for folder in folders]
        self._latest: tuple[frozenset[str], list[CrystalCandidate]] = (frozenset(), [])
        for folder in self._folders:
            folder.read_rest()
            self.notes += _unreadable(folder)

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:
        """The crystals that fit best, and particles cut from them.

        Those of the sample's formula, where that is known; all crystals of its elements, where no known type has it or the best of it fits poorly:
        a header says what was weighed in, and an oxide may be reduced. A metal is asked about only where the data show order to their end, or tell by
        their decay that the particle has more atoms than lists do.
        """
        sample = measurement.sample
        symbol = metal_of(sample)
        metal = symbol is not None
        large = symbol is not None and (measurement.order_at_end > ORDER_AT_END or has_more_atoms(measurement, symbol, LISTED))
        if sample.kind == "cluster" or (metal and sample.kind != "support" and not large):
            return CandidateSet(notes=tuple(self.notes))
        offered = self._own(frozenset((*sample.elements, "H", "D")))
        own = shortlist(measurement.curve, measurement.instrument, offered, rmin=measurement.rmin, rmax=float(measurement.curve.r[-1]))
        notes = list(self.notes)
        fits: list[CrystalFit] = []
        screened = len(offered) - len(own)
        if sample.stoichiometric and sample.kind in {"compound", "alloy"}:
            listed = [*own, *_known(sample.elements, {symbol: sample.amounts[symbol] for symbol in sample.elements})]
            fits, screened = _mined(measurement, listed), screened + len(listed)
        if not fits or fits[0].rw > POOR:
            if sample.stoichiometric and len(sample.elements) > 1:
                notes.append(OTHER_FORMULAS.format(sample.formula))
            listed = [*(() if fits else own), *_known(sample.elements, None)]
            fits, screened = sorted([*fits, *_mined(measurement, listed)], key=lambda fit: fit.criterion), screened + len(listed)
        if not fits or (metal and sample.kind != "support" and (fits[0].diameter or np.inf) < LEAST_METAL):
            return CandidateSet(notes=tuple(notes))
        fewest = min(_counted(fit) for fit in fits)
        found = [made for fit in fits if (made := extended(fit, fewest)) is not None]
        most = min(budget.most_atoms, MOST_METAL_ATOMS) if metal else budget.most_atoms
        found += [particle for fit in _to_cut(fits) for particle in _particles(fit, fewest, most)]
        return CandidateSet(tuple(found), counts={"crystals_screened": screened}, notes=(*notes, *fits[0].candidate.notes))

    def pool(self, measurement: Measurement) -> list[CrystalCandidate]:
        """All crystals of the sample's elements and of parts of them, known types and the user's: what a further phase may be."""
        elements = measurement.sample.elements
        offered = self._own(frozenset((*elements, "H", "D")))
        end = float(measurement.curve.r[-1])
        own = shortlist(measurement.curve, measurement.instrument, offered, rmin=measurement.rmin, rmax=end)
        return [*own, *_known(elements, None)]

    def _own(self, elements: frozenset[str]) -> list[CrystalCandidate]:
        """The user's crystals of these elements; kept for the next curve, which has the same ones as a rule."""
        if self._latest[0] != elements:
            self._latest = elements, [candidate for folder in self._folders for candidate in folder.candidates(elements)]
        return self._latest[1]


def _unreadable(folder: UserCrystals) -> list[str]:
    """The first files without a crystal, and how many more there are."""
    failures = folder.failures()
    if len(failures) <= MOST_UNREADABLE + 1:
        return failures
    more = f"{len(failures) - MOST_UNREADABLE} more of {len(folder)} CIF files cannot be used: crystals list --crystals {folder.place} names them"
    return [*failures[:MOST_UNREADABLE], more]


def _mined(measurement: Measurement, listed: Sequence[CrystalCandidate]) -> list[CrystalFit]:
    """The best of a list of crystals, fitted as crystal × sphere."""
    if not listed:
        return []
    return mine_crystals(
        measurement.curve,
        measurement.instrument,
        listed,
        rmin=measurement.rmin,
        rmax=float(measurement.curve.r[-1]),
        keep=REFINED,
        qdamp_known=measurement.origin["qdamp"] != "default",
        qbroad_known=measurement.origin["qbroad"] != "default",
    )


def _known(elements: Sequence[str], amounts: Mapping[str, float] | None) -> list[CrystalCandidate]:
    """Known types with the elements on their sites; none for elements without the radii that they need."""
    try:
        return candidate_crystals(elements, amounts=amounts)
    except StructureError:
        return []


def _to_cut(fits: Sequence[CrystalFit]) -> list[CrystalFit]:
    """The best crystal of each net that fits about as well as the best of all."""
    best: dict[str, CrystalFit] = {}
    for fit in fits:
        if fit.rw <= CUT_WITHIN * fits[0].rw:
            best.setdefault(fit.candidate.group, fit)
    return list(best.values())[:MOST_CUT]


def settled(candidates: CandidateSet) -> bool:
    """Whether a crystal × shape fits so much better than all explicit atoms that no search near those can reach it: larger ones, or many sizes."""
    extended_ones = np.array([candidate.crystal_fit is not None for candidate in candidates], dtype=bool)
    if not extended_ones.any():
        return False
    crystal = float(candidates.rw[extended_ones].min())
    return crystal < WELL and float(candidates.rw[~extended_ones].min(initial=np.inf)) > FAR_BEHIND * crystal


def extended(fit: CrystalFit, fewest: int) -> Candidate | None:
    """A crystal × sphere as a candidate; its structure is a piece of it."""
    cut = ParticleCut(fit.crystal, min((fit.diameter or np.inf) / 2.0, BLOCK_RADIUS), structure_type=fit.candidate.group)
    made, price = cut_candidate(cut, "crystals", listed=True), _complexity(fit, fewest)
    return None if made is None else replace(made, crystal_fit=fit, complexity=price, type_complexity=price, size_spread=fit.size_spread)


def _complexity(fit: CrystalFit, fewest: int) -> float:
    """Of a crystal with more free lengths and positions than another, or fewer of the sample's elements: each is worth half a fault of a metal."""
    return A_PARAMETER * (_counted(fit) - fewest)


def _counted(fit: CrystalFit) -> int:
    """Parameters that make a type flexible; a width of sizes, a shape and a resolution have paid for themselves in the fit."""
    return fit.n_parameters - fit.n_extras + LACKING * fit.candidate.lacking


def _particles(fit: CrystalFit, fewest: int, most_atoms: int) -> Iterator[Candidate]:
    """Spheres about as large as the fitted one, if they are small enough for explicit atoms and the data do not ask for many sizes."""
    if fit.diameter is None or fit.size_spread:
        return
    cut = ParticleCut(fit.crystal, fit.diameter / 2.0, structure_type=fit.candidate.group)
    if np.pi / 6.0 * fit.diameter**3 > most_atoms * cut.atomic_volume:
        return
    price = _complexity(fit, fewest)
    for step in np.arange(-AROUND, AROUND + 1e-9, STEP):
        radius = cut.radius + float(step)
        if radius >= SMALLEST_RADIUS and (made := cut_candidate(replace(cut, radius=radius), "crystals", listed=True)) is not None:
            yield replace(made, crystal=fit.candidate, complexity=price, type_complexity=price)


def cut_candidate(cut: ParticleCut, source: str, *, listed: bool) -> Candidate | None:
    """A cut as a candidate, or None where nothing is left of it."""
    try:
        structure = cut.structure()
    except StructureError:
        return None
    if len(structure) < 2:
        return None
    return Candidate(structure, source, zoom=CUT_ZOOM, listed=listed, length=cut.crystal.bond_length, atomic_volume=cut.atomic_volume, cut=cut)
