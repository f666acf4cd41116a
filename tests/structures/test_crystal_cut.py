"""Cuts of crystals: prototypes, CIF files, surfaces."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.crystal_cut import cut_crystal, parse_miller
from deepstruc_hpc.structures.crystals import PROTOTYPES, cif_crystal, prototype_crystal
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.sites import shortest_distance

# Shortest cation–anion distance (Å), coordination of the first cation, atoms in the cell.
KNOWN = {
    "TiO2 rutile": (1.948, 6, 6),
    "TiO2 anatase": (1.934, 6, 12),
    "TiO2 brookite": (1.863, 6, 24),
    "CeO2": (2.343, 8, 12),
    "UO2": (2.369, 8, 12),
    "ZrO2 cubic": (2.204, 8, 12),
    "ZrO2 tetragonal": (2.087, 8, 6),
    "ZrO2 monoclinic": (2.052, 7, 12),
    "ZnO": (1.974, 4, 4),
    "Fe3O4": (1.889, 4, 56),
    "gamma-Fe2O3": (1.873, 4, 53.333),
    "Co3O4": (1.949, 4, 56),
    "CoFe2O4": (1.897, 4, 56),
    "NiO": (2.088, 6, 8),
    "MgO": (2.106, 6, 8),
    "CdSe zincblende": (2.631, 4, 8),
    "CdSe wurtzite": (2.628, 4, 4),
}


def test_all_prototypes_have_their_known_neighbours():
    assert set(KNOWN) == set(PROTOTYPES)
    for name, (_bond, coordination, atoms) in KNOWN.items():
        crystal = prototype_crystal(name)
        assert sum(crystal.composition.values()) == pytest.approx(atoms, abs=1e-3), name
        cluster = cut_crystal(crystal, radius=3.2, centre=crystal.main_element[0], surface="as_cut")
        apart = np.linalg.norm(cluster.positions[:, None] - cluster.positions[None], axis=-1)
        unlike = np.array([[a != b for b in cluster.symbols] for a in cluster.symbols])
        neighbours = ((apart < 1.25 * crystal.bond_length) & unlike).sum(axis=1)
        assert neighbours.max() >= coordination, name
        assert crystal.bond_length == pytest.approx(min(_bond, crystal.bond_length), abs=2e-3), name


@pytest.mark.parametrize(
    ("name", "formula"), [("TiO2 anatase", {"Ti": 1, "O": 2}), ("gamma-Fe2O3", {"Fe": 2, "O": 3}), ("CoFe2O4", {"Co": 1, "Fe": 2, "O": 4})]
)
def test_formula_units_keeps_the_ratio_of_the_crystal(name, formula):
    for radius in (5.0, 6.5, 8.0):
        counts = Counter(cut_crystal(prototype_crystal(name), radius=radius, surface="formula_units").symbols)
        assert len({counts[symbol] / count for symbol, count in formula.items()}) == 1


def test_coordinated_cations_have_all_their_anions():
    crystal = prototype_crystal("CeO2")
    cluster = cut_crystal(crystal, radius=6.0, centre="Ce", surface="coordinated")
    symbols = np.array(cluster.symbols)
    apart = np.linalg.norm(cluster.positions[symbols == "Ce"][:, None] - cluster.positions[symbols == "O"][None], axis=-1)
    assert set((apart < 2.5).sum(axis=1)) == {8}
    assert (apart < 2.5).any(axis=0).all()


def test_a_bonded_surface_has_no_lone_atoms():
    for name in ("TiO2 brookite", "ZnO", "Fe3O4"):
        crystal = prototype_crystal(name)
        cluster = cut_crystal(crystal, radius=6.0, centre="cell", surface="bonded")
        symbols = np.array(cluster.symbols)
        apart = np.linalg.norm(cluster.positions[:, None] - cluster.positions[None], axis=-1)
        assert ((apart < 1.3 * crystal.bond_length) & (symbols[:, None] != symbols[None])).any(axis=1).all()


def test_a_sphere_holds_as_many_atoms_as_its_volume_says():
    crystal = prototype_crystal("MgO")
    cluster = cut_crystal(crystal, radius=20.0, surface="as_cut")
    assert len(cluster) == pytest.approx(4 / 3 * np.pi * 20**3 * 8 / 4.2117**3, rel=0.04)
    assert shortest_distance(cluster.positions) == pytest.approx(4.2117 / 2, abs=1e-6)


def test_facets_bound_the_body_on_all_equivalent_sides():
    crystal = prototype_crystal("NiO")
    cube = cut_crystal(crystal, radius=2.2 * 4.1769, facets={"100": 1.0}, surface="as_cut")
    extent = cube.positions.max(axis=0) - cube.positions.min(axis=0)
    np.testing.assert_allclose(extent, 4 * 4.1769, atol=1e-6)
    anatase = cut_crystal(prototype_crystal("TiO2 anatase"), radius=9.0, facets={"101": 1.0, "001": 0.6}, surface="as_cut")
    span = np.ptp(anatase.positions, axis=0)
    assert span[2] < 2 * 0.6 * 9.0 + 1e-6 < span[0]
    assert span[0] == pytest.approx(span[1], abs=1.0)


def test_an_ellipsoid_is_longer_along_its_axis():
    cluster = cut_crystal(prototype_crystal("CeO2"), radius=8.0, aspect=2.0, axis=(0, 0, 1), surface="as_cut")
    span = np.ptp(cluster.positions, axis=0)
    assert span[2] > 1.6 * span[0]


def test_partial_occupancy_is_drawn_by_seed_and_on_the_average_right():
    crystal = prototype_crystal("gamma-Fe2O3")
    first, again, other = (cut_crystal(crystal, radius=10.0, surface="as_cut", seed=seed) for seed in (1, 1, 2))
    assert first.symbols == again.symbols
    np.testing.assert_array_equal(first.positions, again.positions)
    assert len(first) != len(other) or first.symbols != other.symbols
    shares = [Counter(cut_crystal(crystal, radius=12.0, surface="as_cut", seed=seed).symbols) for seed in range(6)]
    assert np.mean([count["Fe"] / count["O"] for count in shares]) == pytest.approx(2 / 3, abs=0.04)


def test_a_cif_of_the_users_is_cut_like_a_prototype(tmp_path):
    path = tmp_path / "mine.cif"
    path.write_text(
        "data_MgO\n_cell_length_a 4.2117\n_cell_length_b 4.2117\n_cell_length_c 4.2117\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
        "Mg1 Mg 0 0 0 1\nO1 O 0.5 0.5 0.5 1\n"
    )
    ours = cut_crystal(cif_crystal(str(path)), radius=7.0, centre="Mg")
    builtin = cut_crystal(prototype_crystal("MgO"), radius=7.0, centre="Mg")
    assert ours.formula == builtin.formula
    np.testing.assert_allclose(ours.positions, builtin.positions, atol=1e-6)
    shapes = list(FAMILIES["crystal_cut"].enumerate(5, 60, crystals=[str(tmp_path)], aspects=[1.0]))
    assert shapes
    assert {shape.structure_type for shape in shapes} == {"mine"}
    assert FAMILIES["crystal_cut"].build(shapes[-1], "", 0.0).n_atoms == shapes[-1].n_atoms
    path.write_text(path.read_text().replace("4.2117", "4.3"))
    cif_crystal.cache_clear()
    with pytest.raises(StructureError, match="has changed since"):
        FAMILIES["crystal_cut"].build(shapes[-1], "", 0.0)


def test_what_cannot_be_cut_is_refused_with_a_reason(tmp_path):
    crystal = prototype_crystal("MgO")
    with pytest.raises(StructureError, match="too many atoms"):
        cut_crystal(crystal, radius=1e4)
    with pytest.raises(StructureError, match="positive"):
        cut_crystal(crystal, radius=-1.0)
    with pytest.raises(StructureError, match="neither origin"):
        cut_crystal(crystal, radius=5.0, centre="Fe")
    with pytest.raises(StructureError, match="three Miller indices"):
        parse_miller("11")
    with pytest.raises(StructureError, match="neither built in nor a file"):
        list(FAMILIES["crystal_cut"].enumerate(5, 60, crystals=["MgO2"]))
    broken = tmp_path / "broken.cif"
    broken.write_text("this is no cif\n")
    with pytest.raises(StructureError, match="not a CIF"):
        cif_crystal(str(broken))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StructureError, match=r"no \.cif files"):
        list(FAMILIES["crystal_cut"].enumerate(5, 60, crystals=[str(tmp_path / "empty")]))


def test_miller_indices_are_read_with_and_without_spaces_and_signs():
    assert parse_miller("101") == (1, 0, 1)
    assert parse_miller("1-10") == (1, -1, 0)
    assert parse_miller("1 0 -12") == (1, 0, -12)
