"""Crystals found from their elements: the forward model against explicit atoms, the scan against direct evaluation, and truth that is simulated."""

from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc.core.cell_symmetry import cell_symmetry
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.crystal_fit import Budget, margin, mine_crystals
from deepstruc_hpc.physics.crystal_model import Axes, Cell, CrystalModel, crystal_sphere_curve, kind_weights
from deepstruc_hpc.physics.crystal_motions import cell_basis, shift_basis
from deepstruc_hpc.physics.crystal_pairs import pair_distances, site_pairs
from deepstruc_hpc.physics.crystal_screen import LOG_STEP, Screen, distinct, free_axes, stretches
from deepstruc_hpc.physics.form_factors import neutron_length
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.shape_functions import sphere_shape
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import Prototype, _site, crystal_of_prototype, prototype_crystal
from deepstruc_hpc.structures.prototypes import candidate_crystals

R = np.arange(0.5, 26.0, 0.01)
XRAY = Instrument(qmin=0.7, qmax=22.0, qdamp=0.03)


def sphere_curve(crystal, diameter, instrument, *, noise=0.0, uiso=0.007, delta2=1.5, centres=("cell",), r=R):
    """G(r) of explicit atoms within a sphere, by the Debye sum."""
    cuts = [cut_crystal(crystal, radius=diameter / 2, centre=centre, surface="as_cut") for centre in centres]
    g = np.mean([simulate_pdf(cut.symbols, cut.positions, r, uiso=uiso, delta2=delta2, **instrument.model_dump()) for cut in cuts], axis=0)
    g = g + noise * np.abs(g).max() * np.random.default_rng(2).normal(size=len(r))
    return PdfCurve(r, g, source=crystal.name)


@pytest.mark.law
@pytest.mark.parametrize("radiation", ["xray", "neutron"])
def test_without_an_end_it_is_the_curve_of_the_bulk(radiation):
    """Fails when a pair counts once, a kind gets another's factor, or the line is missing; the reference sums every pair at every Q."""
    crystal = prototype_crystal("TiO2 rutile")
    instrument = Instrument(radiation=radiation, qmin=0.5, qmax=24.0, qdamp=0.02, qbroad=0.02)
    expected = simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, R, instrument, uiso=0.006, delta2=1.5)
    found = crystal_sphere_curve(crystal.lattice, crystal.fractions, crystal.species, R, instrument, uiso=0.006, delta2=1.5)
    assert rw(expected, found) < 4e-3


@pytest.mark.law
@pytest.mark.parametrize(("name", "diameter", "limit"), [("CeO2", 28.0, 0.035), ("TiO2 rutile", 28.0, 0.03), ("Fe3O4", 30.0, 0.03)])
def test_crystal_times_sphere_is_a_sphere_of_atoms_on_the_absolute_scale(name, diameter, limit):
    """Averaged over three centres; no scale is fitted. What is left is the surface, whose atoms come in shells."""
    crystal = prototype_crystal(name)
    data = sphere_curve(crystal, diameter, XRAY, centres=("origin", "cell", "bond"))
    found = crystal_sphere_curve(crystal.lattice, crystal.fractions, crystal.species, R, XRAY, uiso=0.007, delta2=1.5, diameter=diameter)
    assert rw(data.g, found) < limit


@pytest.mark.law
def test_without_the_envelope_the_sphere_would_not_fit():
    """The control of the test above: the bulk crystal is far from the particle."""
    crystal = prototype_crystal("CeO2")
    data = sphere_curve(crystal, 28.0, XRAY)
    assert rw(data.g, crystal_sphere_curve(crystal.lattice, crystal.fractions, crystal.species, R, XRAY, uiso=0.007, delta2=1.5)) > 0.3


@pytest.mark.law
def test_any_qmin_from_0_to_1_is_the_same_measurement():
    """A particle of 20 Å measured from Qmin 0.8: what the header says instead changes Rw by less than 0.01. Fails without the line."""
    crystal = prototype_crystal("CeO2")
    data = sphere_curve(crystal, 20.0, XRAY.model_copy(update={"qmin": 0.8}), centres=("origin", "cell", "bond"))
    found = []
    for qmin in (0.0, 0.1, 0.5, 1.0):
        instrument = XRAY.model_copy(update={"qmin": qmin})
        calculated = crystal_sphere_curve(crystal.lattice, crystal.fractions, crystal.species, R, instrument, uiso=0.007, delta2=1.5, diameter=20.0)
        seen = R > 1.5
        found.append(rw(data.g[seen], calculated[seen]))
    assert max(found) - min(found) < 0.01
    assert max(found) < 0.06


