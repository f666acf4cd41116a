"""Occupation refinement: the curve itself is asked which sites hold atoms, beginning from a sample and with what the model says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.evidence import constants, independent_points, log_likelihood
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.fit_problem import FitProblem
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.site_descent import SiteCurves, SiteDescent, SiteScattering
from deepstruc_hpc.physics.strain import refine_displacements
from deepstruc_hpc.physics.target import target_of
from deepstruc_hpc.physics.uiso_groups import automatic_groups
from deepstruc_hpc.structures.assignment import LatticeLookup
from deepstruc_hpc.structures.lattice_strain import strains_of
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.occupation import faults_of
from deepstruc_hpc.structures.sites import nearest_distances, shortest_distance
from deepstruc_hpc.structures.template_lattices import DEFAULT_RADIUS, TemplateLattice, standard_templates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROUNDS, SEARCHES = 3, 6
"""Fits and descents in turn, at most, without and with hops; limits of time."""
ROOM = 1.3
"""Sites up to so many nearest-neighbour distances outside an assignment may be filled."""
SUREST = 6.0
"""No site is taken to be surer than this many nats, whatever a model says: it is no oracle."""
SNAP = 0.15
"""Nearest-neighbour distances from which an atom that a model wrote by coordinates is taken to its site."""
RADII = (DEFAULT_RADIUS, 9.0, 13.0)
"""Reach of the template lattices to which such atoms are taken: the smallest that leaves room."""
LEAST_RW = 1e-5
"""Below it a fit is taken to be perfect: simulated curves agree with their own structure to about a third of it."""
FEWEST, _LAYERS = 4, 8
"""Atoms of the smallest particle that is refined; layers of the highest stack among the template lattices."""


@dataclass(frozen=True)
class Fitted:
    """Parameters of a fit: zoom from the structure as given, U (Å²), delta2 (Å²), Rw, the scale, and U of each element where there are several."""

    zoom: float
    uiso: float
    delta2: float
    rw: float
    scale: float
    uiso_by_element: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Fitted:
        """From a row of a table of fits."""
        zoom, uiso, delta2, rw, scale = (float(row[name]) for name in ("zoom", "uiso", "delta2", "rw", "scale"))
        return cls(zoom, uiso, delta2, rw, scale)


@dataclass(frozen=True, eq=False)
class Filled:
    """A cluster as an assignment: of one element, or on a lattice whose sites have their elements.

    Attributes:
        template: its sites.
        mask: (S,) filled ones.
        structure: the cluster that they are, Å.
        fit: of the structure to the curve.
        deformation: (3, 3) by which the structure's lattice differs from the template lattice's sites beside its length.
    """

    template: TemplateLattice
    mask: Mask
    structure: Structure
    fit: Fitted
    deformation: Floats = field(default_factory=lambda: np.eye(3))


@dataclass(frozen=True, eq=False)
class Improved(Filled):
    """An assignment after the refinement; the structure as it was before the zoom of its fit.

    Attributes:
        objective: −ln of the posterior of template lattice and assignment, nats, up to a constant of the curve: :func:`objective_of`.
    """

    objective: float = math.inf


def improve_sites(
    start: Filled,
    curve: PdfCurve,
    instrument: Instrument,
    *,
    log_odds: Floats | None = None,
    points: float | None = None,
    most_atoms: int = 10_000,
    low_q: float = 0.0,
    hops: int = 0,
) -> Improved:
    """Descend over the assignments of a template lattice, and fit, in turn.

    Of a crystal the fit has the strains that its symmetry allows (:mod:`deepstruc_hpc.structures.lattice_strain`) and a U for cations and one for
    anions: a c/a that is 1 % off, or anions that move more than cations, hide which sites are filled.

    Args:
        start: from where.
        curve: the data, in the range of the fit.
        instrument: how it was measured.
        log_odds: (S,) ln p/(1 − p) of the sites, nats; nothing is known where not given.
        points: independent points of the data; those of its range where not given.
        most_atoms: that may come out.
        low_q: Å⁻¹, below which nothing of data and model counts, as in the fits; 0: all counts.
        hops: random changes of a few sites, each followed by a descent, once no change of one atom helps.
    """
    length = shortest_distance(start.structure.positions) / shortest_distance(start.template.sites[start.mask] @ start.deformation)
    now = refit_crystal(start, curve, instrument, low_q=low_q) if start.template.species else start
    points = points or independent_points(float(curve.r[0]), float(curve.r[-1]), max(instrument.qmin, low_q), instrument.qmax)
    rng = np.random.default_rng(0)
    for _ in range(SEARCHES if hops else ROUNDS):
        descent, near = _descent(now, length, curve, instrument, points=points, most_atoms=most_atoms, low_q=low_q, log_odds=log_odds)
        filled, steps = descent.run(now.mask[near])
        if steps == 0 and hops and now.fit.rw > LEAST_RW:
            filled, steps = descent.hops(filled, now.template.sites[near], hops, rng)
        if steps == 0:
            break
        mask = np.zeros(len(now.mask), dtype=bool)
        mask[near] = filled
        structure = _built(now.template, mask, now.structure, length * now.deformation)
        now = Filled(now.template, mask, structure, fitted(structure, curve, instrument, low_q=low_q), now.deformation)
        now = refit_crystal(now, curve, instrument, low_q=low_q) if now.template.species else now
    return Improved(now.template, now.mask, now.structure, now.fit, now.deformation, objective_of(now, points, log_odds))


def _descent(
    filled: Filled,
    length: float,
    curve: PdfCurve,
    instrument: Instrument,
    *,
    points: float,
    most_atoms: int,
    low_q: float,
    log_odds: Floats | None,
) -> tuple[SiteDescent, NDArray[np.intp]]:
    """Descents at the parameters of a fit, over the sites near an assignment, and which ones these are."""
    template, fit = filled.template, filled.fit
    near = np.flatnonzero(template.distance <= template.distance[filled.mask].max() + ROOM)
    sites = template.sites[near] @ filled.deformation * (length * fit.zoom)
    ranges = {"qmin": instrument.qmin, "qmax": instrument.qmax, "qdamp": instrument.qdamp, "low_q": low_q}
    target = target_of(curve.r, curve.g, **ranges, largest_distance=2.0 * float(np.linalg.norm(sites, axis=1).max()))
    scattering = None
    if template.species is not None:
        scattering = SiteScattering.of([template.species[site] for site in near], filled.mask[near], target.q, instrument.radiation)
    each = {symbol: fit.uiso_by_element.get(symbol, fit.uiso) for symbol in template.species or ()}
    uiso = fit.uiso if scattering is None else scattering.pair_uiso(each)
    curves = SiteCurves.of(sites, target, uiso=uiso, delta2=fit.delta2, qbroad=instrument.qbroad, scattering=scattering)
    bonds = (template.bonds if template.species is None else template.unlike_bonds)[near][:, near]
    odds = np.zeros(len(near)) if log_odds is None else np.clip(log_odds[near], -SUREST, SUREST)
    descent = SiteDescent(curves, bonds, points=points, min_neighbours=template.min_neighbours, most_atoms=most_atoms, log_odds=odds)
    return descent, near


def refit_crystal(filled: Filled, curve: PdfCurve, instrument: Instrument, *, low_q: float = 0.0) -> Filled:
    """The same sites with a U for cations and one for anions, and the lattice strained as the curve asks for; the same object if this fits no better.

    Args:
        filled: with its fit, on a lattice of several elements.
        curve: the data, in the range of the fit.
        instrument: how it was measured.
        low_q: see :func:`improve_sites`.
    """
    positions, fit = filled.structure.positions, filled.fit
    strains, elements = strains_of(filled.template.name), tuple(sorted(filled.structure.elements))
    groups = automatic_groups(elements)
    several = {"uiso": fit.uiso} if len(groups) == 1 else {f"uiso_{name}": fit.uiso for name in groups.names}
    start = {"scale": fit.scale, "zoom": fit.zoom, **several, "delta2": fit.delta2}
    problem = FitProblem(curve, instrument, low_q=low_q)
    found = refine_displacements(filled.structure, [positions @ strain for strain in strains], start, problem, groups=groups)
    if found.rw >= fit.rw:
        return filled
    change, kept = np.eye(3) + np.tensordot(found.amplitudes, strains, axes=1), found.parameters
    by_element = {symbol: kept[tuple(several)[number]] for symbol, number in zip(elements, groups.numbers, strict=True)}
    mean = float(np.mean([by_element[symbol] for symbol in filled.structure.symbols]))
    refined = Fitted(kept["zoom"], mean, kept["delta2"], found.rw, kept["scale"], by_element)
    structure = replace(filled.structure, positions=positions @ change)
    return Filled(filled.template, filled.mask, structure, refined, filled.deformation @ change)


def objective_of(filled: Filled, points: float, log_odds: Floats | None) -> float:
    """−ln of the posterior of a template lattice and which of its sites are filled, nats, up to a constant of the curve.

    ½ n ln(residual) − Σ_{filled} ln p − Σ_{empty} ln(1 − p) + what stacking faults cost (:class:`~deepstruc_hpc.physics.evidence.Constants`).
    Template lattices count alike. So assignments of different template lattices can be compared, too.

    Args:
        filled: the assignment with its fit.
        points: n, independent points of the data.
        log_odds: (S,) ln p/(1 − p) of the sites, nats; nothing is known where not given.
    """
    price = constants().complexity_penalty * faults_of(filled.structure)
    if log_odds is not None:
        odds = np.clip(log_odds, -SUREST, SUREST)
        price += float(np.logaddexp(0.0, odds).sum() - odds[filled.mask].sum())
    return price - float(log_likelihood(max(filled.fit.rw, LEAST_RW), points))


def _built(template: TemplateLattice, mask: Mask, as_before: Structure, cell: Floats) -> Structure:
    """The cluster that an assignment is, with the type and label that it had; ``cell`` (3, 3) takes the template lattice's sites to Å."""
    if template.species is not None:
        symbols = [template.species[site] for site in np.flatnonzero(mask)]
        built = template.cluster(mask, symbols, 1.0, as_before.structure_type, as_before.label)
    else:
        built = template.structure(mask, as_before.symbols[0], 1.0, as_before.label)
    return Structure(built.symbols, built.positions @ cell, as_before.structure_type, as_before.label)


