"""The engine that makes a catalog's curves: what it changes, what it leaves as it was, and what is said where it is missing."""

import json

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.combine import append_recipe
from deepstruc_hpc.catalog.difference import difference
from deepstruc_hpc.catalog.dry_run import estimate
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import EngineError, StoreError
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.physics.diffpy_engine import srreal_available
from tests.catalog.recipes import COARSE, small_recipe
from tests.physics import fake_srreal

DIFFPY = COARSE.updated(engine="diffpy")
without_srreal = pytest.mark.skipif(srreal_available(), reason="srreal is installed here")


def test_a_recipe_without_an_engine_has_the_hash_that_it_always_had():
    """The shipped store was built before there was a choice; its name and the plain values of a recipe must not know of it."""
    assert load_recipe("compact").id == Catalog.open(share_dir("catalog") / "compact.zarr").id
    assert "engine" not in json.dumps(small_recipe().content())
    assert small_recipe(pdf=COARSE.updated(engine="native")).id == small_recipe().id


def test_another_engine_is_another_catalog():
    assert small_recipe(pdf=DIFFPY).id != small_recipe().id
    assert small_recipe(pdf=DIFFPY).content()["pdf"]["engine"] == "diffpy"


def test_a_recipe_names_its_engine_under_pdf_and_no_other(tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    text = "name: mine\nelements: [Au]\nmax_atoms: 20\nfamilies: [fcc]\npdf: {engine: diffpy, rmax: 12.0}\n"
    path.write_text(text)
    assert load_recipe(path).pdf.engine == "diffpy"
    path.write_text(text.replace("diffpy", "debye"))
    assert run(["catalog", "build", str(path), "--out", str(tmp_path / "s"), "--workers", "0"]) == 2
    assert "pdf.engine" in capsys.readouterr().err


@without_srreal
@pytest.mark.parametrize("how", [["--dry-run"], []])
def test_an_engine_that_is_not_installed_is_refused_before_anything_is_made(how, tmp_path, capsys):
    path, out = tmp_path / "recipe.yaml", tmp_path / "s.zarr"
    path.write_text("name: mine\nelements: [Au]\nmax_atoms: 20\nfamilies: [fcc]\npdf: {engine: diffpy, rmax: 12.0}\n")
    assert run(["catalog", "build", str(path), "--out", str(out), "--workers", "0", *how]) == 2
    printed = capsys.readouterr().err
    for words in ("mine", "engine diffpy", "diffpy.srreal is not installed", "clusters/environment-diffpy.yaml", "native"):
        assert words in printed
    assert not out.exists()


@without_srreal
def test_every_way_to_build_asks_for_the_engine(tmp_path):
    recipe = small_recipe(pdf=DIFFPY)
    for work in (
        lambda: build_catalog(recipe, tmp_path / "a.zarr", workers=0),
        lambda: estimate(recipe, 0),
        lambda: append_recipe(recipe, tmp_path / "b.zarr"),
    ):
        with pytest.raises(EngineError, match="environment-diffpy"):
            work()


def test_a_build_by_diffpy_has_its_curves_of_the_same_structures(tmp_path, monkeypatch):
    """On the stand-in, whose curves are ours: delta1, delta2, U and the instrument arrive there, on a fine grid for a coarse one."""
    calculators = fake_srreal.install(monkeypatch)
    conditions = {"limit": 6, "block_size": 3}
    widths = {"delta1": 0.4, "delta2": 1.0, "qbroad": 0.01, "uiso": 0.006, "rmax": 8.0}
    native, diffpy = (small_recipe(pdf=pdf.updated(**widths), **conditions) for pdf in (COARSE, DIFFPY))
    stores = [tmp_path / "native.zarr", tmp_path / "diffpy.zarr"]
    for recipe, store in zip((native, diffpy), stores, strict=True):
        assert build_catalog(recipe, store, workers=0, progress=False).complete
    one, other = (Catalog.open(store) for store in stores)
    assert len(calculators) == len(other) == 6
    assert all(grid[2] <= 0.002 + 1e-12 for calculator in calculators for grid in calculator.grids)
    assert list(one.columns["id"]) == list(other.columns["id"])
    assert np.abs(one.pdf[:] - other.pdf[:]).max() < 1e-3 * np.abs(one.pdf[:]).max()
    assert other.conditions.engine == "diffpy"
    assert difference(one, other)["conditions"] == {"engine": "native / diffpy"}
    with pytest.raises(StoreError, match="engine: diffpy there, native in the recipe"):
        append_recipe(native, stores[1], workers=0, progress=False)
