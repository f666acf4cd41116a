"""The catalog that travels with the package is what its recipe says, whole, and what building it again gives."""

from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.solve.run.artefacts import named_catalog

STORE = share_dir("catalog") / "compact.zarr"
TYPES = {"fcc", "bcc", "sc", "hcp", "octahedral", "decahedral", "icosahedral", "stacking_fault"}


@pytest.fixture(scope="module")
def shipped():
    return Catalog.open(STORE)


def test_the_store_is_that_of_its_recipe_whole_and_undamaged(shipped):
    """Fails when compact.yaml was changed and the store not built again, or when a file of it was lost on the way."""
    assert shipped.id == load_recipe("compact").id
    assert shipped.complete
    assert verify(shipped) == []


def test_the_content_hash_is_the_recorded_one(shipped):
    assert f"`{shipped.content_hash}`" in (share_dir("catalog") / "README.md").read_text()


def test_it_holds_a_few_thousand_shapes_of_every_type_from_13_to_400_atoms_in_a_few_megabytes(shipped):
    columns = shipped.columns
    assert set(columns["structure_type"]) == TYPES
    assert 2000 < len(columns) < 5000
    assert (columns["n_atoms"].min(), columns["n_atoms"].max() <= 400) == (13, True)
    for kind in TYPES - {"icosahedral", "octahedral"}:  # of these two there are few of any size
        sizes = np.sort(columns.loc[columns["structure_type"] == kind, "n_atoms"].to_numpy())
        assert len(np.unique(np.digitize(sizes, [50, 100, 150, 200, 300]))) == 6, kind
    size = sum(path.stat().st_size for path in STORE.rglob("*") if path.is_file())
    assert size < 8e6
    assert columns["fingerprint"].is_unique


def test_it_is_the_default_and_is_read_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path))
    for given in (None, "compact"):
        named = named_catalog(given)
        assert (named.store, named.packaged, named.ready) == (STORE, True, True)
    extended = named_catalog("extended")
    assert (extended.packaged, extended.ready, extended.store.parent) == (False, False, tmp_path)
    assert named_catalog(str(STORE)) is None
    assert named_catalog("s3://bucket/x.zarr") is None


def test_shapes_built_again_are_those_of_the_store(shipped, tmp_path):
    """The lines of the recipe that are listed quickly, built once more: the same names, atoms and PDFs."""
    recipe = load_recipe("compact")
    quick = recipe.updated(families=[choice.model_dump() for choice in recipe.families[:8]])
    build_catalog(quick, tmp_path / "again.zarr", workers=0, progress=False)
    again = Catalog.open(tmp_path / "again.zarr")
    place = {name: number for number, name in enumerate(shipped.columns["id"])}
    numbers = [place[name] for name in again.columns["id"]]
    assert len(numbers) > 250
    for built, stored in zip(again, shipped.structures(numbers), strict=True):
        assert built.symbols == stored.symbols
        np.testing.assert_allclose(built.positions, stored.positions, atol=1e-5)
    np.testing.assert_allclose(again.pdf[:], shipped.pdf[numbers], atol=1e-4)


ROUNDING = 2e-6
"""Part of max|G| (and Å of a length): sixteen units in the last place of a float32, where processors may differ; another structure is further off."""


def differences(one, other):
    """The arrays of two blocks that are not the same to the bit; fails where one of them differs by more than rounding."""
    parts = {name: (getattr(one, name), getattr(other, name)) for name in ("positions", "species", "offsets", "pdf")}
    assert set(one.columns) == set(other.columns)
    parts |= {name: (one.columns[name], other.columns[name]) for name in one.columns}
    different = []
    for name, (first, second) in parts.items():
        assert (first.shape, first.dtype) == (second.shape, second.dtype), name
        if first.dtype.kind != "f":
            assert first.tolist() == second.tolist(), name
        elif first.tobytes() != second.tobytes():
            largest = np.nanmax(np.abs(first)) if name == "pdf" else 1.0
            np.testing.assert_allclose(first, second, rtol=ROUNDING, atol=ROUNDING * largest, err_msg=name)
            different.append(name)
    return different


@pytest.mark.slow
def test_building_the_whole_again_gives_the_same_content(shipped, tmp_path):
    """Block by block the same names, atoms, columns and PDFs: to the bit, and then the same hash, or to the rounding of another processor."""
    report = build_catalog(load_recipe("compact"), tmp_path / "again.zarr", workers=0, progress=False)
    again = Catalog.open(tmp_path / "again.zarr")
    assert [block.id for block in again.blocks] == [block.id for block in shipped.blocks]
    different = [name for number in range(len(shipped.blocks)) for name in differences(again.read_block(number), shipped.read_block(number))]
    assert (report.content_hash == shipped.content_hash) == (not different)
    assert set(different) <= {"positions", "pdf", "diameter", "nn_distance"}


@pytest.mark.parametrize("name", ["pdf", "positions", "n_atoms", "formula"])
def test_a_block_that_differs_by_more_than_rounding_is_not_let_through(shipped, name):
    """The comparison above fails for a change of 1e-4 in one value, for another number and for another word."""
    block = shipped.read_block(0)
    assert differences(block, shipped.read_block(0)) == []
    values = np.array(getattr(block, name) if name in ("pdf", "positions") else block.columns[name])
    values.flat[7] = {"f": lambda v: v + 1e-4 * np.abs(values).max(), "i": lambda v: v + 1, "O": lambda v: v + "x"}[values.dtype.kind](values.flat[7])
    changed = replace(block, **{name: values}) if name in ("pdf", "positions") else replace(block, columns={**block.columns, name: values})
    with pytest.raises(AssertionError):
        differences(changed, block)
