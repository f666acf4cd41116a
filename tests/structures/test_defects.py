"""Disorder: what each transformation does, and that its seed decides."""

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.coordination import coordination_numbers, outward_directions
from deepstruc_hpc.structures.defects import with_displacements, with_strain, with_surface_relaxation, with_vacancies
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint


@pytest.fixture
def cluster():
    return FAMILIES["octahedral"].builder("Au", 2.8, length=7, cutoff=2)


def test_vacancies_take_the_share_asked_for_from_where_asked(cluster):
    neighbours = coordination_numbers(cluster.positions)
    for where, allowed in (("anywhere", 12), ("surface", 11), ("vertices", neighbours.min())):
        holed = with_vacancies(cluster, 0.1, np.random.default_rng(0), where)
        assert len(holed) == len(cluster) - round(0.1 * len(cluster))
        apart = np.linalg.norm((cluster.positions - cluster.positions[0])[:, None] - (holed.positions - holed.positions[0])[None], axis=-1)
        if where != "anywhere":
            gone = apart.min(axis=1) > 1e-6
            assert neighbours[gone].max() <= allowed


def test_surface_atoms_move_inwards_in_proportion_to_missing_neighbours(cluster):
    relaxed = with_surface_relaxation(cluster, 0.03)
    neighbours = coordination_numbers(cluster.positions)
    moved = np.linalg.norm(relaxed.positions - cluster.positions, axis=1)
    np.testing.assert_allclose(moved, 0.03 * 2.8 * (1 - neighbours / 12), atol=1e-9)
    surface = neighbours < 12
    shorter = np.linalg.norm(relaxed.positions, axis=1)[surface] - np.linalg.norm(cluster.positions, axis=1)[surface]
    assert (shorter < 0).all()


def test_outward_is_away_from_the_neighbours_and_nowhere_inside(cluster):
    away = outward_directions(cluster.positions)
    inner = coordination_numbers(cluster.positions) == 12
    assert np.abs(away[inner]).max() < 1e-9
    assert (np.einsum("ij,ij->i", away[~inner], cluster.positions[~inner]) > 0).all()


def test_displacements_have_the_mean_square_asked_for(cluster):
    rng = np.random.default_rng(1)
    shifts = np.concatenate([with_displacements(cluster, 0.01, rng).positions - cluster.positions for _ in range(50)])
    assert np.mean(shifts**2) == pytest.approx(0.01, rel=0.03)


def test_strain_stretches_along_and_thins_across(cluster):
    strained = with_strain(cluster, 0.02, (1, 0, 0), poisson=0.4)
    np.testing.assert_allclose(strained.positions, cluster.positions * [1.02, 0.992, 0.992], atol=1e-9)
    np.testing.assert_allclose(with_strain(cluster, 0.02, poisson=-1).positions, cluster.positions * 1.02, atol=1e-9)


def test_the_disordered_family_is_seeded_and_the_same_in_every_metal():
    family = FAMILIES["disordered"]
    shapes = list(family.enumerate(13, 60, base="fcc", vacancies=[0.0, 0.1], displacement=[0.0, 0.05], strain=[0.02], replicas=2))
    assert len({shape.name for shape in shapes}) == len(shapes)
    for shape in shapes[::3]:
        gold, again, copper = family.build(shape, "Au", 2.8), family.build(shape, "Au", 2.8), family.build(shape, "Cu", 2.4)
        np.testing.assert_array_equal(gold.positions, again.positions)
        assert fingerprint(gold, scale_free=True) == fingerprint(copper, scale_free=True)
        assert gold.n_atoms == shape.n_atoms
        assert gold.structure_type == "fcc"
    replicas = [
        shape
        for shape in shapes
        if shape.parameters.get("displacement") and shape.parameters["base_parameters"] == shapes[0].parameters["base_parameters"]
    ]
    assert len({fingerprint(family.build(shape, "Au", 1.0)) for shape in replicas}) == len(replicas) > 1


@pytest.mark.parametrize(
    "change",
    [
        lambda s: with_vacancies(s, 1.0, np.random.default_rng(0)),
        lambda s: with_surface_relaxation(s, 0.9),
        lambda s: with_displacements(s, -0.1, np.random.default_rng(0)),
        lambda s: with_strain(s, 0.7),
    ],
)
def test_impossible_amounts_are_refused(cluster, change):
    with pytest.raises(StructureError):
        change(cluster)
