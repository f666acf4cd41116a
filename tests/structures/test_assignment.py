"""Laws of finding a cluster's template lattice and its filled sites."""

import itertools

import numpy as np
import pytest

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.assignment import LatticeLookup, oriented
from deepstruc_hpc.structures.close_packed import stacked_sites
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_family import build_occupation, packed, unpacked
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import template_lattice

NAMES = ("fcc atom", "fcc octahedral hole", "fcc bond", "hcp atom", "hcp triangle", "icosahedral", "decahedral atom", "decahedral bond",
         "close-packed ABCACB", "sc atom", "sc cube", "bcc atom", "bcc face")  # fmt: skip
RADIUS = 4.5


@pytest.fixture(scope="module")
def templates():
    return [template_lattice(name, RADIUS) for name in NAMES]


@pytest.fixture(scope="module")
def finder(templates):
    return LatticeLookup(templates)


@pytest.fixture(scope="module")
def clusters(templates):
    source = RandomShapes(templates, RandomShapeSettings(max_atoms=70))
    return [(templates[shape.template], shape.mask) for shape in itertools.islice(source.stream(3), 60)]


def test_the_assignment_found_is_the_cluster(templates, finder, clusters):
    """Fails where origin, rotation or glide of a crystal's description about another point is wrong."""
    for template, mask in clusters:
        structure = template.structure(mask, "Au", 2.88)
        found = finder.find(structure.positions, structure.structure_type)
        assert found is not None, template.name
        again = templates[found.template].structure(found.mask, "Au", 2.88)
        assert again.structure_type == structure.structure_type
        assert fingerprint(again) == fingerprint(structure), template.name


def test_a_symmetry_of_the_template_lattice_changes_nothing(templates, finder, clusters):
    """A network must not be asked for one of 48 equal answers."""
    rng = np.random.default_rng(0)
    for template, mask in clusters:
        turned = template.structure(mask[template.permutations[rng.integers(len(template.permutations))]], "Au", 2.88)
        one, other = (
            finder.find(template.structure(mask, "Au", 2.88).positions, template.structure_type),
            finder.find(turned.positions, template.structure_type),
        )
        assert one.template == other.template
        np.testing.assert_array_equal(one.mask, other.mask)


def test_orientation_is_one_of_the_equal_ones(clusters):
    for template, mask in clusters:
        chosen = oriented(template, mask)
        assert any((chosen == image).all() for image in mask[template.permutations])
        np.testing.assert_array_equal(oriented(template, chosen), chosen)


def test_scale_does_not_matter(finder):
    shape = next(shape for shape in FAMILIES["icosahedral"].enumerate(50, 60))
    small, large = (FAMILIES["icosahedral"].build(shape, "Au", distance) for distance in (1.0, 3.3))
    np.testing.assert_array_equal(finder.find(small.positions, "icosahedral").mask, finder.find(large.positions, "icosahedral").mask)


def test_a_truncated_octahedron_is_fcc_about_an_atom_or_a_hole(finder):
    for shape in FAMILIES["octahedral"].enumerate(6, 60):
        found = finder.find(FAMILIES["octahedral"].build(shape, "Pt", 2.77).positions, "octahedral")
        assert NAMES[found.template].startswith("fcc")


@pytest.mark.parametrize("sequence", ["ABC", "ACB", "ABCAB", "BACBA"])
def test_a_stack_without_a_fault_is_fcc_whichever_way_it_turns(templates, finder, sequence):
    """Layers lie across z there, and along [111] in the template lattices."""
    sites = stacked_sites(sequence, 2.2)
    stack = sites[np.hypot(sites[:, 0], sites[:, 1]) < 2.1]
    found = finder.find(2.88 * stack, "fcc")
    assert found is not None
    assert templates[found.template].structure_type == "fcc"
    assert fingerprint(templates[found.template].structure(found.mask, "Au", 2.88)) == fingerprint(Structure.of_element("Au", 2.88 * stack, "fcc"))


def test_a_cluster_of_another_lattice_has_no_template_lattice(finder, clusters):
    template, mask = next((template, mask) for template, mask in clusters if template.structure_type == "icosahedral" and mask.sum() > 30)
    assert finder.find(template.structure(mask, "Au", 2.88).positions, "fcc") is None


def test_random_shapes_in_a_recipe_are_as_many_as_asked_for_and_all_different():
    shapes = list(FAMILIES["random"].enumerate(13, 60, count=40, seed=5, types=("fcc", "bcc"), radius=RADIUS))
    assert 35 <= len(shapes) <= 40  # assignments of two template lattices may be one cluster
    assert len({fingerprint(FAMILIES["random"].build(shape, "Au", 2.88)) for shape in shapes}) == len(shapes)
    again = list(FAMILIES["random"].enumerate(13, 60, count=40, seed=5, types=("fcc", "bcc"), radius=RADIUS))
    assert shapes == again


def test_a_written_assignment_reads_back(templates):
    mask = np.zeros(len(templates[0]), dtype=bool)
    mask[[0, 3, 17, 60]] = True
    np.testing.assert_array_equal(unpacked(packed(mask), len(mask)), mask)
    assert build_occupation("Au", 2.88, parent=NAMES[0], filled=packed(mask), radius=RADIUS).n_atoms == 4


def test_a_broken_assignment_is_refused():
    with pytest.raises(StructureError, match="hexadecimal"):
        unpacked("xyz", 10)
    with pytest.raises(StructureError, match="site 15"):
        unpacked("0001", 10)
    with pytest.raises(RecipeError, match="types"):
        list(FAMILIES["random"].enumerate(13, 60, types=("quasicrystal",)))
