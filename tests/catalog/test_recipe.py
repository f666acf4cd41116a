"""A recipe says what a catalog holds; what it cannot mean is refused with the line that is wrong."""

import re

import pytest

from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.structures.elements import METALS_OF_THE_PAPER

GOOD = """
name: mine
elements: [Au, Pt]
max_atoms: 60
families: [fcc, icosahedral]
pdf: {rmax: 20.0, rstep: 0.1}
"""


def write(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(share_dir("catalog").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_that_comes_with_the_program_is_valid_and_named_like_its_file(path):
    assert load_recipe(path).name == path.stem
    assert load_recipe(path.stem).id == load_recipe(path).id


def test_the_papers_recipe_states_28_metals_seven_families_and_5_to_200_atoms():
    recipe = load_recipe("monometallic")
    assert recipe.elements == METALS_OF_THE_PAPER
    assert len(recipe.families) == 7
    assert (recipe.min_atoms, recipe.max_atoms) == (5, 200)
    assert recipe.distance_of("Au") == pytest.approx(2.68)


def test_words_for_people_leave_the_hash_alone_and_everything_else_changes_it(tmp_path):
    first = load_recipe(write(tmp_path, GOOD))
    assert load_recipe(write(tmp_path, GOOD.replace("mine", "yours"))).id == first.id
    for change in (("rmax: 20.0", "rmax: 20.1"), ("[Au, Pt]", "[Pt, Au]"), ("max_atoms: 60", "max_atoms: 61"), ("fcc, ", "")):
        assert load_recipe(write(tmp_path, GOOD.replace(*change))).id != first.id
    assert load_recipe(write(tmp_path, GOOD), limit=5).id != first.id


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_atoms: 60", "max_atom: 60", ["max_atom", "unknown key", "max_atoms"]),
        ("rmax: 20.0", "rmax_nm: 2.0", ["pdf.rmax_nm", "unknown key"]),
        ("name: mine", "name: mine\nlength_unit: nm", ["length_unit", "'nm'", "Å"]),
        ("rmax: 20.0", "rmax: 2 nm", ["pdf.rmax", "2 nm"]),
        ("rmax: 20.0", "rmax: 3.0", ["nm"]),
        ("name: mine", "name: mine\nnn_distance: {Au: 0.288, Pt: 0.277}", ["Au", "0.288", "nm"]),
        ("[Au, Pt]", "[Au, Xx]", ["Xx", "element"]),
        ("[Au, Pt]", "[Au, gold]", ["gold", "element"]),
        ("[Au, Pt]", "[]", ["no structures", "elements"]),
        ("[fcc, icosahedral]", "[]", ["no structures", "families"]),
        ("[fcc, icosahedral]", "[fcc, icosahedron]", ["icosahedron", "icosahedral"]),
        ("max_atoms: 60", "max_atoms: 4", ["no structures", "min_atoms"]),
        ("elements: [Au, Pt]", "elements: [O]", ["O", "radius"]),
        ("rmax: 20.0", "qmin: 18.0, qmax: 10.0", ["qmax", "larger"]),
        ("rmax: 20.0", "radiation: electron", ["radiation", "electron"]),
    ],
)
def test_what_a_recipe_cannot_mean_is_refused_with_its_line(tmp_path, old, new, words):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(RecipeError) as refused:
        load_recipe(path)
    for word in [str(path), *words]:
        assert word in str(refused.value) or (word == str(path) and "mine" in str(refused.value))


def test_an_unknown_recipe_is_refused_with_the_names_there_are():
    with pytest.raises(RecipeError, match="monometallic"):
        load_recipe("no-such-recipe")


def test_a_recipe_that_is_no_mapping_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="mapping"):
        load_recipe(write(tmp_path, "- a\n- b\n"))
    with pytest.raises(RecipeError, match="YAML"):
        load_recipe(write(tmp_path, "a: [1,\n"))


PAGES = share_dir("catalog").parent / "docs" / "recipes"
FOR_TESTS_AND_DEMO = {"demo", "smoke"}


@pytest.mark.skipif(not PAGES.is_dir(), reason="the pages are beside the sources, not in an installed program")
@pytest.mark.parametrize("name", sorted({path.stem for path in share_dir("catalog").glob("*.yaml")} - FOR_TESTS_AND_DEMO))
def test_every_recipe_has_a_page_that_says_how_many_structures_it_gives(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# Recipe `{name}`\n")
    assert len(re.findall(r"([\d,]+) structures", text)) >= 1


@pytest.mark.skipif(not PAGES.is_dir(), reason="the pages are beside the sources, not in an installed program")
@pytest.mark.parametrize(
    "name",
    [
        "monometallic",
        "shapes",
        "compact",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("stacking_faults", "disordered", "alloys", "oxides", "extended")),
    ],
)
def test_the_counts_on_a_recipes_page_are_those_of_its_plan(name):
    """The sentence with the number of structures and every row of the table ``| type | structures |``."""
    plan = make_plan(load_recipe(name))
    counts = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition("\n## Counts\n")[2]
    assert f"{len(plan):,} structures" in counts
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d,]+) \|$", counts, re.MULTILINE))
    assert {kind: int(number.replace(",", "")) for kind, number in rows.items()} == plan.counts()