def fitted(structure: Structure, curve: PdfCurve, instrument: Instrument, *, low_q: float = 0.0) -> Fitted:
    """A structure's fit to all points of a curve, without what lies below ``low_q`` (Å⁻¹)."""
    table = fit_candidates([structure], curve, rmin=float(curve.r[0]), rmax=float(curve.r[-1]), **instrument.model_dump(), low_q=low_q)
    return Fitted.of(table.row(0))


def snapped(structure: Structure) -> tuple[TemplateLattice, Mask, Structure] | None:
    """The sites that a cluster written by coordinates means: their template lattice, which of them are filled, and the cluster on them.

    Args:
        structure: of one element, in the frame of the builders, as a model trained on their order leaves it.

    Returns:
        None where atoms lie too far from the sites of any template lattice of the structure's type.
    """
    if len(structure) < FEWEST or len(structure.elements) > 1:
        return None
    length = float(np.median(nearest_distances(structure.positions)))
    reach = float(np.linalg.norm(structure.positions - structure.positions.mean(axis=0), axis=1).max()) / length + ROOM
    finder = next((finder_of(structure.structure_type, radius) for radius in RADII if reach <= radius), None)
    found = None if finder is None else finder.find(structure.positions, structure.structure_type, length=length)
    if finder is None or found is None:
        return None
    template = finder.templates[found.template]
    built = template.structure(found.mask, structure.symbols[0], length, structure.label)
    return template, found.mask, Structure(built.symbols, built.positions, structure.structure_type, structure.label)


@lru_cache(maxsize=32)
def finder_of(kind: str, radius: float) -> LatticeLookup:
    """Of all template lattices of a structure type that reach as far as a radius."""
    templates = standard_templates(radius, _LAYERS if kind == "stacking_fault" else FEWEST)
    lattice = lattice_of(kind)
    return LatticeLookup([template for template in templates if template.structure_type == lattice], SNAP)
