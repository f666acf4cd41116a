"""Random clusters: sizes, seeds, connectedness."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings, without_dangling
from deepstruc_hpc.structures.template_lattices import standard_templates


@pytest.fixture(scope="module")
def templates():
    return standard_templates(6.5, 6)


@pytest.fixture(scope="module")
def drawn(templates):
    return list(islice(RandomShapes(templates, RandomShapeSettings(min_atoms=20, max_atoms=300)).stream(3), 600))


def test_sizes_lie_in_the_range_asked_for_and_fill_it(drawn):
    sizes = np.array([shape.mask.sum() for shape in drawn])
    assert sizes.min() >= 20
    assert sizes.max() <= 300
    assert np.percentile(sizes, 90) > 180 > np.percentile(sizes, 50) > 40 > sizes.min()


def test_structure_types_are_drawn_alike(drawn, templates):
    counts = Counter(templates[shape.template].structure_type for shape in drawn)
    assert len(counts) == 7
    assert min(counts.values()) > 0.5 * max(counts.values())


def test_a_cluster_depends_on_the_seed_and_its_number_alone(templates):
    source = RandomShapes(templates)
    first = list(islice(source.stream(9), 12))
    again = list(islice(source.stream(9, start=7), 5))
    for one, other in zip(first[7:], again, strict=True):
        assert one.template == other.template
        np.testing.assert_array_equal(one.mask, other.mask)
    other_seed = list(islice(source.stream(10), 12))
    assert any(one.template != other.template or not np.array_equal(one.mask, other.mask) for one, other in zip(first, other_seed, strict=True))


def test_no_atom_dangles_and_no_layer_of_a_stack_is_empty(drawn, templates):
    for shape in drawn:
        template = templates[shape.template]
        neighbours = (template.bonds @ shape.mask.astype(int))[shape.mask]
        assert neighbours.min() >= template.min_neighbours
        if template.layer is not None:
            assert set(template.layer[shape.mask]) == set(template.layer)


def test_clusters_are_in_one_piece(drawn, templates):
    pieces = [connected_components(templates[s.template].bonds[s.mask][:, s.mask], directed=False)[0] for s in drawn]
    assert np.mean(np.array(pieces) == 1) == 1.0


def test_no_cluster_is_cut_short_by_the_end_of_the_set(drawn, templates):
    for shape in drawn:
        template = templates[shape.template]
        reach = np.hypot(*template.sites[shape.mask][:, :2].T) if template.layer is not None else template.distance[shape.mask]
        assert reach.max() <= template.radius - 0.75


def test_atoms_hanging_on_a_thread_are_taken_off_until_none_is_left(templates):
    template = templates[0]
    chain = np.zeros(len(template), dtype=bool)
    chain[[i for i, site in enumerate(template.sites) if abs(site[2]) < 1e-9 and abs(site[0] - site[1]) < 1e-9]] = True
    assert chain.sum() > 5
    assert not without_dangling(template, chain).any()


def test_settings_that_nothing_fits_are_refused(templates):
    with pytest.raises(ConfigError, match="is more than max_atoms"):
        RandomShapes(templates, RandomShapeSettings(min_atoms=50, max_atoms=20))
    with pytest.raises(ConfigError, match="fits the template lattices' radius"):
        RandomShapes(standard_templates(3.0, 4), RandomShapeSettings(min_atoms=500, max_atoms=600)).sample(np.random.default_rng(0))
