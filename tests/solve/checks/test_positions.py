"""Relaxation of rank 1: told apart from the rigid answer, and no part of the ranking."""

import json

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.solve.run.batch import solve
from tests.solve.conftest import write_gr


@pytest.fixture(scope="module")
def strained(tmp_path_factory, shape_of):
    """A decahedron whose surface has drawn in."""
    whole = shape_of("decahedral").centred()
    radius = np.linalg.norm(whole.positions, axis=1)
    moved = whole.positions * (1 - 0.03 * (radius / radius.max()) ** 4)[:, None]
    return write_gr(tmp_path_factory.mktemp("strained") / "dec.gr", Structure.of_element("Pt", moved, "decahedral"))


@pytest.fixture(scope="module")
def folders(strained, shapes_store, tmp_path_factory):
    out = tmp_path_factory.mktemp("relaxed")
    for name, relax in (("with", True), ("without", False)):
        solve(strained, out / name, catalog=shapes_store, sources="catalog", local_shapes=0, refine_positions=relax, workers=0)
    return out / "with" / "dec", out / "without" / "dec"


def test_a_drawn_in_surface_fits_better_once_the_atoms_may_move(folders):
    folder, _ = folders
    details = json.loads((folder / "result.json").read_text())["details"]["relaxed"]
    assert details["rw_after"] < 0.7 * details["rw_before"]
    assert details["rw_before"] == pytest.approx(pd.read_csv(folder / "candidates.csv")["rw"].iloc[0], abs=0.01)
    assert 0.005 < details["moved_mean"] <= details["moved_max"] < 0.5


def test_the_file_holds_atoms_that_moved_as_far_as_is_said(folders):
    folder, _ = folders
    details = json.loads((folder / "result.json").read_text())["details"]["relaxed"]
    rigid, moved = (read_structure(folder / name).centred().positions for name in ("rank-001.xyz", details["file"]))
    assert np.linalg.norm(rigid - moved, axis=1).max() == pytest.approx(details["moved_max"], abs=2e-3)


def test_no_rank_depends_on_it(folders):
    first, second = (pd.read_csv(folder / "candidates.csv") for folder in folders)
    assert first.equals(second)
    assert not (folders[1] / "relaxed-001.xyz").exists()
