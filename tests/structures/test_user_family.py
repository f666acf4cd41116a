"""A user's own generator: what an installed package must offer to be named in a recipe."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures import families
from deepstruc_hpc.structures.family import Family
from deepstruc_hpc.structures.sites import to_structure


def chains(max_atoms, *, kink):
    for length in range(2, max_atoms + 1):
        yield f"chain of {length}", {"length": length, "kink": kink}


def build_chain(symbol, nn_distance, *, length, kink) -> Structure:
    step = np.arange(length)
    sites = np.column_stack([step * np.cos(kink), (step % 2) * np.sin(kink), np.zeros(length)])
    return to_structure(sites, symbol, nn_distance, "chain", f"{symbol} chain of {length}")


CHAINS = Family("chains", "chain", chains, build_chain, {"kink": 0.3}, description="zigzag chains")
NOT_A_FAMILY = 3


@pytest.fixture(autouse=True)
def installed_package(monkeypatch):
    points = [
        EntryPoint(name, f"{__name__}:{value}", families.ENTRY_POINT_GROUP) for name, value in (("chains", "CHAINS"), ("broken", "NOT_A_FAMILY"))
    ]
    monkeypatch.setattr(families, "entry_points", lambda group: points if group == families.ENTRY_POINT_GROUP else [])


def test_a_family_of_an_entry_point_is_listed_and_built_like_a_built_in_one():
    family = families.family_named("chains")
    shapes = list(family.enumerate(3, 6, kink=0.5))
    assert [shape.n_atoms for shape in shapes] == [3, 4, 5, 6]
    built = family.build(shapes[0], "Ag", 2.9)
    assert (built.structure_type, built.label, built.formula) == ("chain", "Ag chain of 3", "Ag3")
    assert np.linalg.norm(built.positions[0] - built.positions[1]) == pytest.approx(2.9)


def test_an_entry_point_that_is_no_family_is_refused():
    with pytest.raises(StructureError, match="a Family is needed"):
        families.family_named("broken")


def test_names_of_entry_points_are_among_those_offered():
    with pytest.raises(RecipeError, match="Did you mean 'chains'"):
        families.family_named("chain")
