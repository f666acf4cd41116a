"""Ordered alloys: the neighbours of the ideal crystal in every grain and across every twin plane and fault."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from deepstruc_hpc.structures.decoration import decorate
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.ordering import variants_of

GOLDEN = (1 + np.sqrt(5)) / 2
CORNERS = np.array([np.roll([0.0, s, t * GOLDEN], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)]) / np.sqrt(1 + GOLDEN**2)


def largest(family, max_atoms=400, structure_type=None, **options):
    shapes = [s for s in FAMILIES[family].enumerate(60, max_atoms, **options) if structure_type in (None, s.structure_type)]
    chosen = max(shapes, key=lambda shape: shape.n_atoms)
    return FAMILIES[family].build(chosen, "Cu", 1.0)


BASES = {
    "fcc": lambda: largest("fcc"),
    "octahedron": lambda: largest("octahedral", truncated=True),
    "sphere": lambda: largest("round", parents=["fcc tetrahedral hole"], aspects=[]),
    "faulted stack": lambda: largest("stacking_fault", sequences=["ABCACB"], columns=["B"]),
    "fcc stack": lambda: largest("stacking_fault", sequences=["ABCABC"]),
    "twin": lambda: largest("twinned", parents=["fcc twin"], ratios=[0.8]),
    "fcc with an extrinsic fault": lambda: largest("twinned", parents=["fcc extrinsic fault"], ratios=[0.8]),
    "decahedron": lambda: largest("decahedral"),
    "facetted decahedron about a bond": lambda: largest("twinned", parents=["decahedral bond"], ratios=[0.8]),
    "icosahedron": lambda: largest("icosahedral"),
}


def neighbours(structure):
    """(N, 12) of the atoms that have twelve neighbours, with their numbers; and all pairs."""
    tree = cKDTree(structure.positions)
    near = [sorted(set(around) - {atom}) for atom, around in enumerate(tree.query_ball_point(structure.positions, 1.2 * structure_bond(structure)))]
    full = [atom for atom, around in enumerate(near) if len(around) == 12]
    return near, full


def structure_bond(structure):
    return float(cKDTree(structure.positions).query(structure.positions, k=2)[0][:, 1].min())


def on_five_fold_axis(structure):
    """Where five grains meet in a line, the surroundings are not those of the crystal."""
    unit = structure.positions
    if structure.label.find("decahedral") >= 0:
        return np.hypot(unit[:, 0], unit[:, 1]) < 1e-6
    if structure.label.find("icosahedral") >= 0:
        along = unit @ CORNERS.T
        return np.isclose(along.max(axis=1), np.linalg.norm(unit, axis=1))
    return np.zeros(len(unit), dtype=bool)


@pytest.mark.parametrize("name", BASES)
def test_no_two_atoms_of_the_minority_touch_in_l1_2_and_each_other_atom_has_four_of_them(name):
    base = BASES[name]()
    variants = variants_of("L1_2", base.structure_type)
    assert len(variants) == {"decahedral": 2, "icosahedral": 1}.get(base.structure_type, 4)
    axis = on_five_fold_axis(base)
    for variant in variants:
        minority = np.array(decorate(base, ["Cu", "Au"], "L1_2", variant=variant).symbols) == "Au"
        near, full = neighbours(base)
        assert minority.any()
        assert not any(minority[near[atom]].any() for atom in np.flatnonzero(minority))
        checked = [atom for atom in full if not minority[atom] and not axis[atom]]
        assert len(checked) > 15
        assert {int(minority[near[atom]].sum()) for atom in checked} == {4}


@pytest.mark.parametrize("name", [name for name in BASES if name != "icosahedron"])
def test_an_atom_of_l1_0_has_four_neighbours_of_its_own_kind_and_eight_of_the_other(name):
    base = BASES[name]()
    variants = variants_of("L1_0", base.structure_type)
    assert len(variants) == {"decahedral": 2}.get(base.structure_type, 6)
    axis = on_five_fold_axis(base)
    for variant in variants:
        second = np.array(decorate(base, ["Fe", "Pt"], "L1_0", variant=variant).symbols) == "Pt"
        near, full = neighbours(base)
        like = {int((second[near[atom]] == second[atom]).sum()) for atom in full if not axis[atom]}
        assert like == {4}
        assert 0.35 < second.mean() < 0.65


def test_the_other_variants_of_a_decahedron_would_break_at_a_twin_plane():
    """The reason why they are left out: an odd number of mirrors exchanges the two axes."""
    from deepstruc_hpc.structures.ordering import _decahedral

    base = BASES["decahedron"]()
    parities = _decahedral(base.positions / structure_bond(base))
    near, full = neighbours(base)
    axis = on_five_fold_axis(base)
    second = parities[:, 0] == 1
    assert {int((second[near[atom]] == second[atom]).sum()) for atom in full if not axis[atom]} != {4}


def test_a_stack_without_faults_is_ordered_like_the_crystal_that_it_is():
    """The sphere of fcc along x, y, z and the stack of ABC layers are told by two different rules."""
    from deepstruc_hpc.structures.ordering import _cubic, _stacked

    turned = np.linalg.qr(np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]).T)[0].T
    frame = np.array([turned[1], -turned[2] * np.sign(turned[2] @ [1, 1, -2]) * np.sign(turned[0] @ [1, 1, 1]), turned[0]])
    base = BASES["fcc"]()
    unit = base.positions / structure_bond(base)
    for sign in (1.0, -1.0):
        stacked = _stacked(unit @ (frame * np.array([[1.0], [sign], [1.0]])).T)
        assert stacked is not None
        cubic = _cubic(unit)
        same = {tuple(sorted(map(tuple, np.unique(np.c_[cubic[:, i], stacked[:, j]], axis=0)))) for i in range(3) for j in range(3)}
        assert any(len(pairs) == 2 for pairs in same)


def test_where_there_is_no_lattice_there_is_no_order():
    assert variants_of("L1_0", "icosahedral") == variants_of("L1_2", "hcp") == variants_of("B2", "fcc") == ()
    options = {"systems": [["Cu", "Au"]], "orderings": ["L1_0", "L1_2"], "base_options": {"random": {"count": 60}}}
    listed = list(FAMILIES["alloy"].enumerate(13, 60, bases=["anti_mackay", "hcp", "sc", "random"], **options))
    assert {shape.parameters["base"] for shape in listed} == {"random"}
    types = {shape.name.split(" L1_")[1].split()[1] for shape in listed}
    assert types <= {"Cu", "fcc", "close-packed"}


def test_an_alloy_recipe_gives_what_its_choices_multiply_to():
    """Random: shapes × compositions × systems × replicas. Ordered: for each shape the variants that its symmetry leaves different."""
    bases = ["fcc", "decahedral", "icosahedral", "hcp", "octahedral"]
    base_options = {"decahedral": {"max_p": 3, "max_q": 2, "max_r": 1}, "hcp": {"max_cells": 3}}
    listed = [shape for base in bases for shape in FAMILIES[base].enumerate(13, 90, **base_options.get(base, {}))]
    shapes = list({shape.fingerprint: shape for shape in reversed(listed)}.values())  # one octahedron is also a facetted fcc body
    common = {"systems": [["Cu", "Au"], ["Pt", "Ni"]], "bases": bases, "base_options": base_options, "compositions": [0.25, 0.5], "replicas": 3}
    random = list(FAMILIES["alloy"].enumerate(13, 90, orderings=["random"], **common))
    assert len(random) == len(shapes) * 2 * 2 * 3
    for ordering in ("L1_0", "L1_2"):
        expected = set()
        for shape in shapes:
            built = FAMILIES[shape.family].builder("Cu", 1.0, **shape.parameters)
            for variant in variants_of(ordering, shape.structure_type):
                expected.add(fingerprint(decorate(built, ["Cu", "Au"], ordering, variant=variant)))
        ordered = list(FAMILIES["alloy"].enumerate(13, 90, orderings=[ordering], **common))
        assert len(ordered) == 2 * len(expected) > 2 * sum(shape.structure_type not in {"hcp", "icosahedral"} for shape in shapes)
        assert {shape.structure_type for shape in ordered} == {f"{ordering} alloy"}
