"""Particles of crystals and structures of files as candidates: only what the sample holds, at their own scale, within the budget."""

from types import SimpleNamespace

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.physics.crystal_model import crystal_sphere_curve
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.crystals import CrystalSource, _to_cut, settled
from deepstruc_hpc.solve.candidates.fitting import fit, fit_curve_table
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.candidates.structures import STRUCTURE_ZOOM, StructureSource
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.crystals import Prototype, _site, crystal_of_prototype, prototype_crystal
from deepstruc_hpc.structures.particle_cut import ParticleCut

BUDGET = Budget(samples=0, sigma=(3.0,), most_atoms=2000)


def _measurement(composition, rmax=20.0):
    r = np.arange(0.0, 30.0, 0.01)
    return describe(PdfCurve(r, np.exp(-0.5 * ((r - 2.3) / 0.1) ** 2), source="x.gr"), SolveSettings(composition=composition, rmax=rmax))


@pytest.fixture(scope="module")
def ceria():
    """The curve of a particle of CeO2 of 10 Å, and what the source offers for it."""
    truth = ParticleCut(prototype_crystal("CeO2"), 5.0).structure()
    r = np.arange(0.0, 16.0, 0.02)
    g = simulate_pdf(truth.symbols, truth.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006, delta2=1.0)
    curve = PdfCurve(r, g, header={"qmin": 0.8, "qmax": 22.0, "composition": "CeO2"}, source="x.gr")
    return CrystalSource().candidates(describe(curve, SolveSettings(qdamp=0.03)), BUDGET)


def test_crystals_of_the_samples_elements_are_found_and_the_true_one_is_among_them(ceria):
    assert {frozenset(candidate.structure.elements) for candidate in ceria} <= {frozenset("O"), frozenset({"Ce"}), frozenset({"Ce", "O"})}
    assert "fluorite" in set(ceria.types)
    assert ceria.counts["crystals_screened"] > 1


def test_what_is_cut_is_listed_says_how_and_stays_within_the_budget(ceria):
    assert all(candidate.listed and candidate.source == "crystals" for candidate in ceria)
    cuts = [candidate for candidate in ceria if candidate.crystal_fit is None]
    assert len(cuts) > 3
    for candidate in cuts:
        assert candidate.cut is not None
        assert len(candidate.structure) <= BUDGET.most_atoms
        low, high = candidate.zoom
        assert low < 1.0 < high


def test_a_crystal_is_compared_as_far_as_it_was_fitted_however_far_the_curve_goes():
    crystal = prototype_crystal("CeO2")
    r = np.arange(0.0, 80.0, 0.05)
    xray = Instrument(qmin=0.8, qmax=22.0, qdamp=0.02)
    g = crystal_sphere_curve(crystal.lattice, crystal.fractions, crystal.species, r, xray, uiso=0.006, delta2=1.0, diameter=200.0)
    curve = PdfCurve(r, g, header={"qmin": 0.8, "qmax": 22.0, "composition": "CeO2"}, source="x.gr")
    found = CrystalSource().candidates(describe(curve, SolveSettings(qdamp=0.02, rmax=30.0)), BUDGET)
    sphere = found.take([candidate.crystal_fit is not None for candidate in found]).take([0])
    assert len(sphere) == 1
    for rmax, end in ((30.0, 30.0), (80.0, sphere.candidates[0].crystal_fit.rmax)):
        measurement = describe(curve, SolveSettings(qdamp=0.02, rmax=rmax))
        fitted = fit(sphere, measurement)
        assert fitted.rw[0] < 0.03
        table = fit_curve_table(fitted.candidates[0], fitted.row(0), measurement)
        assert table["r"].max() == pytest.approx(end, abs=0.06)
        assert np.abs(table["difference"]).max() < 0.1 * np.abs(table["g_obs"]).max()


def test_a_molecule_is_no_crystal():
    assert len(CrystalSource().candidates(_measurement("C60"), BUDGET)) == 0


def _molecule(symbols, scale=1.5):
    return Structure(tuple(symbols), scale * np.random.default_rng(0).normal(size=(len(symbols), 3)) * 2.0)


