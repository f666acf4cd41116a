"""The generator that docs/generators.md shows keeps the contract, and ``solve`` finds a structure with it alone."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from deepstruc_hpc import solve
from deepstruc_hpc.testing import check_generator, metal_curves

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The page's code as the file that it says."""
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "generators.md").read_text(), flags=re.DOTALL) if "class" in block
    )
    assert len(code.splitlines()) <= 40
    path = tmp_path_factory.mktemp("own") / "nearest.py"
    path.write_text(code)
    return f"{path}:NearestSphere"


def test_the_class_of_the_page_keeps_the_contract(own):
    assert len(check_generator(own, curves=metal_curves()[:1], n_samples=6).passed) == 11


def test_solve_with_it_alone(own, tmp_path):
    """The sample is a truncated octahedron of 100 Pt atoms, which is no sphere: the searches start from the sphere's filling."""
    settings = {"model": own, "sources": "cvae", "samples": 12, "neighbours": 60, "workers": 0, "progress": False}
    frame = solve(ROOT / "examples" / "pdfs" / "sample-02-Pt.gr", tmp_path, **settings)
    assert (frame["status"].iloc[0], frame["structure_type"].iloc[0]) == ("ok", "fcc")
    assert abs(frame["n_atoms"].iloc[0] - 100) <= 15
    (folder,) = (path.parent for path in tmp_path.glob("*/candidates.csv"))
    assert set(pd.read_csv(folder / "candidates.csv")["source"]) == {"nearest-sphere", "neighbour"}
    assert json.loads((folder / "result.json").read_text())["details"]["sources"]["nearest-sphere"]["candidates"] > 0
    again = solve(ROOT / "examples" / "pdfs" / "sample-02-Pt.gr", tmp_path, **settings)
    assert again["seconds"].tolist() == frame["seconds"].tolist()  # not solved again: the same file, the same generator
