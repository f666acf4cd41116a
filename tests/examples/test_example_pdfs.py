import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc import read_pdf, simulate_pdf
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.structures.fingerprint import fingerprint

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRUTH = pd.read_csv(EXAMPLES / "truth" / "truth.csv")
ROWS = [pytest.param(row, id=row.file) for row in TRUTH.itertuples()]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_example_pdfs", EXAMPLES / "make_example_pdfs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RECIPES = [load_recipe(name) for name in ("demo", "monometallic")]


def test_the_examples_cover_every_type_of_the_catalog_and_each_file_has_its_truth():
    assert set(TRUTH["structure_type"]) >= {*make_plan(RECIPES[0]).counts(), *make_plan(RECIPES[1]).counts()}
    assert sorted(TRUTH["file"]) == sorted(path.name for path in (EXAMPLES / "pdfs").iterdir())
    assert len(TRUTH) >= 12


def test_no_example_is_a_shape_of_a_catalog_that_the_demo_uses_or_of_the_papers():
    plans = [make_plan(recipe) for recipe in RECIPES]
    shipped = {(one := plan.structure(number)).fingerprint: one.shape.name for plan in plans for number in range(len(plan))}
    compact = Catalog.open(share_dir("catalog") / "compact.zarr").columns
    shipped |= dict(zip(compact["fingerprint"], compact["shape"], strict=True))
    assert len(shipped) > 3000
    found = {row.file: read_structure(EXAMPLES / "truth" / f"{Path(row.file).stem}.xyz") for row in TRUTH.itertuples()}
    assert {file: shipped.get(fingerprint(structure, scale_free=True)) for file, structure in found.items()} == dict.fromkeys(found)


def true_shapes():
    """Fingerprint of each example's true shape."""
    return {file: fingerprint(read_structure(EXAMPLES / "truth" / f"{Path(file).stem}.xyz"), scale_free=True) for file in TRUTH["file"]}


@pytest.mark.slow
def test_no_example_is_a_shape_of_the_extended_recipe_random_ones_included():
    shipped = {shape.fingerprint for shape in make_plan(load_recipe("extended")).shapes}
    assert {file for file, mark in true_shapes().items() if mark in shipped} == set()


@pytest.mark.parametrize(("name", "count"), [("shapes", 0), pytest.param("random_shapes", 1, marks=pytest.mark.slow)])
def test_a_recipe_that_holds_shapes_of_examples_names_them_on_its_page(name, count):
    """``shapes`` holds none; ``random_shapes`` is what the model that comes with the program was trained on."""
    shipped = {shape.fingerprint for shape in make_plan(load_recipe(name)).shapes}
    found = {file for file, mark in true_shapes().items() if mark in shipped}
    page = (EXAMPLES.parent / "docs" / "recipes" / f"{name}.md").read_text()
    assert len(found) == count
    assert all(file.removesuffix(".gr") in page for file in found)


@pytest.mark.parametrize("row", ROWS)
def test_the_true_structure_explains_its_pdf_up_to_the_noise(row):
    curve = read_pdf(EXAMPLES / "pdfs" / row.file)
    assert curve.notes == ()
    assert (curve.header["qmin"], curve.header["qmax"], curve.header["program"]) == (row.qmin, row.qmax, "PDFgetX3")
    assert "qdamp" not in curve.header
    truth = read_structure(EXAMPLES / "truth" / f"{Path(row.file).stem}.xyz")
    assert (len(truth), truth.formula, truth.structure_type) == (row.n_atoms, row.formula, row.structure_type)
    seen = curve.r > 2.0
    calculated = row.scale * simulate_pdf(
        truth.symbols, truth.positions, curve.r[seen], qmin=row.qmin, qmax=row.qmax, qdamp=row.qdamp, uiso=row.uiso, delta2=row.delta2
    )
    rw = np.sqrt(((curve.g[seen] - calculated) ** 2).sum() / (curve.g[seen] ** 2).sum())
    assert rw == pytest.approx(row.noise, rel=0.1)


def test_the_script_gives_the_committed_files_again(script):
    example = script.EXAMPLES[9]
    r, g = script.measure(example, script.build(example))
    curve = read_pdf(EXAMPLES / "pdfs" / f"{example.name}.gr")
    np.testing.assert_allclose(r, curve.r)
    np.testing.assert_allclose(g, curve.g, rtol=1e-4, atol=1e-5)
