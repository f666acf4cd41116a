import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc import read_pdf, solve
from deepstruc_hpc.data.structure_files import read_structure

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "compounds"
TRUTH = pd.read_csv(FOLDER / "truth.csv")
ROWS = [pytest.param(row, id=row.file) for row in TRUTH.itertuples()]


@pytest.fixture(scope="module")
def script():
    """The script imports the one for metals, which lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER.parent))
        patch.delitem(sys.modules, "make_example_pdfs", raising=False)
        spec = importlib.util.spec_from_file_location("make_compound_pdfs", FOLDER.parent / "make_compound_pdfs.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def test_each_file_has_its_truth(script):
    assert sorted(TRUTH["file"]) == sorted(path.name for path in FOLDER.glob("*.gr")) == sorted(f"{one.name}.gr" for one in script.COMPOUNDS)


@pytest.mark.parametrize("row", ROWS)
def test_a_reader_takes_the_file_without_a_note_and_with_its_composition(row):
    curve = read_pdf(FOLDER / row.file)
    assert curve.notes == ()
    assert (curve.header["qmin"], curve.header["qmax"], curve.header["program"]) == (row.qmin, row.qmax, "PDFgetX3")
    assert curve.header["composition"] in {"CeO2", "TiO2"}
    assert "qdamp" not in curve.header


@pytest.mark.parametrize("row", ROWS)
def test_the_true_structure_explains_its_pdf_up_to_the_noise(row, script):
    curve = read_pdf(FOLDER / row.file)
    truth = read_structure(FOLDER / f"{Path(row.file).stem}.xyz")
    assert (len(truth), truth.formula) == (row.n_atoms, row.formula)
    compound = next(one for one in script.COMPOUNDS if f"{one.name}.gr" == row.file)
    seen = curve.r > 1.5
    calculated = script.clean_pdf(compound, truth, curve.r[seen])
    rw = np.sqrt(((curve.g[seen] - calculated) ** 2).sum() / (curve.g[seen] ** 2).sum())
    assert rw == pytest.approx(row.noise, rel=0.1)


@pytest.mark.parametrize("row", ROWS)
def test_the_script_gives_the_committed_files_again(row, script):
    compound = next(one for one in script.COMPOUNDS if f"{one.name}.gr" == row.file)
    structure = script.build(compound)
    r, g = script.measure(compound, structure)
    curve = read_pdf(FOLDER / row.file)
    np.testing.assert_allclose(r, curve.r)
    np.testing.assert_allclose(g, curve.g, rtol=1e-3, atol=1e-5)
    held = read_structure(FOLDER / f"{compound.name}.xyz")
    assert held.symbols == structure.symbols
    np.testing.assert_allclose(held.positions, structure.positions, atol=1e-4)
    made, wanted = pd.Series(script.truth(compound, structure)), TRUTH[TRUTH["file"] == row.file].iloc[0].dropna()
    assert dict(made) == dict(wanted)


def test_the_pages_print_what_the_command_prints(tmp_path):
    """Fails where the first thing that a reader sees is an answer of an earlier version."""
    found = solve(FOLDER, tmp_path / "solved", workers=0).set_index("file")
    found.index = [Path(name).name for name in found.index]
    row = re.compile(r"^(\S+\.gr) +(.+?) {2,}(\d+) +([\d.]+) \(([\d.]+)–([\d.]+)\) +([\d.]+) +([\d.]+) +ok", re.MULTILINE)
    for page in (ROOT / "README.md", ROOT / "docs" / "first-steps.md"):
        printed = {name: (phase, *map(float, numbers)) for name, phase, *numbers in row.findall(page.read_text(encoding="utf-8"))}
        assert set(printed) == set(found.index)
        for name, (phase, atoms, diameter, low, high, rw, probability) in printed.items():
            now = found.loc[name]
            assert phase == now["phase"]
            assert atoms == pytest.approx(now["n_atoms"], rel=0.02)
            assert (diameter, low, high) == pytest.approx(now[["diameter", "diameter_low", "diameter_high"]].astype(float).tolist(), abs=0.4)
            assert (rw, probability) == pytest.approx((now["rw"], now["probability"]), abs=0.01)
