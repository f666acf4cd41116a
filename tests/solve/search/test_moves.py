"""Discrete changes of a particle on its lattice."""

import numpy as np
import pytest

from deepstruc_hpc.solve.search.moves import all_moves, fault_moves, with_layer, without_layer
from deepstruc_hpc.structures.close_packed import stacking_word
from deepstruc_hpc.structures.occupation import assign_lattice, faults_of, stack_of, with_room
from deepstruc_hpc.structures.template_lattices import template_lattice
from tests.structures.particles import ball, octahedron, twinned


@pytest.mark.parametrize("name", ["fcc atom", "hcp octahedral hole", "bcc face", "sc cube", "icosahedral", "decahedral bond", "close-packed ABCACB"])
def test_a_cluster_of_every_kind_can_be_changed_and_no_change_is_made_twice(name):
    held = assign_lattice(ball(name, 2.4))
    made = list(all_moves(held, np.random.default_rng(0)))
    assert len(made) > 20
    assert all(len(one.sites) >= 6 for one in made)
    same = [one for one in made if one.template is held.template]
    assert len({one.mask.tobytes() for one in same}) == len(same)
    assert not [one for one in same if (one.mask == held.mask).all()]


def test_layers_come_off_and_go_on_along_a_normal():
    held = assign_lattice(octahedron())
    normal = held.template.facets[2][0]
    grown = held.with_mask(held.mask | with_layer(held, normal))
    assert grown.mask.sum() > held.mask.sum()
    back = grown.mask & ~without_layer(grown, normal)
    assert (back == held.mask).all()


def test_a_stack_grows_along_its_axis_beyond_the_layers_that_it_began_with():
    template = template_lattice("close-packed ABCACB", 6.5)
    drum = np.hypot(template.sites[:, 0], template.sites[:, 1]) < 2.5
    held, top = assign_lattice(template.structure(drum, "Au", 2.88)), np.array([0.0, 0.0, 1.0])
    taller = with_room(held.with_mask(held.mask | with_layer(held, top)))
    assert with_layer(taller, top).any()


def test_taking_a_fault_out_and_putting_it_in_come_back_to_the_same_particle():
    twin, _ = twinned()
    perfect = [one for one in fault_moves(assign_lattice(twin)) if one.kind == "fcc"]
    assert len(perfect) == 1
    assert int(perfect[0].mask.sum()) == len(twin)
    back = [one for one in fault_moves(perfect[0]) if one.kind == "stacking_fault" and faults_of(one.structure("")) == 1]
    assert stacking_word("ABCACBA") in {stacking_word(stack_of(one.sites)[0]) for one in back}
    assert {int(one.mask.sum()) for one in back} == {len(twin)}
