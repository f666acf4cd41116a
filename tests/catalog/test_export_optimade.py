"""OPTIMADE: every line is an entry by the specification's own models, and the specification's own server serves and its validator passes it."""

import json
import warnings
from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.formats.export import export_catalog
from deepstruc_hpc.catalog.formats.optimade import anonymous_formula, reduced_formula
from deepstruc_hpc.data.catalog_store import Catalog
from tests.catalog.recipes import small_recipe

OXIDE = {"family": "crystal_cut", "limit": 4, "options": {"crystals": ["TiO2 rutile"], "aspects": [1.0]}}
RECIPE = small_recipe(max_atoms=40, families=("octahedral", "decahedral", OXIDE), limit=12)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    place = tmp_path_factory.mktemp("store") / "s"
    build_catalog(RECIPE, place, workers=0, progress=False)
    return Catalog.open(place)


@pytest.fixture(scope="module")
def exported(catalog, tmp_path_factory):
    path = tmp_path_factory.mktemp("optimade") / "a.jsonl"
    export_catalog(catalog, path, "optimade")
    return path


@pytest.fixture
def models():
    return pytest.importorskip("optimade.models", reason="optimade is not installed")


def test_every_line_is_an_entry_by_the_models(catalog, exported, models):
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    assert lines[0]["x-optimade"]["meta"]["api_version"] == "1.2.0"
    entries = [models.StructureResource(**line) for line in lines[2:]]
    table = catalog.columns
    assert [entry.id for entry in entries] == table["id"].tolist()
    for number, entry in enumerate(entries):
        structure = catalog[number]
        assert tuple(entry.attributes.species_at_sites) == structure.symbols
        np.testing.assert_allclose(entry.attributes.cartesian_site_positions, structure.positions, atol=1e-6)
        assert entry.attributes.nperiodic_dimensions == 0
    fields = lines[1]["properties"]
    own = {name for line in lines[2:] for name in line["attributes"] if name.startswith("_")}
    assert own <= set(fields)
    assert lines[-1]["attributes"]["_deepstruc_structure_type"] == table["structure_type"].iloc[-1]


@pytest.mark.parametrize(
    ("symbols", "reduced", "anonymous"),
    [("Au" * 1, "Au", "A"), ("TiOO", "O2Ti", "A2B"), ("AuAuCuCu", "AuCu", "AB"), ("FeFeOOOO", "FeO2", "A2B"), ("AuAuAu", "Au", "A")],
)
def test_formulas_are_reduced_and_in_the_specifications_order(symbols, reduced, anonymous):
    import re

    counts = Counter(re.findall("[A-Z][a-z]?", symbols))
    assert (reduced_formula(counts), anonymous_formula(counts)) == (reduced, anonymous)


class InProcess:
    """A client of the validator that asks an application in this process."""

    def __init__(self, client):
        self._client, self.base_url, self.last_request, self.response = client, "http://example.org/v1", None, None

    def get(self, request):
        self.last_request = request if request.startswith("http") else f"{self.base_url}/{request.lstrip('/')}"
        self.response = self._client.get(self.last_request)
        return self.response


def test_its_own_server_serves_it_and_its_own_validator_passes_it(catalog, exported, models, monkeypatch):
    pytest.importorskip("mongomock", reason="optimade[server] is not installed")
    settings = json.loads(exported.with_name("a.jsonl.server.json").read_text())
    monkeypatch.setenv("OPTIMADE_CONFIG_FILE", str(exported.with_name("a.jsonl.server.json")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient
        from optimade.server.config import ServerConfig
        from optimade.server.create_app import create_app
        from optimade.validator import ImplementationValidator

        app = create_app(ServerConfig(insert_from_jsonl=exported, base_url="http://example.org", **settings))
        with TestClient(app, base_url="http://example.org") as client:
            found = client.get("/structures", params={"filter": 'elements HAS "Ti" AND _deepstruc_family="crystal_cut"'}).json()
            wanted = catalog.query('elements == "O-Ti"')["id"]
            assert sorted(one["id"] for one in found["data"]) == sorted(wanted)
            assert found["data"][0]["attributes"]["_deepstruc_crystal"] == "TiO2 rutile"
            assert "_deepstruc_diameter" in client.get("/info/structures").json()["data"]["properties"]
            validator = ImplementationValidator(client=InProcess(client), fail_fast=False, run_optional_tests=False)
            validator.validate_implementation()
    assert validator.valid, validator.results
    assert validator.results.success_count >= 40
