"""The plan: the same list of structures every time, without repetitions, in blocks that depend on nothing but the recipe."""

import json
import pickle
from collections import Counter
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc.catalog.plan import make_plan, structure_id
from deepstruc_hpc.catalog.recipe import Recipe, load_recipe
from deepstruc_hpc.catalog.selection import different
from deepstruc_hpc.catalog.shapes import ShapeFiles
from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.structures.families import family_named
from deepstruc_hpc.structures.fingerprint import fingerprint

SEVEN = ("octahedral", "icosahedral", "decahedral", "sc", "bcc", "fcc", "hcp")


def small(**changes):
    return Recipe(**{"name": "small", "elements": ("Au", "Pt"), "max_atoms": 60, "families": SEVEN, **changes})


def ids(plan):
    return [plan.structure(number).id for number in range(len(plan))]


def test_the_papers_recipe_gives_the_papers_3743_structures():
    """197 shapes × 19 radii, compared without their element; the paper states the types for 80 % of it: hcp 1614, decahedral 568, …"""
    plan = make_plan(load_recipe("monometallic"))
    assert len(plan) == 3743
    assert plan.counts() == Counter({"hcp": 2014, "decahedral": 703, "sc": 361, "bcc": 361, "fcc": 152, "octahedral": 95, "icosahedral": 57})


def test_the_demo_has_a_thousand_structures_of_all_seven_types():
    plan = make_plan(load_recipe("demo"))
    assert len(plan) == 1000
    assert set(plan.counts()) >= set(SEVEN)
    assert min(plan.counts().values()) >= 5


def test_the_same_recipe_gives_the_same_blocks_and_ids():
    assert make_plan(small()).block_ids == make_plan(small()).block_ids
    assert len(set(ids(make_plan(small())))) == len(make_plan(small()))


def test_a_structure_keeps_its_id_in_another_recipe():
    """Splits by id must survive an append and another order of families."""
    turned = make_plan(small(families=tuple(reversed(SEVEN)), duplicates="keep"))
    assert set(ids(make_plan(small()))) <= set(ids(turned))


def test_a_structure_is_the_same_in_whatever_order_the_list_is_asked():
    """The plan remembers the shape that it was asked for last. Fails if a name, an element or a distance is that of another number."""
    recipe = small(limit=37)
    plan, other = make_plan(recipe), make_plan(recipe)
    backwards = {number: other.structure(number) for number in (*reversed(range(len(plan))), 0, 36, 1, 35)}
    for number in range(len(plan)):
        planned = plan.structure(number)
        assert planned == backwards[number]
        assert planned.id == structure_id(planned.shape, planned.symbol, planned.nn_distance)
        assert planned.nn_distance == recipe.distance_of(planned.symbol)


def test_the_name_of_a_structure_is_the_digest_of_what_it_is_as_json():
    """Catalogs on disk hold these names: another text, another name, and nothing is found again."""
    shape = next(iter(family_named("fcc").enumerate(13, 60)))
    for distance in (2.0, 2.56491, 1 / 3):
        text = json.dumps([shape.family, shape.name, dict(shape.parameters), "Pt", round(distance, 6)], sort_keys=True, default=str)
        assert structure_id(shape, "Pt", distance) == blake2b(text.encode(), digest_size=8).hexdigest()


def test_no_two_shapes_of_one_metal_are_equal_up_to_rotation_and_order():
    plan = make_plan(small(elements=("Au",)))
    marks = []
    for number in range(len(plan)):
        item = plan.structure(number)
        marks.append(fingerprint(family_named(item.shape.family).build(item.shape, item.symbol, item.nn_distance)))
    assert len(set(marks)) == len(marks)
    kept = make_plan(small(elements=("Au",), duplicates="keep"))
    assert len(kept) > len(plan)  # there are repetitions between families, so the test above can fail


def test_blocks_cut_the_list_without_gap_or_overlap():
    plan = make_plan(small(block_size=7))
    in_blocks = [item.id for number in range(plan.n_blocks) for item in plan.block(number).structures]
    assert in_blocks == ids(plan)
    assert list(plan.pending({})) == [plan.block(number) for number in range(plan.n_blocks)]
    rest = list(plan.pending(dict.fromkeys(plan.block_ids[1:])))
    assert [block.id for block in rest] == [plan.block_ids[0]]


