"""The page on families stays true."""

import re
from pathlib import Path

import pytest

from deepstruc_hpc.structures.crystals import PROTOTYPES
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.family import Family

PAGE = Path(__file__).parents[2] / "docs" / "families.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text()


def test_every_family_and_each_of_its_options_is_on_the_page(page):
    for family in FAMILIES.values():
        row = next((line for line in page.splitlines() if line.startswith("|") and f"`{family.name}`" in line.split("|")[1]), None)
        assert row is not None, family.name
        for option in family.options:
            assert re.search(rf"\b{option}:", row), (family.name, option)


def test_every_built_in_crystal_is_on_the_page(page):
    text = " ".join(page.split())
    assert all(name in text for name in PROTOTYPES)


def test_the_example_of_a_family_of_ones_own_runs_as_printed(page):
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    space: dict = {}
    exec(compile(code, "families.md", "exec"), space)  # noqa: S102
    family = space["CHAINS"]
    assert isinstance(family, Family)
    shapes = list(family.enumerate(2, 9))
    assert [family.build(shape, "Au", 2.9).n_atoms for shape in shapes] == list(range(2, 10))
