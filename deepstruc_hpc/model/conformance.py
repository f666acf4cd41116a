"""What the contract of a generator asks, as properties that can be checked; users run them by :func:`deepstruc_hpc.testing.check_generator`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.model.contract import CLOSEST_CONTACT, Generator, Proposal
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import OUTLINES
from deepstruc_hpc.structures.sites import nearest_distances

LENGTH_RANGE = (0.75, 1.35)
"""Share of the metal's nearest-neighbour distance within which the median one of a proposal lies: nm in the place of Å, or a unit length of 1 Å, do
not; solving brings what does to the curve's own first peak."""
SUM_WITHIN = 1e-3
"""Of probabilities from one: float32 networks are right to 1e-6, a forgotten type is off by more."""
SAME_LENGTH = 1e-3
"""Relative: positions and occupied lattice sites agree up to one scale."""

Floats = NDArray[np.float64]

PROPERTIES = {
    "shapes": "arrays have the shapes and types of the contract",
    "elements": "atoms are of the elements that were asked for",
    "units": "positions are in Å: nearest neighbours lie where the metal's do",
    "physical": f"no two atoms are nearer than {CLOSEST_CONTACT:g} of the nearest-neighbour distance",
    "occupations": "an occupation is the structure: the same atoms on the lattice's sites",
    "counts": "no more structures than asked for, and one where one is asked for",
    "repeatable": "the same seed gives the same proposals, whatever was asked before",
    "probabilities": "probabilities are none below 0 and add up to one",
    "spaces": "many latent points at once mean what each alone does",
    "odds": "odds of sites are finite, one a site, and None for a lattice that nobody knows",
}


@dataclass(frozen=True)
class TestCurve:
    """A curve and what is told of it.

    Attributes:
        curve: G(r), r in Å.
        symbol: of every atom, for a generator that decodes no elements; else the first of ``elements``.
        elements: of the sample.
        instrument: how it was measured.
    """

    __test__ = False  # pytest would take it for a test

    curve: PdfCurve
    symbol: str
    elements: tuple[str, ...] = ()
    instrument: Instrument = field(default_factory=Instrument)


