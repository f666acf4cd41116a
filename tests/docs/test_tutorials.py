"""The tutorials run from the first cell to the last, and what they show is what they printed."""

import importlib.util
import json
import re

import pandas as pd
import pytest

from tests.docs.pages import DOCS

TUTORIALS = sorted(path.stem for path in (DOCS / "tutorials").glob("*.ipynb"))
SECONDS = 1800


@pytest.fixture(scope="module")
def runner():
    pytest.importorskip("nbclient", reason="the tools of the tutorials are not installed: pip install '.[docs]' -c constraints.txt")
    pytest.importorskip("ipykernel")
    spec = importlib.util.spec_from_file_location("run_tutorials", DOCS / "tutorials" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(SECONDS)
def test_a_folder_from_a_beamline(runner, tmp_path):
    """Two samples are found and the broken file is a row with its reason, as the text says."""
    runner.run("beamline-folder", tmp_path)
    table = pd.read_csv(tmp_path / "docs/tutorials/tutorial-output/solved/summary.csv")
    table.index = [path.split("/")[-1] for path in table["file"]]
    assert table["status"].to_dict() == {"ceria.gr": "ok", "sample-02-Pt.gr": "ok", "scan-003.gr": "failed"}
    assert table.loc["ceria.gr", "phase"] == "CeO2 fluorite"


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
def test_a_catalog_and_a_model_for_a_new_material(runner, tmp_path):
    runner.run("new-material", tmp_path)
    made = tmp_path / "docs/tutorials/tutorial-output"
    losses = [json.loads(line)["val_loss"] for line in (made / "run/epochs.jsonl").read_text().splitlines()]
    assert min(losses) < losses[0], "the training learned nothing"
    table = pd.read_csv(made / "solved-cuprite/summary.csv")
    assert table.loc[0, "status"] == "ok"
    sources = set(pd.read_csv(made / "solved-cuprite/sample/candidates.csv")["source"])
    assert {"cvae", "catalog"} <= sources, "catalog or model were not asked"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(SECONDS)
def test_a_sweep_on_a_cluster(runner, tmp_path):
    runner.run("sweep-on-a-cluster", tmp_path)
    table = pd.read_csv(tmp_path / "docs/tutorials/tutorial-output/stability/stability.csv")
    assert len(table) == 1


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_cell_was_run_and_shows_what_it_printed(name):
    """Fails when a notebook is changed and not run again (``make tutorials``), or keeps a path of somebody's machine."""
    cells = [cell for cell in json.loads((DOCS / "tutorials" / f"{name}.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert [output for output in outputs if output["output_type"] == "error"] == []
    shown = json.dumps([{key: value for key, value in output.items() if key != "data"} for output in outputs])
    assert re.findall(r"/(?:tmp|home|root|work|Users)/\S*", shown) == []
