"""The samples of the open catalogs: small, readable by anybody, and of the recipes that come with the program."""

import json
from pathlib import Path

import pandas as pd
import pytest

from deepstruc_hpc.catalog.recipe import load_recipe

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("open_*")), ids=lambda path: path.name)
def test_a_sample_is_small_whole_and_of_its_recipe(folder):
    """Fails when a recipe changes and its sample is not made again."""
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 2 * 2**20
    record = json.loads((folder / "export.json").read_text())
    frame = pd.read_parquet(folder / "data")
    assert record["state"]["complete"]
    assert len(frame) == record["structures"] == frame["id"].nunique()
    recipe = load_recipe(folder.name, limit=record["catalog"]["structures"])
    assert record["catalog"]["recipe_hash"] == recipe.id
    assert (frame["pdf"].map(len) == len(recipe.pdf.r)).all()
    assert (frame["numbers"].map(len) == frame["n_atoms"]).all()