@dataclass
class ContractTest:
    """A generator and what it says of some curves; each check gives one sentence a fault."""

    generator: Generator
    curves: tuple[TestCurve, ...]
    n_samples: int
    clashing: float
    proposals: list[tuple[TestCurve, list[Proposal]]] = field(default_factory=list)

    def propose(self, test: TestCurve, *, seed: int = 0, count: int | None = None) -> list[Proposal]:
        """Proposals for a curve, from one seed."""
        elements = test.elements if self.generator.decodes_elements else ()
        rng = np.random.default_rng(seed)
        number = self.n_samples if count is None else count
        found = self.generator.propose(
            test.curve, symbol=test.symbol, n_samples=number, sigma=3.0, rng=rng, instrument=test.instrument, elements=elements
        )
        return list(found)

    def all(self) -> list[tuple[TestCurve, list[Proposal]]]:
        """Those of every curve, asked for once."""
        if not self.proposals:
            self.proposals = [(test, self.propose(test)) for test in self.curves]
        return self.proposals

    def each(self) -> Iterator[tuple[TestCurve, Proposal]]:
        """One proposal after the other, with its curve."""
        for test, found in self.all():
            for one in found:
                yield test, one

    def shapes(self) -> Iterator[str]:
        """Of the prior and of proposals."""
        for test, found in self.all():
            if not found:
                yield f"nothing is proposed for {test.curve.source}"
            mean, std = self.generator.prior(test.curve, symbol=test.symbol, instrument=test.instrument)
            if np.ndim(mean) != 1 or np.shape(mean) != np.shape(std):
                yield f"prior gives shapes {np.shape(mean)} and {np.shape(std)}, not (D,) and (D,)"
            if not (np.isfinite(mean).all() and np.isfinite(std).all() and (np.asarray(std) > 0).all()):
                yield "prior's mean or standard deviation is not finite, or a standard deviation is not positive"
            for one in found:
                yield from _ill_shaped(one, np.size(mean))

    def elements(self) -> Iterator[str]:
        """Only those that were asked for."""
        for test, one in self.each():
            allowed = set(test.elements) if self.generator.decodes_elements else {test.symbol}
            strange = sorted(set(one.structure.symbols) - allowed)
            if strange:
                yield f"{', '.join(strange)} in a proposal for {', '.join(sorted(allowed))}"

    def units(self) -> Iterator[str]:
        """Å, told by nearest neighbours."""
        for test, one in self.each():
            if len(one.structure) < 2 or len(one.structure.elements) > 1:
                continue
            expected = nn_distance(test.symbol, "twelve")
            typical = float(np.median(nearest_distances(one.structure.positions)))
            low, high = (share * expected for share in LENGTH_RANGE)
            if not low <= typical <= high:
                yield f"{test.symbol}: nearest neighbours at {typical:.3g} Å, expected {low:.3g} to {high:.3g} Å"

    def physical(self) -> Iterator[str]:
        """No atoms on top of each other."""
        for test, found in self.all():
            nearest = [np.sort(nearest_distances(one.structure.positions)) for one in found if len(one.structure) > 1]
            bad = [row[0] / max(float(np.median(row)), 1e-12) for row in nearest if not row[0] > CLOSEST_CONTACT * np.median(row)]
            if len(bad) > self.clashing * len(found):
                yield (
                    f"{len(bad)} of {len(found)} proposals for {test.curve.source} hold atoms at {min(bad):.2f} of their nearest-neighbour distance "
                    f"(allowed: a share of {self.clashing:g}); solving would drop them"
                )

    def occupations(self) -> Iterator[str]:
        """Masks and structures say the same."""
        for _, one in self.each():
            if one.occupation is None:
                continue
            template, mask = one.occupation
            if mask.dtype != np.bool_ or mask.shape != (len(template),):
                yield f"a mask is {mask.dtype} of shape {mask.shape}, not bool of ({len(template)},) sites"
            elif int(mask.sum()) != len(one.structure):
                yield f"{int(mask.sum())} sites are filled, but the structure has {len(one.structure)} atoms"
            elif not _similar(template.sites[mask], one.structure.positions):
                yield f"atoms do not lie on the filled sites of {template.name}"

    def counts(self) -> Iterator[str]:
        """As many as asked for, at most."""
        for test, found in self.all():
            if len(found) > self.n_samples:
                yield f"{len(found)} structures where {self.n_samples} were asked for: the budget of a run would not hold"
            few = self.propose(test, count=1)
            if len(few) != 1:
                yield f"{len(few)} structures where 1 was asked for"

    def repeatable(self) -> Iterator[str]:
        """One seed, one answer, in any order of calls."""
        for test, found in reversed(self.all()):  # in another order: a state that calls leave behind shows
            before = np.random.get_state()  # noqa: NPY002 - a generator that draws from the global state is found out so
            np.random.seed(1)  # noqa: NPY002
            again = self.propose(test)
            np.random.set_state(before)  # noqa: NPY002
            if not same_proposals(found, again):
                yield (
                    f"asked again with the same seed, it proposes other structures for {test.curve.source}; draw from rng alone, keep nothing "
                    "between calls. Else a curve has another answer on another worker"
                )

    def probabilities(self) -> Iterator[str]:
        """Of types."""
        for test in self.curves:
            predicted = self.generator.type_probabilities(test.curve, symbol=test.symbol, instrument=test.instrument)
            yield from _improbable(predicted)
            if predicted != self.generator.type_probabilities(test.curve, symbol=test.symbol, instrument=test.instrument):
                yield "asked again, type_probabilities says something else"
        for _, one in self.each():
            if not 0.0 <= one.type_probability <= 1.0 + SUM_WITHIN:
                yield f"type_probability {one.type_probability:g} of a proposal"

    def spaces(self) -> Iterator[str]:
        """Search spaces: shapes, sums, and batches that equal one by one."""
        for test in self.curves:
            space = self.generator.search_space(test.curve, symbol=test.symbol, instrument=test.instrument, rng=np.random.default_rng(0))
            if space is None:
                continue
            count = len(space.names)
            if not count == len(space.kinds) == len(space.templates) == len(space.probability):
                found = f"{len(space.kinds)} kinds, {len(space.templates)} template lattices, {len(space.probability)} probabilities"
                yield f"{count} names, {found}: not one each"
                continue
            if np.min(space.probability) < 0 or abs(float(np.sum(space.probability)) - 1.0) > SUM_WITHIN:
                yield f"probabilities of the template lattices add up to {float(np.sum(space.probability)):.4f}"
            number = int(np.argmax(space.probability))
            points = space.mean + space.std * np.random.default_rng(1).standard_normal((3, len(space.mean)))
            points[0] = space.mean
            together = space.occupations(points, number)
            sites = len(space.templates[number])
            if any(mask.dtype != np.bool_ or mask.shape != (sites,) for mask in together) or len(together) != len(points):
                yield f"occupations of {len(points)} points are not {len(points)} bool arrays of ({sites},) sites"
                continue
            if any(not 0 < mask.sum() <= space.most_atoms for mask in together):
                yield f"an occupation is empty or holds more than most_atoms ({space.most_atoms})"
            if any(not np.array_equal(space.occupations(point[None], number)[0], mask) for point, mask in zip(points, together, strict=True)):
                yield "a latent point means another occupation among others than alone: answers would depend on how points are batched"
            if not np.array_equal(np.sort(space.site_order(points[0], number)), np.arange(sites)):
                yield f"site_order is no order of all {sites} sites"

    def odds(self) -> Iterator[str]:
        """Of sites."""
        for test, found in self.all():
            known = {"elements": test.elements} if self.generator.decodes_elements else {}
            odds_of = self.generator.site_odds(test.curve, symbol=test.symbol, instrument=test.instrument, **known)
            if odds_of("no such lattice") is not None:
                yield "a lattice that nobody knows has odds; give None"
            filled = {one.occupation[0].name: one.occupation[0] for one in found if one.occupation is not None}
            for name, template in filled.items():
                odds = odds_of(name)
                if odds is not None and (np.shape(odds) != (len(template),) or not np.isfinite(odds).all()):
                    yield f"odds of {name} have shape {np.shape(odds)} or are not finite; ({len(template)},) sites are needed"


