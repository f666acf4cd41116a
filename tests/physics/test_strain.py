"""Surface contraction and radial strain come back with their uncertainties; a plain particle has neither."""

import numpy as np
import pytest

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.fit_problem import FitProblem
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.strain import LARGEST, displacement_fields, refine_displacements, refine_strain
from deepstruc_hpc.structures.template_lattices import template_lattice
from tests.physics.clusters import INSTRUMENT, gold, measured, noise

pytestmark = pytest.mark.law
BOTH = ("surface_contraction", "radial_strain")
RANGE = {"rmin": 2.0, "rmax": 22.0}
CONDITIONS = Instrument(radiation="xray", qbroad=0.0, **INSTRUMENT)


def icosahedron(n):
    sites = np.asarray(template_lattice("icosahedral", 6.0).sites) * 2.88
    return Structure.of_element("Au", sites[np.argsort(np.linalg.norm(sites, axis=1), kind="stable")[:n]], "icosahedral")


def strained(structure, true):
    fields = displacement_fields(structure)
    moved = sum((amount * fields[name] for name, amount in true.items()), structure.positions)
    return Structure.of_element("Au", moved, structure.structure_type)


def found_in(structure, true, names=BOTH, seed=0):
    curve = noise(measured(strained(structure, true), rmax=23.0, zoom=1.003, scale=0.7), 0.03, seed=seed)
    row = fit_candidates([structure], curve, **RANGE, **INSTRUMENT, low_q=1.2).row(0)
    problem = FitProblem(curve.between(**RANGE), CONDITIONS, low_q=1.2, zoom_bounds=np.array([[0.9, 1.1]]))
    return row, refine_strain(structure, row, problem, names)


@pytest.mark.parametrize("structure", [gold(140), icosahedron(147)], ids=["fcc", "icosahedral"])
@pytest.mark.parametrize(("name", "amount"), [("surface_contraction", 0.02), ("radial_strain", -0.02)])
def test_two_per_cent_come_back_within_their_error(structure, name, amount):
    row, found = found_in(structure, {name: amount}, names=(name,))
    assert found.values[name] == pytest.approx(amount, abs=3 * found.errors[name])
    assert found.errors[name] < 0.3 * abs(amount)
    assert found.rw_before == pytest.approx(row["rw"], rel=0.01)
    assert found.rw_after == pytest.approx(0.028, abs=0.002)  # the noise, of which low Q has gone


def test_both_at_once_are_told_apart():
    true = {"surface_contraction": 0.02, "radial_strain": -0.015}
    _, found = found_in(icosahedron(147), true)
    assert set(found.values) == set(true)
    for name, amount in true.items():
        assert found.values[name] == pytest.approx(amount, abs=3 * found.errors[name])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("structure", [gold(140), icosahedron(147)], ids=["fcc", "icosahedral"])
def test_a_plain_particle_has_none(structure, seed):
    assert found_in(structure, {}, seed=seed)[1] is None


def test_the_structure_is_the_one_that_was_measured():
    structure = icosahedron(147)
    _, found = found_in(structure, {"radial_strain": 0.02}, names=("radial_strain",))
    true = strained(structure, {"radial_strain": 0.02}).scaled(1.003)
    away = found.structure.positions - found.structure.positions.mean(axis=0) - (true.positions - true.positions.mean(axis=0))
    assert np.abs(away).max() < 0.02


def test_fields_move_what_they_say():
    structure = icosahedron(147)
    fields = displacement_fields(structure)
    radius = np.linalg.norm(structure.positions, axis=1)
    moved = np.linalg.norm(fields["surface_contraction"], axis=1)
    assert (moved > 0).sum() == 92  # the outermost of four shells
    assert moved.max() == pytest.approx(2.88, rel=0.06)
    assert (np.einsum("ij,ij->i", fields["surface_contraction"], structure.positions) <= 0).all()
    assert np.linalg.norm(fields["radial_strain"], axis=1) == pytest.approx(radius**3 / radius.max() ** 2, abs=1e-6)


def test_a_particle_without_an_inside_has_no_surface_contraction():
    assert set(displacement_fields(icosahedron(13))) == {"radial_strain"}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("start", [{"zoom": 0.93, "uiso": 0.08}, {"zoom": 1.07, "uiso": 5e-4}, {"zoom": 1.0, "uiso": 0.005}])
def test_a_refinement_that_begins_far_away_ends_no_worse_and_near_its_zoom(start):
    """Steps from a bad start are wild: without bounds they left the range in which the model is defined."""
    structure = gold(140)
    curve = noise(measured(structure, rmax=23.0), 0.03).between(**RANGE)
    problem = FitProblem(curve, CONDITIONS, low_q=1.2)
    begin = {"scale": 1.0, "zoom": start["zoom"], "uiso": start["uiso"], "delta2": 6.0}
    fields = [structure.positions @ np.diag([-0.5, -0.5, 1.0])]
    before = problem.tangent(structure, begin)
    residual = before.target.data - before.model
    found = refine_displacements(structure, fields, begin, problem)
    assert found.cost <= float(residual @ residual) + before.target.outside
    assert abs(found.parameters["zoom"] / begin["zoom"] - 1.0) <= LARGEST
    assert abs(found.amplitudes[0]) <= LARGEST