def test_a_worker_makes_of_a_ticket_and_files_what_the_plan_says(tmp_path, monkeypatch):
    """Shapes written to files and read again, tickets sent as bytes: the same structures and ids, with a limit and without."""
    monkeypatch.setattr("deepstruc_hpc.catalog.plan.SHAPES_TO_SEND", 0)
    monkeypatch.setattr("deepstruc_hpc.catalog.shapes.ROWS_A_GROUP", 4)
    for changes in ({}, {"limit": 37}, {"duplicates": "geometry", "elements": ("Au", "Ag", "Pt")}):
        plan = make_plan(small(block_size=7, **changes))
        reader = pickle.loads(pickle.dumps(plan.reader(ShapeFiles(StoreFiles(tmp_path), "plan/x"))))  # noqa: S301
        everything = [plan.block(number) for number in range(plan.n_blocks)]
        assert plan.missing(plan.block_ids[1:3]) == [range(1), range(3, plan.n_blocks)]
        for run in (range(plan.n_blocks), *plan.missing(plan.block_ids[1:3])):
            ticket = pickle.loads(pickle.dumps(plan.ticket(run[0], len(run))))  # noqa: S301
            assert ticket.numbers == run
            assert list(reader.blocks(ticket)) == [everything[number] for number in run]


def test_structures_are_repetitions_as_a_simple_loop_finds_them():
    """By fingerprint and element, or fingerprint and distance, the first in the order of the recipe: the sentence of the recipe, written down."""
    elements = ("Au", "Ag", "Pt", "Al", "Ni")
    lines = (
        {"family": "hcp", "limit": 9},
        "fcc",
        {"family": "hcp", "elements": ("Co", "Au")},
        "octahedral",
        {"family": "fcc", "elements": ("Ni", "W")},
    )
    distances = {"Au": 2.88, "Ag": 2.88, "Pt": 2.77, "Al": 2.86, "Ni": 2.49, "Co": 2.49, "W": 2.74}
    for duplicates in ("drop", "geometry"):
        recipe = small(families=lines, elements=elements, duplicates=duplicates, nn_distance=distances)
        kept = make_plan(recipe.updated(duplicates="keep"))
        seen, expected = set(), []
        for number in range(len(kept)):
            planned = kept.structure(number)
            kind = f"{planned.nn_distance:.6f}" if duplicates == "geometry" else planned.symbol
            if (planned.fingerprint, kind) not in seen:
                seen.add((planned.fingerprint, kind))
                expected.append(planned.id)
        plan = make_plan(recipe)
        assert ids(plan) == expected
        assert plan.dropped == len(kept) - len(expected) > 0


def test_fingerprints_that_agree_in_their_first_half_are_two():
    """Halves are compared first: here two of the marks share one, and two more are the same."""
    marks = np.zeros((5, 16), dtype=np.uint8)
    marks[:, 0] = [7, 7, 3, 3, 9]
    marks[1, 12] = 1
    numbers, count = different(marks)
    assert count == 4 == len(set(numbers.tolist()))
    assert numbers[2] == numbers[3]
    others, count = different(marks[[0, 2, 3, 4]])
    assert count == 3
    assert others[1] == others[2] != others[0] != others[3]


@given(limit=st.integers(1, 260))
def test_a_limit_is_kept_and_shared_by_the_types(limit):
    everything = PLAN_OF_SMALL.counts()
    plan = make_plan_limited(limit)
    counts = plan.counts()
    assert len(plan) == min(limit, sum(everything.values()))
    assert all(counts[name] <= everything[name] for name in counts)
    unfilled = [counts[name] for name in everything if counts[name] < everything[name]]
    if unfilled:
        assert max(counts.values()) - min(unfilled) <= 1 or min(unfilled) >= limit // len(everything)
    assert len(set(ids(plan))) == len(plan)


def make_plan_limited(limit):
    from deepstruc_hpc.catalog.plan import Plan

    return Plan(small(limit=limit), PLAN_OF_SMALL.shapes)


PLAN_OF_SMALL = make_plan(small())


def test_a_limit_of_a_family_spreads_over_its_sizes():
    whole = make_plan(small(families=("hcp",), elements=("Au",)))
    plan = make_plan(small(families=({"family": "hcp", "limit": 5},), elements=("Au",)))
    assert len(plan) == 5
    sizes = [plan.structure(number).shape.n_atoms for number in range(5)]
    largest = max(whole.structure(number).shape.n_atoms for number in range(len(whole)))
    assert max(sizes) > largest / 2


def test_a_recipe_without_a_structure_of_the_right_size_is_refused():
    with pytest.raises(RecipeError, match="no structures"):
        make_plan(small(families=("icosahedral",), min_atoms=14, max_atoms=50))


def test_an_option_that_the_family_does_not_have_is_refused_with_the_familys_name():
    with pytest.raises(RecipeError, match=r"fcc.*wings"):
        make_plan(small(families=({"family": "fcc", "options": {"wings": 2}},)))