def _ill_shaped(one: Proposal, latent: int) -> Iterator[str]:
    positions = np.asarray(one.structure.positions)
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        yield f"positions have shape {positions.shape} or are not finite; (N, 3) Å are needed"
    if len(one.structure.symbols) != len(positions):
        yield f"{len(one.structure.symbols)} symbols for {len(positions)} atoms"
    if not one.structure.structure_type:
        yield "a structure has no structure_type: the ranking adds up probabilities by type"
    if np.shape(one.latent) != (latent,):
        yield f"a proposal's latent point has shape {np.shape(one.latent)}, the prior's ({latent},)"
    if not np.isfinite(one.log_prior):
        yield f"log_prior is {one.log_prior}"


def _improbable(predicted: Mapping[str, float]) -> Iterator[str]:
    lattices = {kind: value for kind, value in predicted.items() if OUTLINES.get(kind) not in predicted}
    if any(not 0.0 <= value <= 1.0 + SUM_WITHIN for value in predicted.values()):
        yield f"a probability of a type is not within 0 and 1: {dict(predicted)}"
    if predicted and abs(sum(lattices.values()) - 1.0) > SUM_WITHIN:
        yield f"probabilities of the types add up to {sum(lattices.values()):.4f}"


def _similar(sites: Floats, positions: Floats) -> bool:
    """Whether two point sets are equal up to rotation and scale, told by their sorted distances from the centroid."""
    one, other = (np.sort(np.linalg.norm(points - points.mean(axis=0), axis=1)) for points in (np.asarray(sites), np.asarray(positions)))
    scale = np.linalg.norm(other) / max(float(np.linalg.norm(one)), 1e-12)
    return bool(np.allclose(one * scale, other, atol=SAME_LENGTH * max(float(other.max()), 1e-12)))


def same_proposals(one: Sequence[Proposal], other: Sequence[Proposal]) -> bool:
    """Whether two calls proposed the same, in the same order."""
    return len(one) == len(other) and all(
        a.structure.symbols == b.structure.symbols
        and np.array_equal(a.structure.positions, b.structure.positions)
        and np.array_equal(a.latent, b.latent)
        and a.structure.structure_type == b.structure.structure_type
        for a, b in zip(one, other, strict=True)
    )