@pytest.mark.law
def test_qbroad_multiplies_the_width_of_a_pair():
    """σ² = 2U(1 + Qbroad²d²): one far pair of nickel, by the second moment of its peak in a wide range of Q."""
    lattice = np.eye(3) * 14.0
    cell = Cell(lattice, np.zeros((1, 3)), ((("Ni", 1.0),),), np.zeros(1, dtype=int), np.zeros(1, dtype=int))
    axes = Axes.of(18.0, Instrument(qmin=0, qmax=40))
    model = CrystalModel(cell, axes, Instrument(qmin=0, qmax=40, qbroad=0.1), room=0.0)
    peak = model.on_grid(lattice, np.zeros((1, 3)), np.array([0.01]), (0.0, 0.0), 0.0)[0]
    near = (axes.r > 12) & (axes.r < 16)
    variance = np.sum(peak[near] * (axes.r[near] - 14.0) ** 2) / np.sum(peak[near])
    assert variance == pytest.approx(0.02 * (1 + 0.01 * 14.0**2), rel=1e-3)


@pytest.mark.law
def test_gamma_of_a_sphere_is_the_part_of_it_that_a_shift_leaves_inside():
    points = np.random.default_rng(0).uniform(-1, 1, size=(200_000, 3))
    points = points[np.linalg.norm(points, axis=1) < 1.0] * 10.0
    for shift in (2.0, 8.0, 15.0):
        inside = np.mean(np.linalg.norm(points + np.array([shift, 0, 0]), axis=1) < 10.0)
        assert sphere_shape(np.array([shift]), 1 / 20.0)[0] == pytest.approx(inside, abs=0.005)
    assert sphere_shape(np.array([20.0, 30.0]), 1 / 20.0).tolist() == [0.0, 0.0]


@pytest.mark.law
def test_every_pair_has_its_own_factors():
    """f_a f_b/⟨f⟩² with f at each Q: sums to 1 over all pairs by their shares. Fails with numbers of electrons in place of f(Q)."""
    crystal = prototype_crystal("CeO2")
    kinds = np.array([0] * 4 + [1] * 8)
    q = np.linspace(0.5, 25.0, 40)
    weights, line = kind_weights(crystal.species, kinds, q, XRAY)
    assert weights[0] / 9 + weights[1] * 4 / 9 + weights[2] * 4 / 9 == pytest.approx(np.ones(40))
    assert line == 1.0
    assert weights[2][0] / weights[2][-1] != pytest.approx(1.0, rel=0.2)


def test_neutron_lengths_of_both_signs_leave_the_curve_finite():
    """Mn (−3.73 fm) and O (5.80 fm): ⟨b⟩ is small; an alloy with ⟨b⟩ = 0 must not divide by it."""
    instrument = XRAY.model_copy(update={"radiation": "neutron"})
    share = neutron_length("Ni") / (neutron_length("Ni") - neutron_length("Mn"))
    species = ((("Mn", share), ("Ni", 1 - share)),) * 4
    weights, line = kind_weights(species, np.zeros(4, dtype=int), np.linspace(0.5, 20, 9), instrument)
    assert np.isfinite(weights).all()
    assert line == pytest.approx(0.0, abs=1e-12)


