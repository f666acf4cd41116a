"""Terms beside the particle: eliminated exactly, chosen only where they are there, and never at the cost of the structure."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.extra_terms import Term, columns_of, fit_terms, term_curves
from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.physics.fit_problem import FitProblem
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.physics.target import low_q_part, target_of
from deepstruc_hpc.physics.term_library import bond_length, surface_terms, term_library
from deepstruc_hpc.physics.term_search import MOST_SHARE, choose_terms, evidence, price
from tests.physics.clusters import INSTRUMENT, gold, measured, noise

pytestmark = pytest.mark.law
LOW_Q = 1.2
RANGE = {"rmin": 2.0, "rmax": 20.0}
TRUE = {"zoom": 1.004, "scale": 0.7, "uiso": 0.006, "delta2": 2.0}
PARAMETERS = ("scale", "zoom", "uiso", "delta2")
SHELL = Term("Au–S", 2.35, 0.1, ("Au", "S"), "Au")
HALO = Term("halo", 1.5, 0.3)
CONDITIONS = Instrument(radiation="xray", qbroad=0.0, **INSTRUMENT)


def fit(structure, curve, terms=()):
    return fit_candidates([structure], curve, **RANGE, **INSTRUMENT, low_q=LOW_Q, terms=terms)


def with_terms(curve, terms, amplitudes):
    return PdfCurve(curve.r, curve.g + term_curves(terms, curve.r, CONDITIONS) @ np.asarray(amplitudes))


@pytest.fixture(scope="module")
def particle():
    return gold(140)


@pytest.fixture(scope="module")
def clean(particle):
    return noise(measured(particle, rmax=21.0, **TRUE), 0.03)


def tangent(structure, curve):
    problem = FitProblem(curve.between(**RANGE), CONDITIONS, low_q=LOW_Q, zoom_bounds=np.array([[0.95, 1.05]]))
    return problem.tangent(structure, fit(structure, curve).row(0))


def choose(structure, curve, ligands=("Au", "S", "C", "H")):
    library = term_library("Au", ligands, nearest=2.88, rmin=2.0)
    return choose_terms(library, tangent(structure, curve), "xray", rivals=surface_terms("Au", 2.88))


def test_no_terms_change_no_number(particle, clean):
    plain, none = fit_candidates([particle], clean, **RANGE, **INSTRUMENT, low_q=LOW_Q), fit(particle, clean)
    assert plain.row(0) == none.row(0)
    target = target_of(clean.r, clean.g, **INSTRUMENT, largest_distance=20.0)
    assert target.without(np.zeros((0, len(target.q)))) is target


def test_a_curve_that_is_eliminated_cannot_be_seen(particle, clean):
    """Any amplitude of it in the data gives the same fit."""
    terms = (SHELL, HALO)
    few, many = (fit(particle, with_terms(clean, terms, amounts), terms) for amounts in ([0.2, 0.01], [-3.0, 0.5]))
    for name in PARAMETERS:
        assert getattr(many, name)[0] == pytest.approx(getattr(few, name)[0], rel=2e-4)


def test_fit_and_amplitudes_are_those_that_made_the_curve(particle):
    exact = with_terms(measured(particle, rmax=21.0, **TRUE), (SHELL, HALO), [0.4, 0.02])
    terms = (SHELL, HALO)
    table = fit(particle, exact, terms)
    data = exact.between(**RANGE)
    found = fit_terms(terms, data.r, data.g, fitted_curve(particle, table.row(0), data, **INSTRUMENT), CONDITIONS, low_q=LOW_Q)
    assert table.rw[0] < 1e-3
    assert found.amplitudes == pytest.approx([0.4, 0.02], rel=0.02)
    for name in PARAMETERS:
        assert getattr(table, name)[0] == pytest.approx(TRUE[name], rel=2e-3)


def test_rw_of_the_table_is_that_of_particle_and_terms_together(particle, clean):
    curve = with_terms(clean, (SHELL, HALO), [0.4, 0.02])
    table, data = fit(particle, curve, (SHELL, HALO)), curve.between(**RANGE)
    alone = fitted_curve(particle, table.row(0), data, **INSTRUMENT)
    found = fit_terms((SHELL, HALO), data.r, data.g, alone, CONDITIONS, low_q=LOW_Q)

    def trusted(g):
        return g - low_q_part(data.r, g, qmin=INSTRUMENT["qmin"], qdamp=INSTRUMENT["qdamp"], low_q=LOW_Q)

    assert table.rw[0] == pytest.approx(rw(trusted(data.g), trusted(alone + found.curve)), rel=1e-3)


def test_a_term_is_the_curve_of_its_pairs():
    """F(Q) of a distance is that of pairs of atoms counted once, over the number of metal atoms: a factor of two would show."""
    q, d = np.linspace(1.0, 20.0, 50), 2.4
    pair = columns_of([Term("Au–Au", d, 0.0, ("Au", "Au"), "Au")], q, "xray")[0]
    r = np.linspace(2.0, 20.0, 400)
    dimer = simulate_pdf(["Au", "Au"], [[0, 0, 0], [0, 0, d]], r, **INSTRUMENT, uiso=0.005)
    term = term_curves([Term("Au–Au", d, 0.1, ("Au", "Au"), "Au")], r, CONDITIONS)[:, 0]
    assert pair == pytest.approx(2 * np.sin(q * d) / d)
    assert 0.5 * term == pytest.approx(dimer, abs=1e-6)  # a dimer has half a pair an atom; σ² = 2 U


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_nothing_is(particle, seed):
    curve = noise(measured(particle, rmax=21.0, **TRUE), 0.04, seed=seed)
    assert choose(particle, curve).terms == ()


@pytest.mark.parametrize(
    ("terms", "amounts", "name"),
    [((Term("Au–S", 2.33, 0.1, ("Au", "S"), "Au"),), [0.9], "Au–S"), ((Term("halo", 1.45, 0.25),), [3.0], "halo")],
)
def test_a_term_that_is_there_is_found(particle, clean, terms, amounts, name):
    found = choose(particle, with_terms(clean, terms, amounts))
    assert [term.name for term in found.terms] == [name]
    assert found.gain > 5
    assert found.terms[0].place == pytest.approx(terms[0].place, abs=0.25 if name == "halo" else 0.05)


def test_carbon_is_found_by_a_flake(particle):
    """The net stands for flakes that are not it."""
    angle = np.pi / 3
    cells = np.array([i * np.array([1.0, 0.0]) + j * np.array([np.cos(angle), np.sin(angle)]) for i in range(-3, 4) for j in range(-3, 4)]) * 2.46
    sites = np.concatenate([cells, cells + np.array([0.0, 1.42])])
    sites = sites[np.linalg.norm(sites, axis=1) < 5.5]
    r = np.arange(0.0, 21.0, 0.02)
    flake = simulate_pdf(["C"] * len(sites), np.column_stack([sites, np.zeros(len(sites))]), r, **INSTRUMENT, uiso=0.02)
    plain = measured(particle, rmax=21.0, **TRUE)
    curve = noise(PdfCurve(r, plain.g[: len(r)] + 0.15 * flake * plain.g[r > 2].std() / flake[r > 2].std()), 0.03)
    found = choose(particle, curve, ligands=())
    assert "amorphous carbon" in [term.name for term in found.terms]


def test_a_negative_number_of_bonds_is_no_ligand(particle, clean):
    found = choose(particle, with_terms(clean, (SHELL,), [-0.9]))
    assert all(term.name != "Au–S" for term in found.terms)


def test_short_bonds_of_a_rough_surface_are_no_ligands(particle):
    """Fails without the rivals: an Au–S distance then explains the foot of the first peak."""
    rng = np.random.default_rng(1)
    radius = np.linalg.norm(particle.positions - particle.positions.mean(axis=0), axis=1)
    moved = particle.positions + rng.normal(0, 0.18, particle.positions.shape) * (radius > 0.75 * radius.max())[:, None]
    curve = noise(measured(Structure.of_element("Au", moved), rmax=21.0, **TRUE), 0.02)
    assert choose(particle, curve).terms == ()


def test_terms_leave_the_model_its_power(particle, clean):
    """Even where the curve asks for halos at the first peak of the metal: there is then a better term that is refused."""
    curve = with_terms(clean, (Term("halo", 2.5, 0.6), Term("halo", 1.8, 0.3)), [4.0, -2.0])
    around, found = tangent(particle, curve), choose(particle, curve)

    def share(terms):
        basis = np.linalg.qr((columns_of(terms, around.target.q, "xray") @ around.target.transform).T)[0]
        return np.sum((basis.T @ around.model) ** 2) / (around.model @ around.model)

    assert found.terms
    assert share(found.terms) <= MOST_SHARE + 1e-6
    assert share([Term("halo", 2.5, 0.6), Term("halo", 1.8, 0.3)]) > MOST_SHARE


def test_a_price_grows_with_what_is_chosen():
    assert price([HALO], 200.0) == pytest.approx(1.5 * np.log(200.0))
    assert price([HALO, SHELL], 200.0) == pytest.approx(2 * price([HALO], 200.0))
    assert evidence(2.0, 1.0, 200.0) == pytest.approx(100 * np.log(2.0))


def test_bonds_beyond_the_metals_own_are_not_offered():
    for term in term_library("Cu", ("Cu", "S", "O", "C"), nearest=2.556, rmin=2.0):
        if term.metal in term.pair:
            assert 2.1 <= term.place <= 0.85 * 2.556
            assert term.place <= bond_length(*term.pair) + 1e-9
