"""Occupation refinement by whole layers: out of minima that no single atom leaves, into the right order of layers."""

from __future__ import annotations

import numpy as np
import pytest

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.model.layer_refinement import layer_stacks, refine
from deepstruc_hpc.model.occupation_refinement import Filled, fitted, objective_of
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.close_packed import stacked_sites
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_shapes import without_dangling
from deepstruc_hpc.structures.template_lattices import template_lattice

INSTRUMENT = Instrument(qmin=0.8, qmax=20.0, qdamp=0.03)
R = np.arange(2.0, 14.0, 0.02)
UNIT = 2.78


def filled(name: str, radius: float, curve: PdfCurve | None = None) -> Filled:
    """A drum of all layers of a template lattice."""
    home = template_lattice(name, 6.5)
    mask = np.hypot(home.sites[:, 0], home.sites[:, 1]) < radius if home.layer is not None else home.distance < radius
    mask = without_dangling(home, mask)
    structure = home.structure(mask, "Pt", UNIT)
    curve = curve or curve_of(structure.positions)
    return Filled(home, mask, structure, fitted(structure, curve, INSTRUMENT))


def curve_of(positions: np.ndarray) -> PdfCurve:
    ranges = INSTRUMENT.model_dump(include={"qmin", "qmax", "qdamp"})
    return PdfCurve(R, simulate_pdf(("Pt",) * len(positions), positions, R, **ranges, uiso=0.006, delta2=2.0), header={"qmin": 0.8, "qmax": 20.0})


@pytest.mark.parametrize(("begun", "truth"), [("ABCACB", "ABCAC"), ("ABCB", "ABCBA")])
def test_the_order_of_layers_is_found_from_a_neighbouring_stack(begun, truth):
    right = filled(f"close-packed {truth}", 1.6)
    curve = curve_of(right.structure.positions)
    start = filled(f"close-packed {begun}", 1.6, curve)
    (_, atoms), *_ = refine([start], curve, INSTRUMENT, layered=0)
    found = [end for _, end in refine([start], curve, INSTRUMENT)]
    best = min(found, key=lambda end: end.objective)
    assert fingerprint(atoms.structure, scale_free=True) != fingerprint(right.structure, scale_free=True)
    assert best.fit.rw < 1e-3 < atoms.fit.rw
    assert best.objective < atoms.objective - 100


def test_what_comes_out_is_never_less_probable_than_atom_by_atom():
    truth = stacked_sites("ABCAC", 1.9, "bond") * UNIT * [1.01, 1.0, 0.99]
    curve = curve_of(truth)
    start = filled("close-packed ABCB", 1.9, curve)
    alone = refine([start], curve, INSTRUMENT, layered=0)
    both = refine([start], curve, INSTRUMENT)
    assert alone[0][1].objective == both[0][1].objective
    assert all(end.objective < both[0][1].objective and number == 0 for number, end in both[1:])


def test_a_stack_of_which_the_model_knows_nothing_is_not_entered():
    right = filled("close-packed ABCAC", 1.6)
    curve = curve_of(right.structure.positions)
    start = filled("close-packed ABCACB", 1.6, curve)
    known = {start.template.name: np.where(start.mask, 0.5, -0.5)}
    found = refine([start], curve, INSTRUMENT, odds_of=known.get)
    assert {end.template.name for _, end in found} == {start.template.name}


def test_fcc_has_layers_in_four_directions_and_other_lattices_have_none():
    assert len(layer_stacks(filled("fcc atom", 1.5))) == 4
    assert len(layer_stacks(filled("hcp atom", 1.5))) == 1
    assert layer_stacks(filled("bcc atom", 1.5)) == []
    assert layer_stacks(filled("icosahedral", 1.5)) == []


def test_occupations_of_different_lattices_are_compared_by_what_was_known_of_all_sites():
    start = filled("close-packed ABCB", 1.6)
    size = len(start.template)
    sure = np.where(start.mask, 3.0, -3.0)
    missing = size * np.log1p(np.exp(-3.0))
    bare = objective_of(start, 100.0, None)
    assert objective_of(start, 100.0, sure) - bare == pytest.approx(missing)
    assert objective_of(start, 100.0, -sure) - bare == pytest.approx(missing + 3.0 * size)
