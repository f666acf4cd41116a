"""Close-packed stacks: geometry, and how many there are."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.close_packed import distinct_sequences, sequence_of, stacked_sites, stacking_word
from deepstruc_hpc.structures.cubic import lattice_sites
from deepstruc_hpc.structures.sites import shortest_distance


@pytest.mark.parametrize(("layers", "faulted"), [(3, 0), (4, 1), (5, 4), (6, 8), (7, 18), (8, 34)])
def test_the_number_of_faulted_sequences_is_that_of_two_letter_words_up_to_reversal(layers, faulted):
    assert len(distinct_sequences(layers, pure=False)) == faulted


def test_words_and_sequences_translate_into_each_other():
    for layers in range(3, 9):
        for sequence in distinct_sequences(layers):
            assert sequence_of(stacking_word(sequence)) == sequence
    assert stacking_word("ABCABC") == "cccc"
    assert stacking_word("ABABAB") == "hhhh"


@pytest.mark.parametrize("sequence", ["ABCACB", "ABAB", "ABCABCAB"])
def test_neighbours_in_a_stack_are_one_apart_and_twelve_around_an_inner_atom(sequence):
    sites = stacked_sites(sequence, 4.0)
    assert shortest_distance(sites) == pytest.approx(1.0, abs=1e-12)
    inner = sites[np.argmin(np.linalg.norm(sites, axis=1))]
    assert np.sum(np.abs(np.linalg.norm(sites - inner, axis=1) - 1.0) < 1e-9) == 12


def test_a_stack_abcabc_is_the_fcc_lattice():
    stack = stacked_sites("ABC" * 5, 8.0)
    centre = stack[np.argmin(np.linalg.norm(stack, axis=1))]
    near = stack[np.linalg.norm(stack - centre, axis=1) < 4.1]
    lattice = lattice_sites("fcc", 4.1)
    np.testing.assert_allclose(np.sort(pdist(near)), np.sort(pdist(lattice)), atol=1e-9)


@pytest.mark.parametrize("sequence", ["", "AAB", "ABD", "abc"])
def test_what_is_no_close_packed_sequence_is_refused(sequence):
    with pytest.raises(StructureError, match="layer sequence"):
        stacked_sites(sequence, 3.0)
