"""Measured curves are solved: laws that any answer keeps. What is found for them is reported, and no test holds it."""

from pathlib import Path

import pandas as pd
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.solve.run.batch import solve

SHARED = Path(__file__).resolve().parents[4] / "shared"
DATA = SHARED / "data" / "experimental"
pytestmark = [
    pytest.mark.experimental,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measured curves are not beside the checkout (../shared/data/experimental)"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("shapes") / "shapes.zarr"
    build_catalog(load_recipe("shapes"), path, workers=0, progress=False)
    return path


@pytest.fixture(scope="module")
def solved(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("solved")
    frame = solve(DATA, out, catalog=store, sources="catalog", workers=0)
    return out, {Path(row.file).stem: row for row in frame.itertuples()}


@pytest.mark.parametrize("stem", ["Au144pMBA", "Au144PET_100K", "Pt_1p8nm"])
def test_the_answer_is_that_of_its_tables(solved, stem):
    out, rows = solved
    row, types = rows[stem], pd.read_csv(out / stem / "types.csv")
    assert row.status == "ok"
    assert types["probability"].sum() == pytest.approx(1.0, abs=1e-6)
    assert row.structure_type == types["structure_type"].iloc[0]
    assert row.rw == pytest.approx(types["best_rw"].iloc[0], rel=1e-3)
    if row.structure_type == "octahedral":
        assert "fcc crystal" in row.message


def test_ligands_in_the_header_are_left_out_and_said(solved):
    out, _ = solved
    assert "S, C left out" in (out / "Au144PET_100K" / "result.json").read_text()


def test_what_is_no_nanoparticle_is_refused_and_what_is_no_pdf_fails(store, tmp_path):
    frame = solve(DATA / "dialects", tmp_path, catalog=store, sources="catalog", workers=0)
    status = {Path(row.file).stem: row.status for row in frame.itertuples()}
    assert status["lcmo_too_short"] == "failed"
    assert {name for name, state in status.items() if state == "refused"} >= {"ni_pdfgetx2_nodg", "ni_pdfgetn_neutron", "c60_three_columns"}
