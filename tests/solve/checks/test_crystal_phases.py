"""Several crystals in one curve: mixtures of explicit particles come back with their shares, and what is one phase stays one."""

from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc import simulate_fq
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_fit import mine_crystals
from deepstruc_hpc.physics.crystal_phases import JointRefinement, Start, mean_square
from deepstruc_hpc.physics.crystal_refine import CurveProblem
from deepstruc_hpc.physics.form_factors import atomic_mass, scattering_factors
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.phase_search import PhaseLimits, find_phases
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.candidates.crystals import CrystalSource
from deepstruc_hpc.solve.candidates.phase_set import carries
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.pipeline import Sources, solve_curve
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.prototypes import candidate_crystals

XRAY = Instrument(qmin=0.7, qmax=22.0, qdamp=0.03)
R = np.arange(0.5, 30.0, 0.02)


def found_crystal(elements, prototype):
    return next(one for one in candidate_crystals(elements) if one.prototype == prototype).crystal


def nickel():
    crystal = found_crystal(["Ni"], "fcc")
    volume = abs(np.linalg.det(crystal.lattice)) / sum(crystal.composition.values())
    return replace(crystal, lattice=crystal.lattice * np.cbrt(3.524**3 / 4 / volume))


def curve_of(*parts, noise=0.03):
    """G(r) of spheres of atoms (crystal, diameter, share of the weight): Σ x_p ⟨f⟩_p² F_p/⟨f⟩², by the Debye sum, with noise."""
    q = np.linspace(XRAY.qmin, XRAY.qmax, 900)
    rng = np.random.default_rng(1)
    spectra, means, atoms = [], [], []
    for crystal, diameter, share in parts:
        cut = cut_crystal(crystal, radius=diameter / 2, centre="cell", surface="as_cut")
        elements = sorted(set(cut.symbols))
        amounts = np.array([cut.symbols.count(symbol) for symbol in elements]) / len(cut.symbols)
        means.append(amounts @ scattering_factors(tuple(elements), q, "xray"))
        atoms.append(share / float(amounts @ [atomic_mass(symbol) for symbol in elements]))
        spectra.append(simulate_fq(cut.symbols, cut.positions, q, uiso=0.007, delta2=1.5))
    x = np.array(atoms) / sum(atoms)
    f = x @ np.array(means)
    fq = sum(share * (mean / f) ** 2 * one for share, mean, one in zip(x, means, spectra, strict=True))
    sines = np.sin(np.outer(q, R))
    g = 2 / np.pi * (q[1] - q[0]) * fq @ sines * np.exp(-0.5 * (XRAY.qdamp * R) ** 2)
    error = rng.normal(size=len(q)) @ sines
    header = {"qmin": XRAY.qmin, "qmax": XRAY.qmax, "qdamp": XRAY.qdamp}
    return PdfCurve(R, g + noise * g[R > 1.5].std() * error / error.std(), header=header, source="simulated")


def answer_of(curve, elements):
    settings = SolveSettings(elements=elements, sources=("crystals",), local_shapes=0)
    return solve_curve(curve, settings, Sources([CrystalSource()]))


def shares_of(answer):
    return {text.rsplit(" ", 1)[0]: float(text.rsplit(" ", 1)[1]) for text in answer.row["phases"].split("; ")}


def test_an_oxide_on_alumina_is_two_phases_named_after_the_oxide():
    """The alumina has most of the weight. Fails when it names the answer, when shares are those of Q = 0, or when it is no support."""
    curve = curve_of((prototype_crystal("NiO"), 24.0, 0.3), (found_crystal(["Al", "O"], "gamma_alumina"), 30.0, 0.7))
    answer = answer_of(curve, ("Ni", "Al", "O"))
    shares = shares_of(answer)
    assert set(shares) == {"NiO", "Al2O3"}
    assert shares["NiO"] == pytest.approx(0.3, abs=0.1)
    assert (answer.row["structure_type"], answer.row["formula"], answer.row["phase"]) == ("rock_salt", "NiO", "NiO rock salt")
    assert "support" in answer.row["flags"].split(";")
    assert answer.row["diameter"] == pytest.approx(24.0, abs=2.5)
    assert "two phases: " in answer.message
    assert "the support" in answer.message
    table = answer.tables["phases"]
    assert list(table["structure_type"]) == ["spinel", "rock_salt"]
    assert list(table["role"]) == ["support", "main"]
    assert table["weight_fraction"].sum() == pytest.approx(1.0)
    seen, used = answer.measurement.data, answer.measurement.instrument
    kept = seen.g - low_q_part(seen.r, seen.g, qmin=used.qmin, qdamp=used.qdamp, low_q=answer.measurement.low_q)
    left = np.sqrt(np.sum(answer.fit["difference"] ** 2) / np.sum(kept**2))
    assert left < 0.1  # the curve of both, not of the main phase alone
    assert float(answer.ranking.candidates.rw[0]) == pytest.approx(left, abs=1e-6)


@pytest.mark.parametrize(
    ("parts", "elements", "expected"),
    [
        ([("Ni", 40.0, 0.5), ("NiO", 24.0, 0.5)], ("Ni", "O"), {"Ni": 0.5, "NiO": 0.5}),
        ([("TiO2 anatase", 30.0, 0.6), ("TiO2 rutile", 34.0, 0.4)], ("Ti", "O"), {"TiO2 anatase": 0.6, "TiO2 rutile": 0.4}),
    ],
)
def test_a_metal_with_its_oxide_and_two_forms_of_one_oxide(parts, elements, expected):
    crystals = [(nickel() if name == "Ni" else prototype_crystal(name), diameter, share) for name, diameter, share in parts]
    answer = answer_of(curve_of(*crystals), elements)
    assert shares_of(answer) == pytest.approx(expected, abs=0.1)
    assert answer.row["flags"] == ""


