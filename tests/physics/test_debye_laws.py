import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.physics.debye import Atoms, simulate_fq
from deepstruc_hpc.physics.form_factors import scattering_factors
from tests.physics.clusters import alloy, ball, gold

pytestmark = pytest.mark.law
Q = np.linspace(0.0, 25.0, 200)


def test_two_atoms_give_a_damped_sine():
    """F = exp(−2U s Q²/2) sin(Qd)/d for N = 2: a pair counts twice, N⟨f⟩² once. Fails if only i<j is summed."""
    d, u, delta2 = 2.7, 0.006, 1.5
    expected = np.exp(-u * (1 - delta2 / d**2) * Q**2) * np.sin(Q * d) / d
    found = simulate_fq(["Au", "Au"], [[0, 0, 0], [0, 0, d]], Q, uiso=u, delta2=delta2)
    assert np.abs(found - expected).max() < 1e-9


def test_nothing_scatters_at_zero_angle():
    assert simulate_fq(gold(55).symbols, gold(55).positions, [0.0, 1.0])[0] == 0.0


def test_one_atom_has_no_structure():
    assert not simulate_fq(["Au"], [[1.0, 2.0, 3.0]], Q).any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 30), st.sampled_from(["xray", "neutron"]))
def test_position_orientation_and_order_do_not_matter(seed, n, radiation):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-6, 6, size=(n, 3))
    symbols = rng.choice(["Au", "Cu", "O"], size=n)
    uiso = rng.uniform(0.003, 0.02, size=n)
    order = rng.permutation(n)
    moved = (positions @ Rotation.random(random_state=seed).as_matrix() + rng.normal(size=3) * 10)[order]
    one = simulate_fq(list(symbols), positions, Q, radiation=radiation, uiso=uiso, delta2=0.3)
    other = simulate_fq(list(symbols[order]), moved, Q, radiation=radiation, uiso=uiso[order], delta2=0.3)
    assert np.abs(one - other).max() < 1e-7 * max(np.abs(one).max(), 1.0)


def test_expanding_a_cluster_compresses_its_spectrum():
    """F(Q; zoom) = F(zoom·Q)/zoom without damping."""
    structure = gold(43)
    one = simulate_fq(structure.symbols, structure.positions, Q * 1.1, uiso=0.0)
    other = simulate_fq(structure.symbols, structure.positions * 1.1, Q, uiso=0.0)
    assert np.abs(other - one / 1.1).max() < 1e-7


def test_two_distant_clusters_add_up():
    """At a distance D the cross terms are below 1/D of a pair; N⟨f⟩² normalises by the sum. Fails for a normalisation by N²."""
    one = ball(20)
    both = np.concatenate([one, one + np.array([4000.0, 0, 0])])
    q = np.linspace(1.0, 20.0, 37)
    single, pair = (simulate_fq(["Au"] * len(x), x, q, uiso=0.01) for x in (one, both))
    assert np.abs(single - pair).max() < 0.01


def test_equal_scatterers_look_alike_to_x_rays_and_neutrons():
    structure = gold(55)
    xray, neutron = (simulate_fq(structure.symbols, structure.positions, Q, radiation=kind) for kind in ("xray", "neutron"))
    assert np.abs(xray - neutron).max() < 1e-12 * np.abs(xray).max()
    mixed = alloy(55, ("O", "Ti"))
    xray, neutron = (simulate_fq(mixed.symbols, mixed.positions, Q, radiation=kind) for kind in ("xray", "neutron"))
    assert np.abs(xray - neutron).max() > 0.05 * np.abs(xray).max()


def test_many_different_u_agree_with_the_plain_sum(monkeypatch):
    monkeypatch.setattr("deepstruc_hpc.physics.debye._PLAIN_WORK", 0)
    rng = np.random.default_rng(5)
    atoms = Atoms.of(["Au"] * 60, ball(60), rng.uniform(0.002, 0.03, 60), rng.uniform(0.5, 1.0, 60))
    factors = scattering_factors(("Au",), Q, "xray")
    widths = {"delta1": 0.2, "delta2": 1.0, "qbroad": 0.02}
    exact = atoms.fq_exact(Q, factors, **widths)
    assert np.abs(atoms.fq(Q, factors, **widths) - exact).max() < 1e-9 * np.abs(exact).max()


def test_width_that_would_be_negative_is_zero():
    """delta2 > d²: the pair stays and is not damped at all."""
    found = simulate_fq(["Au", "Au"], [[0, 0, 0], [0, 0, 1.5]], Q, uiso=0.01, delta2=4.0)
    assert np.abs(found - np.sin(1.5 * Q) / 1.5).max() < 1e-8


def test_half_occupied_sites_weigh_half():
    """Occupancy multiplies f, and N counts occupancies: F of a fully half-occupied cluster is half of F."""
    structure = gold(20)
    full = simulate_fq(structure.symbols, structure.positions, Q)
    half = simulate_fq(structure.symbols, structure.positions, Q, occupancy=0.5)
    assert np.abs(half - 0.5 * full).max() < 1e-9 * np.abs(full).max()


@pytest.mark.parametrize(
    ("symbols", "positions", "changes", "message"),
    [
        (["Au"], [[0, 0]], {}, "shape"),
        ([], np.zeros((0, 3)), {}, "at least one"),
        ("AuAu", [[0, 0, 0], [0, 0, 2]], {}, "symbols"),
        (["Au", "Au"], [[0, 0, 0], [0, 0, np.nan]], {}, "finite"),
        (["Au", "Au"], [[0, 0, 0], [0, 0, 3]], {"uiso": -1.0}, "negative"),
        (["Au", "Zz"], [[0, 0, 0], [0, 0, 3]], {}, "Zz"),
    ],
)
def test_broken_input_is_refused_with_its_reason(symbols, positions, changes, message):
    with pytest.raises(StructureError, match=message):
        simulate_fq(symbols, positions, Q, **changes)


def test_null_scatterer_is_refused():
    """Ti and Zr of opposite lengths can cancel: ⟨b⟩ = 0 leaves F undefined."""
    b_ti, b_ni = -3.37, 10.3
    with pytest.raises(StructureError, match="vanishes"):
        simulate_fq(["Ti", "Ni"], [[0, 0, 0], [0, 0, 3]], [1.0], radiation="neutron", occupancy=[1.0, -b_ti / b_ni])
