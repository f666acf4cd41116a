"""Close-packed particles by layers: the same sites there and back, and moves that reach the stacks beside."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from deepstruc_hpc.structures.close_packed import stacked_sites, stacking_word
from deepstruc_hpc.structures.layer_moves import (
    LAYER_MOVES,
    all_layer_moves,
    carried,
    end_moves,
    restacked,
    slip_moves,
    swap_moves,
    symmetric_moves,
    twin_moves,
)
from deepstruc_hpc.structures.layer_stack import LayerStack, nearest_columns, shares, translated, turned
from deepstruc_hpc.structures.occupation import stack_of


def distances(sites: np.ndarray) -> np.ndarray:
    away = np.linalg.norm(sites[:, None] - sites, axis=2)
    return np.sort(away[np.triu_indices(len(sites), 1)])


def drum(sequence: str, radius: float = 2.1, column: str = "A") -> LayerStack:
    return LayerStack.of(*stack_of(stacked_sites(sequence, radius, column)))


def characters(stack: LayerStack) -> str:
    return stacking_word(stack.sequence)


@pytest.mark.parametrize("sequence", ["ABCABC", "ABAB", "ABCACB", "ABACBCA"])
def test_layers_hold_the_sites_that_they_were_made_from(sequence):
    sites = stacked_sites(sequence, 2.4, "B")
    stack = LayerStack.of(*stack_of(sites))
    assert characters(stack) == stacking_word(sequence)
    np.testing.assert_allclose(distances(stack.sites), distances(sites), atol=1e-9)
    again = LayerStack.of(*stack_of(stack.sites))
    np.testing.assert_allclose(distances(again.sites), distances(sites), atol=1e-9)


@pytest.mark.parametrize("letter", [0, 1, 2])
@pytest.mark.parametrize("by", [1, 2])
def test_a_layer_moved_sideways_keeps_its_shape_and_lies_a_hollow_farther(letter, by):
    outline = drum("ABC").outlines[letter]
    layer = LayerStack((letter,), outline[None])
    moved = [LayerStack(((letter + by) % 3,), one[None]) for one in translated(outline, letter, by)]
    steps = np.array([one.sites[:, :2].mean(axis=0) - layer.sites[:, :2].mean(axis=0) for one in moved])
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 1 / np.sqrt(3), atol=1e-9)
    np.testing.assert_allclose(steps.sum(axis=0), 0, atol=1e-9)
    for one in moved:
        np.testing.assert_allclose(distances(one.sites), distances(layer.sites), atol=1e-9)


@pytest.mark.parametrize(("letter", "wanted"), [(0, 1), (1, 0), (2, 0), (0, 2), (1, 2), (2, 1)])
def test_an_outline_carried_over_stays_where_it_was(letter, wanted):
    stack = drum("ABC", 2.6)
    outline = stack.outlines[letter]
    middle = LayerStack((letter,), outline[None]).sites[:, :2].mean(axis=0)
    ways = carried(outline, letter, wanted, nearest_columns(stack))
    for one in ways:
        found = LayerStack((wanted,), one[None]).sites[:, :2].mean(axis=0)
        assert np.linalg.norm(found - middle) < 1.2
    wide, narrow = ways[-1], ways[-2]
    assert narrow.sum() < outline.sum() < wide.sum()
    assert not (narrow & ~ways[0]).any()
    assert not (ways[0] & ~wide).any()


def test_a_layer_turned_twice_about_a_column_is_as_before():
    stack = drum("ABCB", 2.3)
    for column in nearest_columns(stack):
        for letter, outline in zip(stack.letters, stack.outlines, strict=True):
            once = turned(outline, letter, column)
            np.testing.assert_array_equal(turned(once, int(2 * column[0] - letter) % 3, column), outline)


def test_a_particle_about_a_column_is_symmetric_about_it_and_is_mended_where_an_atom_is_missing():
    stack = drum("ABCAC", 2.1, "B")
    symmetric = [np.isin(shares(stack, column, mirrored=True), (0.0, 1.0)).all() for column in nearest_columns(stack)]
    assert sum(symmetric) == 1
    layer, i, j = np.argwhere(stack.outlines)[3]
    broken = stack.outlines.copy()
    broken[layer, i, j] = False
    assert stack.key in {one.key for one in symmetric_moves(LayerStack(stack.letters, broken))}


def test_a_slip_changes_the_layers_beside_a_plane_and_a_twin_one_layer():
    stack = drum("ABCABC")
    assert {characters(one) for one in slip_moves(stack)} == {"hccc", "hhcc", "chhc", "cchh", "ccch"}
    assert {characters(one) for one in twin_moves(stack)} == {"hccc", "chcc", "cchc", "ccch"}


def test_a_layer_between_two_alike_or_an_outer_one_moves_to_the_free_letter():
    words = {characters(one) for one in swap_moves(drum("ABABC"))}
    assert words == {stacking_word(sequence) for sequence in ("CBABC", "ACABC", "ABCBC", "ABABA")}


def test_layers_come_and_go_at_both_ends():
    found = {(len(one.letters), one.sequence) for one in end_moves(drum("ABC"))}
    assert {"BC", "AB", "ABCA", "ABCB", "BABC", "CABC", "BCA", "BCB", "BAB", "CAB"} == {sequence for _, sequence in found}


def test_taking_a_fault_out_and_putting_it_in_gives_the_layers_their_outlines_back():
    stack = drum("ABCACB", 2.6)
    perfect = restacked(stack, (0, 1, 2, 0, 1, 2))
    assert characters(perfect) == "cccc"
    np.testing.assert_allclose(distances(restacked(perfect, stack.letters).sites), distances(stack.sites), atol=1e-9)


def test_every_change_is_a_close_packed_particle_and_is_made_once():
    stack = drum("ABCACB")
    made = all_layer_moves(stack)
    assert len({one.key for one in made} | {stack.key}) == len(made) + 1
    assert len(made) > 200
    for one in made:
        assert all(a != b for a, b in pairwise(one.letters))
        assert one.outlines.any(axis=(1, 2)).all()
        assert distances(one.sites)[0] > 1 - 1e-9


def test_all_kinds_of_move_make_something():
    stack = drum("ABCACB")
    assert all(any(one.key != stack.key and one.is_close_packed() for one in moves(stack)) for moves in LAYER_MOVES)
