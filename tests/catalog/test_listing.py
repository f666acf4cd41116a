"""Shapes are listed the same way alone, in parts, and by actors."""

import pytest

from deepstruc_hpc.catalog import listing
from deepstruc_hpc.catalog.listing import list_parts
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.catalog.selection import evenly
from deepstruc_hpc.catalog.shapes import ShapeFiles
from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.structures.families import FAMILIES

TEMPLATES = ("fcc atom", "hcp atom", "fcc bond")
LINES = (
    "fcc",
    {"family": "round", "options": {"parents": TEMPLATES, "axes": ["001"]}},
    {"family": "stacking_fault", "options": {"max_layers": 5}, "limit": 40},
    {"family": "wulff", "options": {"parents": TEMPLATES, "ratios": [0.9]}},
)


def recipe(**changes):
    return Recipe(**{"name": "lines", "elements": ("Au",), "max_atoms": 60, "families": LINES, **changes})


def listed(made, **options):
    """Shapes of each line of a recipe, as they are listed."""
    parts, lines = list_parts(made, progress=False, **options)
    return [
        [shape for part, line in zip(parts, lines, strict=True) if line == number for shape in part.shapes] for number in range(len(made.families))
    ]


@pytest.mark.parametrize(
    ("family", "options"), [("round", {"parents": TEMPLATES}), ("stacking_fault", {"max_layers": 5}), ("wulff", {"parents": TEMPLATES})]
)
def test_the_parts_of_a_family_make_up_its_list(family, options):
    whole = list(FAMILIES[family].enumerate(5, 60, **options))
    parts = FAMILIES[family].parts(options)
    assert len(parts) > 1
    together = {shape.fingerprint: shape for part in reversed(parts) for shape in reversed(list(FAMILIES[family].enumerate(5, 60, **part)))}
    assert [together[shape.fingerprint] for shape in whole] == whole
    assert len(together) == len(whole)


def test_a_listed_shape_has_the_size_type_and_fingerprint_of_what_is_built():
    """Families list sites without building; building must give the same."""
    from deepstruc_hpc.structures.fingerprint import fingerprint

    for line in listed(recipe()):
        for shape in line[::3]:
            built = FAMILIES[shape.family].build(shape, "Pt", 2.7)
            raw = FAMILIES[shape.family].builder("Pt", 2.7, **shape.parameters)
            assert (built.n_atoms, raw.structure_type) == (shape.n_atoms, shape.structure_type)
            assert fingerprint(built, scale_free=True) == shape.fingerprint


@pytest.mark.ray
def test_actors_list_what_one_process_lists(ray_session_2cpu, monkeypatch, tmp_path):
    """Handed back, or put into files that the driver does not hold."""
    alone = make_plan(recipe(limit=500))
    monkeypatch.setattr(listing, "SECONDS_ALONE", 0.0)
    assert listed(recipe(), workers=2) == listed(recipe())
    shelf = ShapeFiles(StoreFiles(tmp_path), "plan/x")
    plan = make_plan(recipe(limit=500), workers=2, shelf=shelf)
    assert plan.shapes.n_in_memory == 0
    assert plan.digest() == alone.digest()
    assert plan.block_ids == alone.block_ids
    assert plan.structure(77) == alone.structure(77)
    with pytest.raises(RecipeError, match=r"family round.*no-such-parent"):
        list_parts(recipe(families=({"family": "round", "options": {"parents": ["fcc atom", "no-such-parent"]}},)), workers=2, progress=False)


def test_a_limit_of_a_line_spreads_over_its_list():
    shapes = [planned.shape for planned in make_plan(recipe(duplicates="keep")).shapes if planned.shape.family == "stacking_fault"]
    assert len(shapes) == 40
    assert evenly(10, 3).tolist() == [1, 5, 8]
    sizes = [shape.n_atoms for shape in shapes]
    assert max(sizes) > 50
    assert min(sizes) < 30


def test_shapes_that_are_left_out_are_in_no_plan_and_the_others_stay():
    plan = make_plan(recipe())
    out = tuple(plan.structure(number).fingerprint for number in (0, 7, 30))
    rest = make_plan(recipe(leave_out=out))
    assert {shape.fingerprint for shape in rest.shapes} == {shape.fingerprint for shape in plan.shapes} - set(out)
    assert recipe(leave_out=out).id != recipe().id
    assert "leave_out" not in recipe().content()


def test_counts_by_family_and_type_add_up():
    plan = make_plan(recipe(elements=("Au", "Pt"), limit=150))
    assert sum(plan.counts_by_family().values()) == sum(plan.counts().values()) == len(plan) == 150
    assert {family for family, _ in plan.counts_by_family()} == {"fcc", "round", "stacking_fault", "wulff"}
