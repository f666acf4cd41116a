"""What stands where a catalog is looked for is said before anything is opened."""

import pytest

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.catalog_place import check_catalog_place
from deepstruc_hpc.data.catalog_store import Catalog


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.gr").write_text("0 0\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "results").mkdir()
    for name in ("a", "b"):
        (tmp_path / "results" / name).touch()
    (tmp_path / "real.zarr").mkdir()
    (tmp_path / "real.zarr" / "zarr.json").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("store", "names", "message"),
    [
        ("one.gr", False, "one.gr is a file and no catalog: needed is a directory made by deepstruc-hpc catalog build."),
        ("one.gr", True, "catalog build, or the name of a recipe"),
        ("results", True, "results: no catalog there, but a folder without zarr.json: 2 entries"),
        ("empty", False, "empty: no catalog there, but an empty folder"),
        ("smok", True, "smok: no catalog there. Did you mean --catalog smoke"),
        ("smok", False, "smoke is a recipe that comes with the program"),
        ("demo.zarr", False, "deepstruc-hpc catalog build demo --out demo.zarr"),
        ("smoke", False, "smoke is a recipe"),
        ("xyzzy", False, "xyzzy: no catalog there. Make one: deepstruc-hpc catalog build RECIPE --out xyzzy"),
    ],
)
def test_what_is_no_catalog_is_told_by_what_it_is(place, store, names, message):
    with pytest.raises(StoreError) as refused:
        check_catalog_place(store, names=names)
    assert message in str(refused.value)
    if (place / store).exists():
        assert "--out" not in str(refused.value)
        with pytest.raises(StoreError, match="no catalog"):
            Catalog.open(store)


@pytest.mark.parametrize("store", ["real.zarr", "s3://bucket/nothing"])
def test_what_may_be_a_catalog_is_left_to_the_opening(place, store):
    check_catalog_place(store)


def test_a_recipe_name_is_enough_where_names_are_taken(place):
    check_catalog_place("extended", names=True)
