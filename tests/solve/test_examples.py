"""The fifteen example PDFs with default settings: what `make demo` prints is what a test knows."""

from pathlib import Path

import pandas as pd
import pytest

from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.lattices import lattice_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    found = solve(EXAMPLES / "pdfs", tmp_path_factory.mktemp("examples") / "out", workers=0)
    found = found.assign(file=[Path(path).name for path in found["file"]])
    return pd.read_csv(EXAMPLES / "truth" / "truth.csv").merge(found, on="file", suffixes=("_true", "_found"))


def test_every_example_has_its_lattice_first(table):
    assert len(table) == 15
    true, found = (table[f"structure_type_{which}"].map(lattice_of) for which in ("true", "found"))
    assert (true == found).all(), table.loc[true != found, ["file", "structure_type_true", "structure_type_found"]]


def test_sizes_are_within_five_per_cent_but_for_two_at_most(table):
    away = (table["n_atoms_found"].astype(float) / table["n_atoms_true"] - 1.0).abs()
    assert (away <= 0.05).sum() >= 13, table.assign(away=away)[["file", "n_atoms_true", "n_atoms_found", "away"]]
    assert away.max() < 0.12


def test_the_true_size_lies_within_the_range_of_diameters_that_fit_alike(table):
    ratio = (table["n_atoms_true"] / table["n_atoms_found"].astype(float)) ** (1 / 3)
    inside = (ratio * table["diameter"] >= 0.98 * table["diameter_low"]) & (ratio * table["diameter"] <= 1.02 * table["diameter_high"])
    assert inside.all(), table.loc[~inside, ["file", "n_atoms_true", "n_atoms_found", "diameter_low", "diameter", "diameter_high"]]