def test_three_phases_of_which_none_borrows_the_elements_of_another():
    """Ni and a mean scatterer of Ni and Al have one curve; fails when aluminium in nickel is told beside alumina."""
    alumina = found_crystal(["Al", "O"], "gamma_alumina")
    curve = curve_of((prototype_crystal("NiO"), 24.0, 0.3), (nickel(), 40.0, 0.15), (alumina, 30.0, 0.55))
    shares = shares_of(answer_of(curve, ("Ni", "Al", "O")))
    assert shares == pytest.approx({"NiO": 0.3, "Ni": 0.15, "Al2O3": 0.55}, abs=0.1)


def _phases(curve, elements, without=()):
    pool = [one for one in candidate_crystals(elements) if one.group not in without]
    singles = mine_crystals(curve, XRAY, pool, rmin=1.5, rmax=30.0)
    return singles, find_phases(curve, XRAY, singles, pool, rmin=1.5, rmax=30.0)


def test_one_phase_with_noise_stays_one():
    """Asked although nothing gives a reason to: the noise is no phase."""
    curve = curve_of((prototype_crystal("TiO2 rutile"), 30.0, 1.0), noise=0.05)
    assert _phases(curve, ["Ti", "O"])[1] == []
    assert answer_of(curve, ("Ti", "O")).row["phases"] == ""


@pytest.mark.parametrize(
    ("name", "elements", "group"),
    [("TiO2 brookite", ["Ti", "O"], "brookite"), ("ZrO2 monoclinic", ["Zr", "O"], "baddeleyite")],
)
def test_where_the_right_type_is_not_known_no_second_one_is_invented(name, elements, group):
    singles, found = _phases(curve_of((prototype_crystal(name), 30.0, 1.0)), elements, without={group})
    assert min(fit.rw for fit in singles) > 0.4
    assert found == []


@pytest.fixture(scope="module")
def mixed():
    """Nickel with its oxide: the curve, the crystals found alone, and the crystals that were tried."""
    curve = curve_of((nickel(), 40.0, 0.4), (prototype_crystal("NiO"), 24.0, 0.6))
    pool = candidate_crystals(["Ni", "O"])
    return curve, mine_crystals(curve, XRAY, pool, rmin=1.5, rmax=30.0), pool


@pytest.mark.law
def test_shares_hardly_depend_on_the_composition_that_the_data_were_normalised_by(mixed):
    """A wrong one changes every phase by one factor of Q. Fails when each phase is put on a scale of its own, or at Q = 0 alone."""
    curve, singles, pool = mixed
    found = find_phases(curve, XRAY, singles, pool, rmin=1.5, rmax=30.0)[0]
    problem = CurveProblem(curve, XRAY, rmin=1.5, rmax=30.0, qdamp_known=True)
    for reference in ({"Ni": 1.0}, {"Ni": 1.0, "O": 1.0}, None):
        joint = JointRefinement(problem, [Start.of_fit(part) for part in found.parts], reference)
        joint.refine(12)
        fit = joint.result()
        nickel_share = {part.candidate.formula: weight for part, weight in zip(fit.parts, fit.weights, strict=True)}["Ni"]
        assert nickel_share == pytest.approx(0.4, abs=0.04)
    assert mean_square({"Ni": 1.0}, np.zeros(1), XRAY)[0] == pytest.approx(28.0**2, rel=1e-3)


def test_a_phase_below_the_least_share_is_none(mixed):
    curve, singles, pool = mixed
    assert find_phases(curve, XRAY, singles, pool, rmin=1.5, rmax=30.0, limits=PhaseLimits(least_share=0.65)) == []


def test_a_rare_charge_has_to_pay(mixed):
    """Fails when the price of a composition is not asked: a second phase that costs a thousand nats is none."""
    curve, singles, pool = mixed
    limits = PhaseLimits(enough=1.0, rarity=lambda _: 1e3)
    assert find_phases(curve, XRAY, singles, pool, rmin=1.5, rmax=30.0, limits=limits) == []


def test_a_light_phase_under_a_heavy_one_is_asked_for_although_one_phase_fits():
    """Fails where a single fit below Rw 0.4 ends the question."""
    heavy, light = prototype_crystal("TiO2 rutile"), prototype_crystal("TiO2 anatase")
    singles, found = _phases(curve_of((heavy, 32.0, 0.8), (light, 28.0, 0.2)), ["Ti", "O"])
    assert min(fit.rw for fit in singles) < 0.4
    assert {part.candidate.group for part in found[0].parts} == {"rutile", "anatase"}


def test_what_counts_as_a_support():
    """Silica beside a metal or an oxide; titania beside a metal alone; nothing that shares its cation with the other phase."""
    plain = describe(PdfCurve(R, np.sin(R), header={"qmin": 0.7, "qmax": 22.0}), SolveSettings(elements=("Ni", "O"))).sample
    assert carries({"Si", "O"}, [{"Ni", "O"}], plain)
    assert carries({"Ti", "O"}, [{"Pt"}], plain)
    assert not carries({"Ti", "O"}, [{"Fe", "O"}], plain)
    assert not carries({"Al", "O"}, [{"Al"}], plain)
    assert not carries({"Ni", "O"}, [{"Ni"}], plain)
