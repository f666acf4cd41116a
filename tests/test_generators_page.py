"""The generators of docs/generators.md keep the contract, and ``solve`` finds a structure with the page's own alone."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc import PdfCurve, simulate_pdf, solve
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.template_lattices import DEFAULT_RADIUS as RADIUS
from deepstruc_hpc.structures.template_lattices import template_lattice
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
    """The sample is a truncated octahedron of 100 Pt atoms, which is no sphere: the searches start from the sphere's occupation."""
    settings = {"model": own, "sources": "cvae", "samples": 12, "local_shapes": 60, "workers": 0, "progress": False}
    frame = solve(ROOT / "examples" / "pdfs" / "sample-02-Pt.gr", tmp_path, **settings)
    assert (frame["status"].iloc[0], frame["structure_type"].iloc[0]) == ("ok", "fcc")
    assert abs(frame["n_atoms"].iloc[0] - 100) <= 15
    (folder,) = (path.parent for path in tmp_path.glob("*/candidates.csv"))
    assert set(pd.read_csv(folder / "candidates.csv")["source"]) == {"nearest-sphere", "neighbour"}
    assert json.loads((folder / "result.json").read_text())["details"]["sources"]["nearest-sphere"]["candidates"] > 0
    again = solve(ROOT / "examples" / "pdfs" / "sample-02-Pt.gr", tmp_path, **settings)
    assert again["seconds"].tolist() == frame["seconds"].tolist()  # not solved again: the same file, the same generator


def test_the_second_generator_keeps_the_contract_and_knows_its_own_shapes(monkeypatch):
    """A small library: a curve of one of its shapes gives that shape first."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from nearest_pdf import NearestPdf

    generator = NearestPdf(shapes=40)
    assert len(check_generator(generator, curves=metal_curves()[:1], n_samples=6, reopen=False).passed) == 10
    own = template_lattice(generator.names[int(generator.library.template[7])], RADIUS)
    mask = np.unpackbits(generator.library.mask[7], count=len(own)).astype(bool)
    structure = own.structure(mask, "Pt", nn_distance("Pt", "twelve"))
    r = np.arange(1.5, 25.0, 0.02)
    curve = PdfCurve(r, simulate_pdf(structure.symbols, structure.positions, r, qmax=20.0, qdamp=0.02, uiso=0.006), source="own")
    (first,) = generator.propose(curve, symbol="Pt", n_samples=1, sigma=3.0, rng=np.random.default_rng(0), instrument=Instrument(qdamp=0.02))
    assert (first.template, len(first.structure)) == (own.name, len(structure))