def test_pairs_are_all_there_once():
    """Against a loop over cells by hand, in a skew cell with positions outside it."""
    lattice = np.array([[4.0, 0.0, 0.0], [-1.5, 4.4, 0.0], [0.3, 1.1, 6.0]])
    fractions = np.array([[0.1, 0.2, 0.9], [-0.3, 1.4, 0.5]])
    table = site_pairs(lattice, fractions, np.array([0, 1]), 11.0)
    steps = np.stack(np.meshgrid(*[np.arange(-7, 8)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = np.sort(np.concatenate([np.linalg.norm((steps + b - a) @ lattice, axis=1) for a in fractions for b in fractions]))
    expected = expected[(expected > 1e-3) & (expected <= 11.0)]
    assert np.sort(pair_distances(lattice, np.mod(fractions, 1.0), table)) == pytest.approx(expected)


@pytest.mark.law
def test_counting_equivalent_pairs_once_changes_nothing():
    """Also after the cell and the positions have moved as the symmetry allows."""
    candidate = next(c for c in candidate_crystals(["Ti", "O"]) if c.prototype == "anatase")
    crystal = candidate.crystal
    axes, cell = Axes.of(15.0, XRAY), Cell(crystal.lattice, crystal.fractions, crystal.species, candidate.kinds, candidate.orbits)
    shifts = shift_basis(crystal.lattice, crystal.fractions, candidate.kinds, np.ones(12))
    assert len(shifts) == 1
    plain, merged = CrystalModel(cell, axes, XRAY), CrystalModel(cell, axes, XRAY)
    moved = (crystal.lattice * np.array([1.02, 1.02, 0.98])[:, None], crystal.fractions + 0.05 * shifts[0])
    merged.merge([(crystal.lattice, crystal.fractions), moved, (crystal.lattice * 1.01, crystal.fractions - 0.07 * shifts[0])])
    other = (crystal.lattice * np.array([0.97, 0.97, 1.01])[:, None], crystal.fractions + 0.02 * shifts[0])
    u = np.array([0.005, 0.01])
    assert len(merged.table) < len(plain.table) / 3
    assert merged.on_grid(*other, u, (0.0, 1.0), 0.05) == pytest.approx(plain.on_grid(*other, u, (0.0, 1.0), 0.05), abs=1e-4)


@pytest.mark.parametrize(
    ("prototype", "lengths", "shifts"), [("rutile", 2, 1), ("spinel", 1, 1), ("fluorite", 1, 0), ("brookite", 3, 9), ("bronze_titania", 3, 12)]
)
def test_what_symmetry_leaves_free(prototype, lengths, shifts):
    candidate = next(c for c in candidate_crystals(["Ti", "O"]) if c.prototype == prototype)
    crystal = candidate.crystal
    occupancy = np.ones(len(crystal.fractions))
    basis = shift_basis(crystal.lattice, crystal.fractions, candidate.kinds, occupancy)
    assert len(cell_basis(candidate.space_group)) == lengths
    assert len(basis) == shifts


def test_a_shift_keeps_the_space_group():
    candidate = next(c for c in candidate_crystals(["Ti", "O"]) if c.prototype == "brookite")
    crystal = candidate.crystal
    for shift in shift_basis(crystal.lattice, crystal.fractions, candidate.kinds, np.ones(24)):
        moved = cell_symmetry(crystal.lattice, crystal.fractions + 0.1 * shift, candidate.kinds, precision=1e-3)
        assert moved is not None
        assert moved.number == 61


@pytest.mark.law
def test_a_shift_of_the_logarithmic_grid_is_the_curve_of_a_larger_cell():
    """Screening's curve of a crystal, shifted, against the same crystal made larger and screened anew: they correlate by more than 0.99."""
    candidate = next(c for c in candidate_crystals(["Ce", "O"]) if c.prototype == "fluorite")
    screen = Screen(sphere_curve(prototype_crystal("CeO2"), 22.0, XRAY), XRAY, rmin=1.6, rmax=20.0)
    lags = 24
    zoom = np.exp(lags * LOG_STEP)
    grown = replace(candidate, crystal=replace(candidate.crystal, lattice=candidate.crystal.lattice * zoom))
    (small,), (large,) = screen.curves(candidate)[0], screen.curves(grown)[0]
    inside = slice(80, len(small) - 80)
    shifted = np.roll(small, lags)[inside] / zoom**2
    direct = large[inside]
    assert float(shifted @ direct) / float(np.linalg.norm(shifted) * np.linalg.norm(direct)) > 0.99


@pytest.mark.law
def test_the_scan_agrees_with_evaluation_one_by_one():
    """Rw of the scan at its best against a direct least-squares scale of the same model curve at that zoom and diameter."""
    candidate = next(c for c in candidate_crystals(["Ce", "O"]) if c.prototype == "fluorite")
    data = sphere_curve(prototype_crystal("CeO2"), 22.0, XRAY)
    found = Screen(data, XRAY, rmin=1.6, rmax=20.0).screen(candidate)
    lattice = candidate.crystal.lattice * np.array(found.stretch)[:, None]
    r, g = data.between(1.6, 20.0).r, data.between(1.6, 20.0).g
    model = crystal_sphere_curve(lattice, candidate.crystal.fractions, candidate.crystal.species, r, XRAY, uiso=0.008, diameter=found.diameter)
    direct = rw(g, model * float(model @ g) / float(model @ model))
    assert found.rw == pytest.approx(direct, abs=0.02)
    assert np.linalg.norm(lattice, axis=1) == pytest.approx([5.411] * 3, rel=0.004)


def test_ratios_of_axes_keep_the_volume():
    for number, count in ((225, 1), (136, 7), (61, 9)):
        trials = stretches(number)
        assert len(trials) == count
        assert [np.prod(trial) for trial in trials] == pytest.approx([1.0] * count)
        assert free_axes(number) == {1: 1, 7: 2, 9: 3}[count]


ROCK_SALT_MNO = Prototype("Fm-3m", (4.444, 4.444, 4.444, 90.0, 90.0, 90.0), (_site("Mn", 0, 0, 0), _site("O", 0.5, 0.5, 0.5)))
PLATINUM = Prototype("Fm-3m", (3.924, 3.924, 3.924, 90.0, 90.0, 90.0), (_site("Pt", 0, 0, 0),))


def crystal_called(name):
    other = {"MnO": ROCK_SALT_MNO, "Pt": PLATINUM}
    return crystal_of_prototype(other[name], name) if name in other else prototype_crystal(name)


@pytest.mark.parametrize(
    ("name", "elements", "radiation", "diameter", "found", "cell"),
    [
        ("CeO2", ("Ce", "O"), "xray", 20.0, ("fluorite", "CeO2"), (5.411, 5.411, 5.411)),
        ("TiO2 rutile", ("Ti", "O"), "xray", 22.0, ("rutile", "TiO2"), (4.594, 4.594, 2.959)),
        ("Fe3O4", ("Fe", "O"), "xray", 24.0, ("spinel", "Fe"), (8.394, 8.394, 8.394)),
        ("ZnO", ("Zn", "O"), "xray", 22.0, ("wurtzite", "ZnO"), (3.250, 3.250, 5.207)),
        ("MnO", ("Mn", "O"), "neutron", 24.0, ("rock_salt", "MnO"), (4.444, 4.444, 4.444)),
        ("Pt", ("Pt",), "xray", 22.0, ("fcc", "Pt"), (3.924, 3.924, 3.924)),
    ],
)
def test_a_simulated_particle_is_found_first_from_its_elements(name, elements, radiation, diameter, found, cell):  # noqa: PLR0917
    """Explicit atoms and 3 % of noise; cell within 0.3 %, diameter within 8 %, the next topology clearly behind."""
    instrument = XRAY.model_copy(update={"radiation": radiation})
    curve = sphere_curve(crystal_called(name), diameter, instrument, noise=0.03)
    fits = mine_crystals(curve, instrument, candidate_crystals(elements), rmin=1.6, rmax=22.0, keep=4, budget=Budget(finished=1))
    first = fits[0]
    assert first.candidate.group == found[0]
    assert first.candidate.formula.startswith(found[1])  # Fe3O4 and Fe2O3 are one spinel at this noise
    assert first.cell == pytest.approx(cell, rel=0.003)
    assert first.diameter == pytest.approx(diameter, rel=0.08)
    assert margin(fits)[0] > 0.02
    assert first.uiso == pytest.approx(dict.fromkeys(first.uiso, 0.007), abs=0.004)
    assert rw(curve.between(first.rmin, first.rmax).g, first.calculated) == pytest.approx(first.rw)


def test_a_bulk_crystal_is_said_to_have_no_end_in_sight():
    crystal = prototype_crystal("NiO")
    g = simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, R, XRAY, uiso=0.006)
    candidates = [c for c in candidate_crystals(["Ni", "O"]) if c.prototype in {"rock_salt", "zincblende"}]
    first = mine_crystals(PdfCurve(R, g, source="NiO"), XRAY, candidates, rmin=1.6, rmax=24.0)[0]
    assert first.bulk
    assert first.diameter is None
    assert first.at_least > 50.0


def test_a_guessed_qdamp_that_damps_too_much_is_lowered_for_a_crystal_without_end():
    """Measured with 0.01 Å⁻¹, assumed 0.04: a known value is kept and fits badly, a guess is not."""
    crystal = prototype_crystal("NiO")
    g = simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, R, XRAY.model_copy(update={"qdamp": 0.01}), uiso=0.006)
    candidates = [c for c in candidate_crystals(["Ni", "O"]) if c.prototype == "rock_salt"]
    guess, curve = XRAY.model_copy(update={"qdamp": 0.04}), PdfCurve(R, g, source="NiO")
    free = mine_crystals(curve, guess, candidates, rmin=1.6, rmax=24.0)[0]
    held = mine_crystals(curve, guess, candidates, rmin=1.6, rmax=24.0, qdamp_known=True)[0]
    assert free.qdamp == pytest.approx(0.01, abs=0.005)
    assert held.qdamp == 0.04
    assert free.rw < held.rw / 3


def test_shifts_are_found_and_kept_only_where_they_pay():
    """Rutile whose oxygen sits 0.1 Å off the printed place; fluorite has nothing to shift."""
    moved = Prototype("P4_2/mnm", (4.594, 4.594, 2.959, 90, 90, 90), (_site("Ti", 0, 0, 0), _site("O", 0.290, 0.290, 0)))
    curve = sphere_curve(crystal_of_prototype(moved, "moved"), 24.0, XRAY)
    candidates = [c for c in candidate_crystals(["Ti", "O"]) if c.prototype in {"rutile", "fluorite"}]
    first = mine_crystals(curve, XRAY, candidates, rmin=1.6, rmax=22.0)[0]
    assert first.shifted
    oxygen = np.array([site[0][0] == "O" for site in first.crystal.species])
    places = np.abs(first.crystal.fractions[oxygen] - np.round(first.crystal.fractions[oxygen]))[:, 0]
    assert np.min(np.abs(places - 0.290)) < 0.004


def test_the_same_crystal_described_twice_is_kept_once_and_the_simpler_way():
    curve = sphere_curve(prototype_crystal("CeO2"), 20.0, XRAY)
    candidates = candidate_crystals(["Ce", "O"])
    fluorite = next(c for c in candidates if c.prototype == "fluorite")
    doubled = replace(fluorite, orbits=np.arange(12), space_group=123, prototype="copy")
    screen = Screen(curve, XRAY, rmin=1.6, rmax=20.0)
    kept = distinct(sorted([screen.screen(doubled), screen.screen(fluorite)], key=lambda found: found.rw), 8)
    assert [found.candidate.prototype for found in kept] == ["fluorite"]


def test_a_type_that_refines_into_another_is_not_its_rival():
    """Iron as body-centred and as a tetragonal type that holds it as a special case: one answer, and no margin of zero."""
    crystal = crystal_of_prototype(Prototype("Im-3m", (2.866, 2.866, 2.866, 90.0, 90.0, 90.0), (_site("Fe", 0, 0, 0),)), "Fe")
    candidates = [c for c in candidate_crystals(["Fe"]) if c.prototype in {"bcc", "beta_np", "hcp"}]
    fits = mine_crystals(sphere_curve(crystal, 24.0, XRAY), XRAY, candidates, rmin=1.6, rmax=22.0)
    assert [fit.candidate.prototype for fit in fits] == ["bcc", "hcp"]
    assert margin(fits)[0] > 0.3


def test_a_curve_of_zeros_is_an_error():
    with pytest.raises(PdfFileError, match="0 everywhere"):
        mine_crystals(PdfCurve(R, np.zeros_like(R), source="flat.gr"), XRAY, candidate_crystals(["Au"])[:2], rmin=1.6, rmax=20.0)
