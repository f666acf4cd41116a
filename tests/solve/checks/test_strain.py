"""Strain of rank 1 as a person reads it, and which particles are asked."""

import numpy as np
import pytest

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.physics.strain import displacement_fields
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.checks.strain import strain_details, strain_of, strain_words
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from tests.solve.conftest import write_gr


def found_in(path, particle, model):
    measurement = describe(read_pdf(write_gr(path, particle)), SolveSettings())
    fitted = fit(CandidateSet((Candidate(model, "catalog"),)), measurement)
    return strain_of(fitted.candidates[0], fitted.row(0), measurement)


def moved(structure, name, amount):
    return Structure(structure.symbols, structure.positions + amount * displacement_fields(structure)[name], structure.structure_type)


def test_numbers_and_sentence_of_a_strained_decahedron(tmp_path, shape_of):
    shape = shape_of("decahedral")
    found = found_in(tmp_path / "a.gr", moved(shape, "radial_strain", -0.02), shape)
    details = strain_details(found)
    assert set(details) == {"radial_strain", "radial_strain_err", "rw_rigid", "rw", "gain"}
    assert details["radial_strain"] == pytest.approx(-0.02, abs=3 * details["radial_strain_err"])
    assert details["rw"] < details["rw_rigid"]
    assert f"by {100 * details['radial_strain']:+.1f} ±" in strain_words(found)


def test_a_crystal_is_asked_for_its_surface_alone(tmp_path, shape_of):
    shape = shape_of("fcc")
    found = found_in(tmp_path / "a.gr", moved(shape, "surface_contraction", 0.03), shape)
    assert set(found.values) == {"surface_contraction"}
    assert "the surface is drawn in by" in strain_words(found)


def test_plain_particles_and_alloys_have_none(tmp_path, shape_of):
    shape = shape_of("icosahedral")
    mixed = Structure(tuple(np.where(np.arange(len(shape)) % 2, "Pt", "Au").tolist()), shape.positions, "icosahedral")
    assert found_in(tmp_path / "a.gr", shape, shape) is None
    assert found_in(tmp_path / "b.gr", moved(shape, "radial_strain", -0.02), mixed) is None
