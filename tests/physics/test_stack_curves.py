"""Curves of close-packed particles from counts of whole numbers, against the simulation and the fit."""

from __future__ import annotations

import numpy as np
import pytest

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.stack_curves import StackCurves, class_of, pair_classes
from deepstruc_hpc.physics.target import target_of
from deepstruc_hpc.structures.close_packed import stacked_sites
from deepstruc_hpc.structures.layer_stack import LayerStack
from deepstruc_hpc.structures.occupation import stack_of

UNIT = 2.77
RANGES = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}
R = np.arange(2.0, 18.0, 0.02)
SEQUENCES = ("ABCA", "ABCB", "ABCACB")


def stack(sequence: str) -> LayerStack:
    return LayerStack.of(*stack_of(stacked_sites(sequence, 2.0, "B")))


def curves(g: np.ndarray, **options) -> StackCurves:
    parameters = {"length": UNIT, "uiso": 0.006, "delta2": 2.0} | options
    return StackCurves.of(target_of(R, g, **RANGES, largest_distance=9 * UNIT), class_of(9.0), **parameters)


def measured(sequence: str) -> np.ndarray:
    sites = stack(sequence).sites * UNIT
    return simulate_pdf(("Pt",) * len(sites), sites, R, **RANGES, uiso=0.006, delta2=2.0)


def counted(*sequences: str) -> np.ndarray:
    return pair_classes([stack(sequence).columns for sequence in sequences], class_of(9.0))


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_classes_are_three_times_the_squared_distances(sequence):
    sites = stack(sequence).sites
    squared = 3 * ((sites[:, None] - sites) ** 2).sum(axis=2)[np.triu_indices(len(sites), 1)]
    np.testing.assert_allclose(squared, np.round(squared), atol=1e-9)
    wanted = np.bincount(np.round(squared).astype(int), minlength=class_of(9.0) + 1)
    np.testing.assert_array_equal(counted(sequence)[0], wanted)


def test_every_class_of_a_particle_has_a_curve():
    known = curves(measured("ABCA")).there
    assert set(np.flatnonzero(counted(*SEQUENCES).any(axis=0))) <= set(known)


def test_rw_is_that_of_the_fit_of_the_scale():
    g = measured("ABCB")
    found = curves(g).rw(counted(*SEQUENCES))
    structures = [Structure.of_element("Pt", stack(sequence).sites * UNIT, "stacking_fault") for sequence in SEQUENCES]
    table = fit_candidates(structures, PdfCurve(R, g), rmin=2.0, rmax=18.0, **RANGES, free=("scale",), start={"uiso": 0.006, "delta2": 2.0})
    np.testing.assert_allclose(found, table.rw, atol=2e-3)
    assert found[1] < 2e-3
    assert found[[0, 2]].min() > 0.05


def test_small_errors_of_distance_u_and_delta2_are_adapted_without_a_fit():
    g = measured("ABCB")
    wrong = curves(g, length=UNIT * 1.001, uiso=0.0063, delta2=2.1)
    counts = counted("ABCB")
    assert wrong.rw_linear(counts)[0] < 0.15 * wrong.rw(counts)[0]
    assert (wrong.rw_linear(counted(*SEQUENCES)) <= wrong.rw(counted(*SEQUENCES)) + 1e-6).all()
