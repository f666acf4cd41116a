"""Croissant and RO-Crate: the libraries of both read the descriptions, and through them the data."""

import json
from hashlib import sha256

import numpy as np
import pytest
import yaml

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.formats.export import export_catalog
from deepstruc_hpc.catalog.formats.provenance import Provenance
from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_store import Catalog
from tests.catalog.recipes import small_recipe

PROVENANCE = Provenance("CC-BY-4.0", ("Ada Lovelace 0000-0002-1825-0097", "Emmy Noether"))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    place = tmp_path_factory.mktemp("store") / "s"
    build_catalog(small_recipe(), place, workers=0, progress=False)
    return Catalog.open(place)


@pytest.fixture(scope="module")
def folder(catalog, tmp_path_factory):
    place = tmp_path_factory.mktemp("crate") / "c"
    export_catalog(catalog, place, "rocrate", provenance=PROVENANCE)
    return place


def test_mlcroissant_reads_every_structure_through_the_description(catalog, folder):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    records = {record["structures/id"].decode(): record for record in dataset.records("structures")}
    assert len(records) == len(catalog)
    for number, name in enumerate(catalog.columns["id"]):
        record = records[name]
        assert record["structures/n_atoms"] == catalog[number].n_atoms
        assert np.array_equal(np.stack(record["structures/positions"]), catalog[number].positions.astype(np.float32))
        assert np.array_equal(record["structures/pdf"], catalog.pdf[number])
    assert np.allclose([record["r/r"] for record in dataset.records("r")], catalog.r)


def test_rocrate_reads_recipe_hashes_versions_licence_and_authors(catalog, folder):
    library = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    crate = library.ROCrate(folder)
    root = crate.root_dataset
    assert crate.version == "1.1"
    assert root["license"]["name"] == "CC-BY-4.0"
    assert [person["name"] for person in root["author"]] == ["Ada Lovelace", "Emmy Noether"]
    assert root["author"][0].id == "https://orcid.org/0000-0002-1825-0097"
    assert {one["name"]: one["value"] for one in root["identifier"]} == {"recipe hash": catalog.id, "content hash": catalog.content_hash}
    build, export = root["mentions"]
    assert build["instrument"]["version"] == catalog.manifest.code_version
    programs = {one["name"]: one["version"] for one in export["instrument"]}
    assert (programs["deepstruc_hpc"], programs["numpy"]) == (__version__, np.__version__)
    recipe = yaml.safe_load((folder / build["object"].id).read_text())
    assert Recipe(**recipe).id == catalog.id


def test_every_file_of_the_crate_is_named_with_its_hash_and_nothing_else_is(folder):
    library = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    described = {one.id: one for one in library.ROCrate(folder).root_dataset["hasPart"]}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(described) == there - {"ro-crate-metadata.json", "export.json"}
    for name, one in described.items():
        assert one["sha256"] == sha256((folder / name).read_bytes()).hexdigest()
        assert int(one["contentSize"]) == (folder / name).stat().st_size


def test_no_licence_is_made_up(catalog, tmp_path):
    export_catalog(catalog, tmp_path / "c", "rocrate", limit=2)
    root = next(one for one in json.loads((tmp_path / "c" / "ro-crate-metadata.json").read_text())["@graph"] if one["@id"] == "./")
    assert root["license"] == "No licence is stated."
    assert "author" not in root
    assert "license" not in json.loads((tmp_path / "c" / "croissant.json").read_text())
    assert yaml.safe_load((tmp_path / "c" / "README.md").read_text().split("---")[1])["license"] == "unknown"
    with pytest.raises(ConfigError, match="SPDX"):
        Provenance("do what you want")
