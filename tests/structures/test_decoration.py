"""Alloys: composition, order, Vegard's law."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.coordination import coordination_numbers
from deepstruc_hpc.structures.decoration import decorate, vegard_distance
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.sites import shortest_distance


def fcc_ball():
    return FAMILIES["fcc"].builder("Cu", 1.0, lattice="fcc", h=4, k=5, l=6)


def unlike_and_like(structure, atom):
    apart = np.linalg.norm(structure.positions - structure.positions[atom], axis=1)
    near = np.flatnonzero((apart > 0) & (apart < 1.1 * shortest_distance(structure.positions)))
    return Counter(structure.symbols[i] for i in near)


@pytest.mark.parametrize("ordering", ["random", "core_shell", "janus", "segregated"])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_the_composition_is_the_one_asked_for(ordering, fraction):
    alloy = decorate(fcc_ball(), ["Cu", "Au"], ordering, fraction=fraction)
    assert Counter(alloy.symbols)["Au"] == round(fraction * len(alloy))


def test_ordered_alloys_have_the_neighbours_of_their_crystal():
    ball = fcc_ball()
    l10 = decorate(ball, ["Pt", "Fe"], "L1_0")
    assert unlike_and_like(l10, 0) in (Counter(Pt=4, Fe=8), Counter(Pt=8, Fe=4))
    for variant in range(4):
        l12 = decorate(ball, ["Cu", "Au"], "L1_2", variant=variant)
        expected = {"Au": Counter(Cu=12), "Cu": Counter(Cu=8, Au=4)}
        assert unlike_and_like(l12, 0) == expected[l12.symbols[0]]
    b2 = decorate(FAMILIES["bcc"].builder("Fe", 1.0, lattice="bcc", h=4, k=4, l=5), ["Fe", "Co"], "B2")
    assert set(unlike_and_like(b2, 0)) == {"Fe", "Co"} - {b2.symbols[0]}
    assert sum(unlike_and_like(b2, 0).values()) == 8


def test_ordered_alloys_hold_on_every_builder_of_their_lattice():
    for family, parameters in (("octahedral", {"length": 6}), ("octahedral", {"length": 7, "cutoff": 2})):
        l12 = decorate(FAMILIES[family].builder("Cu", 1.0, **parameters), ["Cu", "Au"], "L1_2")
        gold = np.array(l12.symbols) == "Au"
        apart = np.linalg.norm(l12.positions[gold][:, None] - l12.positions[gold][None], axis=-1)
        assert np.min(apart[apart > 0]) == pytest.approx(np.sqrt(2) * shortest_distance(l12.positions), abs=1e-9)


def test_vegards_law_sets_the_lattice_unless_it_is_given():
    assert vegard_distance({"Cu": 3, "Au": 1}) == pytest.approx(0.75 * nn_distance("Cu") + 0.25 * nn_distance("Au"))
    alloy = decorate(fcc_ball(), ["Cu", "Au"], "random", fraction=0.25)
    counts = Counter(alloy.symbols)
    assert shortest_distance(alloy.positions) == pytest.approx(vegard_distance(counts), abs=1e-9)
    assert shortest_distance(decorate(fcc_ball(), ["Cu", "Au"], "random", distance=2.8).positions) == pytest.approx(2.8, abs=1e-9)


def test_core_shell_puts_the_second_element_outside_and_janus_on_one_side():
    ball = fcc_ball()
    shell = decorate(ball, ["Au", "Pt"], "core_shell", fraction=0.6)
    radius = np.linalg.norm(ball.positions - ball.positions.mean(axis=0), axis=1)
    outside = np.array(shell.symbols) == "Pt"
    assert radius[outside].min() >= radius[~outside].max() - 1e-6
    janus = decorate(ball, ["Au", "Pt"], "janus", fraction=0.5)
    upper = np.array(janus.symbols) == "Pt"
    assert ball.positions[upper, 2].min() >= ball.positions[~upper, 2].max() - 1e-6


def test_segregation_takes_the_sites_with_fewest_neighbours():
    ball = fcc_ball()
    neighbours = coordination_numbers(ball.positions)
    alloy = decorate(ball, ["Pt", "Ag"], "segregated", fraction=0.2)
    silver = np.array(alloy.symbols) == "Ag"
    assert neighbours[silver].max() <= neighbours[~silver].min()


def test_random_alloys_depend_on_the_seed_alone():
    first, again, other = (decorate(fcc_ball(), ["Cu", "Au"], "random", seed=seed) for seed in (3, 3, 4))
    assert first.symbols == again.symbols != other.symbols


def test_what_cannot_be_ordered_is_refused():
    with pytest.raises(StructureError, match="use a fcc shape"):
        decorate(FAMILIES["sc"].builder("Cu", 1.0, lattice="sc", h=2, k=2, l=2), ["Cu", "Au"], "L1_0")
    with pytest.raises(StructureError, match="cannot agree on variant 0"):
        decorate(FAMILIES["icosahedral"].builder("Cu", 1.0, shells=3), ["Cu", "Au"], "L1_0")
    with pytest.raises(StructureError, match="two different elements"):
        decorate(fcc_ball(), ["Cu", "Cu"], "random")
    with pytest.raises(StructureError, match="fraction from 0 to 1"):
        decorate(fcc_ball(), ["Cu", "Au"], "random", fraction=1.5)


def test_the_alloy_family_lists_what_it_builds_once():
    shapes = list(FAMILIES["alloy"].enumerate(13, 60, systems=[["Cu", "Au"], ["Pt", "Ni"]], bases=["fcc", "bcc", "icosahedral"], replicas=2))
    assert len({shape.name for shape in shapes}) == len(shapes) > 60
    types = Counter(shape.structure_type for shape in shapes)
    assert {"L1_0 alloy", "L1_2 alloy", "B2 alloy", "random alloy", "core-shell alloy", "janus alloy", "segregated alloy"} == set(types)
    for shape in shapes[::7]:
        built = FAMILIES["alloy"].build(shape, "", 0.0)
        assert built.n_atoms == shape.n_atoms
        assert built.label == shape.name
        assert set(built.symbols) <= {"Cu", "Au", "Pt", "Ni"}
