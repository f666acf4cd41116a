"""The chemiscope file has the documented format and holds what the tables hold."""

import gzip
import json

import jsonschema
import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.report.page import write_report
from tests.report.synthetic import write_results

NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}
WORDS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
AXIS = {"type": "object", "properties": {"property": {"type": "string"}, "scale": {"enum": ["linear", "log"]}}, "additionalProperties": False}


def closed(properties, required=()):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


SCHEMA = closed(
    {
        "meta": closed({"name": {"type": "string"}, "description": {"type": "string"}, "authors": WORDS, "references": WORDS}, ["name"]),
        "structures": {
            "type": "array",
            "items": closed({"size": {"type": "integer", "minimum": 1}, "names": WORDS, "x": NUMBERS, "y": NUMBERS, "z": NUMBERS},
                            ["size", "names", "x", "y", "z"]),
        },
        "properties": {
            "type": "object",
            "additionalProperties": closed(
                {"target": {"enum": ["structure", "atom"]}, "values": {"anyOf": [NUMBERS, WORDS]}, "units": {"type": "string"},
                 "description": {"type": "string"}},
                ["target", "values"],
            ),
        },
        "settings": closed(
            {
                "target": {"enum": ["structure", "atom"]},
                "map": closed({"x": AXIS, "y": AXIS, "z": AXIS, "color": AXIS, "symbol": {"type": "string"}}),
                "structure": {"type": "array", "items": closed({"bonds": {"type": "boolean"}, "spaceFilling": {"type": "boolean"}}), "maxItems": 9},
            }
        ),
    },
    ["structures", "properties"],
)  # fmt: skip
"""The documented format (chemiscope.org, JSON file format), as far as it is used here; nothing that it does not name."""


def load(out):
    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    return json.loads(gzip.decompress((out / "chemiscope.json.gz").read_bytes()), parse_constant=refuse)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    build_catalog(load_recipe("smoke"), folder / "smoke.zarr", workers=0, progress=False)
    return folder / "smoke.zarr"


@pytest.fixture(scope="module")
def solved(tmp_path_factory, store):
    """Results whose latent tables name shapes of a catalog that can be opened."""
    out = write_results(tmp_path_factory.mktemp("solved"))
    ids = list(Catalog.open(store).columns["id"])
    for number, folder in enumerate(("Au_a", "Au_b9")):
        latent = pd.read_csv(out / folder / "latent.csv")
        own = latent["kind"] == "catalog"
        latent.loc[own, "catalog_id"] = [ids[i] if i < len(ids) else "gone" for i in range(own.sum())]
        latent.loc[own, "rw"] = 0.5 - 0.1 * number
        latent.to_csv(out / folder / "latent.csv", index=False)
    document = json.loads((out / "summary.json").read_text())
    document["run"]["catalog"] = str(store)
    (out / "summary.json").write_text(json.dumps(document))
    write_report(out, figures=False)
    return out


def test_the_file_has_the_documented_format_and_every_array_its_length(solved):
    data = load(solved)
    jsonschema.validate(data, SCHEMA)
    assert {len(part["values"]) for part in data["properties"].values()} == {len(data["structures"])}
    for structure in data["structures"]:
        assert {len(structure[key]) for key in ("names", "x", "y", "z")} == {structure["size"]}
    used = data["settings"]["map"]
    assert {used["x"]["property"], used["y"]["property"], used["color"]["property"], used["symbol"]} <= set(data["properties"])


def test_a_candidate_is_the_structure_of_its_file_and_a_shape_that_of_the_catalog(solved, store):
    data = load(solved)
    kinds, files, ranks = (data["properties"][key]["values"] for key in ("kind", "pdf", "rank"))
    assert kinds.count("candidate") == 30  # the ten best of three PDFs
    place = next(i for i in range(len(kinds)) if (kinds[i], files[i], ranks[i]) == ("candidate", "Au_b9.gr", 4))
    expected = read_structure(solved / "Au_b9" / "rank-004.xyz").centred().positions
    found = np.array([data["structures"][place][axis] for axis in "xyz"]).T
    np.testing.assert_allclose(found, expected, atol=6e-4)
    catalog = Catalog.open(store)
    assert kinds.count("catalog") == len(catalog)
    sizes = [data["properties"]["atoms"]["values"][i] for i in range(len(kinds)) if kinds[i] == "catalog"]
    assert sorted(sizes) == sorted(catalog.columns["n_atoms"])


def test_a_shape_carries_its_lowest_rw_over_the_directory(solved):
    data = load(solved)
    shapes = [i for i, kind in enumerate(data["properties"]["kind"]["values"]) if kind == "catalog"]
    assert {data["properties"]["Rw"]["values"][i] for i in shapes} == {0.4}
    assert {data["properties"]["pdf"]["values"][i] for i in shapes} == {"Au_b9.gr"}


def test_without_the_catalog_the_candidates_are_still_there(tmp_path):
    out = write_results(tmp_path)
    write_report(out, figures=False)
    assert set(load(out)["properties"]["kind"]["values"]) == {"candidate"}
    (out / "chemiscope.json.gz").unlink()
    write_report(out, figures=False, chemiscope=False)
    assert not (out / "chemiscope.json.gz").exists()