def test_structures_of_files_keep_their_size_and_are_called_by_their_file(tmp_path):
    write_xyz(_molecule(["Au", "Au", "S", "C"]), tmp_path / "thiolate.xyz")
    write_xyz(_molecule(["Pt", "Pt"]), tmp_path / "platinum.xyz")
    (tmp_path / "broken.xyz").write_text("two\n")
    found = StructureSource.of_folders([str(tmp_path)]).candidates(_measurement("Au144 S60 C480 H540"), BUDGET)
    (one,) = found.candidates
    assert (one.structure.structure_type, one.zoom, one.length) == ("thiolate", STRUCTURE_ZOOM, 0.0)
    assert one.structure.symbols == ("Au", "Au", "S", "C")
    assert "broken.xyz" in " ".join(found.notes)


def test_a_family_of_sizes_holds_inner_parts_of_the_structure_the_whole_first():
    whole = _molecule(["Au"] * 80)
    family = StructureSource([whole], sizes=True).candidates(_measurement("Au"), BUDGET).candidates
    assert family[0].structure is whole
    assert len(family) > 4
    radius = np.linalg.norm(whole.positions - whole.positions.mean(axis=0), axis=1)
    for part in family[1:]:
        assert 10 <= len(part.structure) < 80
        kept = {tuple(position) for position in part.structure.positions}
        inside = np.array([tuple(position) in kept for position in whole.positions])
        assert inside.sum() == len(part.structure)
        assert radius[inside].max() <= radius[~inside].min()


def test_particles_are_cut_from_the_best_crystal_of_each_net_not_from_three_of_one():
    """A net is judged by the mean over its list: one with three lists of sizes beside one without any lost against a worse fit."""
    fits = [SimpleNamespace(rw=rw, candidate=SimpleNamespace(group=group)) for rw, group in ((0.30, "rutile"), (0.31, "rutile"), (0.33, "zircon"))]
    fits += [SimpleNamespace(rw=0.5, candidate=SimpleNamespace(group="goethite"))]
    assert [(fit.rw, fit.candidate.group) for fit in _to_cut(fits)] == [(0.30, "rutile"), (0.33, "zircon")]


def _metal(symbol, lattice_constant, diameter, noise=0.02):
    """The curve of a sphere of an fcc metal to 30 Å, with noise that is white in Q."""
    crystal = crystal_of_prototype(Prototype("Fm-3m", (*[lattice_constant] * 3, 90.0, 90.0, 90.0), (_site(symbol, 0, 0, 0),)), symbol)
    cut = ParticleCut(crystal, diameter / 2.0, surface="as_cut").structure()
    r = np.arange(0.0, 30.0, 0.02)
    g = simulate_pdf(cut.symbols, cut.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006, delta2=1.0)
    q = np.linspace(0.8, 22.0, 600)
    error = np.random.default_rng(0).normal(size=len(q)) @ np.sin(np.outer(q, r))
    g = g + noise * g[r > 1.5].std() * error / error.std()
    header = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03, "composition": symbol}
    return len(cut), describe(PdfCurve(r, g, header=header, source="x.gr"), SolveSettings())


@pytest.mark.parametrize(("symbol", "lattice_constant", "diameter"), [("Ni", 3.524, 32.0), ("Au", 4.078, 48.0)])
def test_a_metal_of_more_atoms_than_lists_hold_is_a_crystal(symbol, lattice_constant, diameter):
    """1,600 and 3,400 atoms: the right lattice first, the diameter within 2 %, and the explicit search has nothing to add to the larger one."""
    n_atoms, measurement = _metal(symbol, lattice_constant, diameter)
    found = fit(CrystalSource().candidates(measurement, BUDGET), measurement)
    sphere = found.candidates[0]
    assert sphere.structure.structure_type == "fcc"
    assert sphere.crystal_fit is not None
    assert found.rw[0] < 0.1
    true = np.cbrt(6 / np.pi * n_atoms * lattice_constant**3 / 4)
    assert sphere.diameter == pytest.approx(true, rel=0.02)
    assert sphere.n_atoms == pytest.approx(n_atoms, rel=0.06)
    assert sphere.size_spread == 0.0
    assert settled(found) == all(candidate.crystal_fit is not None for candidate in found)


def test_a_small_metal_particle_is_left_to_the_lists():
    """Of 350 atoms: asked about or not, a sphere of 20 Å is no candidate where every outline is listed."""
    _, measurement = _metal("Ni", 3.524, 19.5, noise=0.05)
    assert len(CrystalSource().candidates(measurement, BUDGET)) == 0
