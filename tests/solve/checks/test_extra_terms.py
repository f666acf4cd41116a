"""Solve with something beside the particle: the term is named, drawn, and leaves the answer; without one nothing changes."""

import json

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.physics.extra_terms import Term, term_curves
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.term_search import MOST_SHARE
from deepstruc_hpc.report.figures import fit_figure
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.checks.extra_terms import _averaged
from deepstruc_hpc.solve.config import RankSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import rank
from deepstruc_hpc.solve.run.batch import solve
from tests.solve.conftest import write_gr

COMMON = {"sources": "catalog", "workers": 0, "local_shapes": 0, "qdamp": 0.03}
CONDITIONS = Instrument(radiation="xray", qmin=0.8, qmax=22.0, qdamp=0.03, qbroad=0.0)
HALO = Term("halo", 1.5, 0.3)


def with_halo(path, amplitude, composition):
    """Add a halo to a file's curve, as a part of its RMS, and write its composition."""
    lines = path.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("#L")) + 1
    r, g = np.array([line.split() for line in lines[start:]], dtype=float).T
    halo = term_curves([HALO], r, CONDITIONS)[:, 0]
    g = g + amplitude * g[r > 2].std() / halo[r > 2].std() * halo
    head = [f"composition = {composition}" if line.startswith("composition") else line for line in lines[:start]]
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n")


@pytest.fixture(scope="module")
def looked_at(shapes_store, shape_of, tmp_path_factory):
    """A decahedron alone and with a halo, with and without terms."""
    folder, out = tmp_path_factory.mktemp("terms"), tmp_path_factory.mktemp("out")
    for name, amplitude, composition in (("solvent", 0.25, "Pt"), ("named", 0.0, "Pt60 S20 C40 H60")):
        write_gr(folder / f"{name}.gr", shape_of("decahedral"), composition=composition)
        if amplitude:
            with_halo(folder / f"{name}.gr", amplitude, composition)
    rows = {}
    for name, terms in (("with", True), ("without", False)):
        frame = solve(folder, out / name, catalog=shapes_store, terms=terms, **COMMON)
        rows[name] = {row.folder: row for row in frame.itertuples()}
    return out, rows


def test_a_halo_is_kept_named_and_takes_little_of_the_model(looked_at):
    out, rows = looked_at
    row, before = rows["with"]["solvent"], rows["without"]["solvent"]
    details = json.loads((out / "with" / "solvent" / "result.json").read_text())["details"]["terms"]
    assert "ligand_term" in row.flags.split(";")
    assert row.structure_type == "decahedral"
    assert "beside the particle: a halo at 1." in row.message
    assert f"Rw {row.rw:.3f} with, {before.rw:.3f} without" in row.message
    assert row.rw < 0.8 * before.rw
    assert details["kept"]
    assert details["share_of_model"] <= MOST_SHARE
    assert details["rw_without"] == pytest.approx(before.rw, abs=1e-3)


def test_its_curve_stands_beside_the_fit(looked_at):
    out, _ = looked_at
    table = pd.read_csv(out / "with" / "solvent" / "fit.csv")
    assert list(table.columns) == ["r", "g_obs", "g_calc", "difference", "g_term"]
    halo = term_curves([HALO], table["r"].to_numpy(), CONDITIONS, low_q=1.2)[:, 0]
    assert np.corrcoef(halo, table["g_term"])[0, 1] > 0.9
    drawn = [line.get_label() for line in fit_figure(table).axes[0].get_lines()]
    assert "beside the particle" in drawn


def test_without_a_term_in_the_data_nothing_changes(looked_at):
    """Even where the sample names ligands."""
    (out, rows), name = looked_at, "named"
    for part in ("fit.csv", "candidates.csv", "types.csv"):
        assert (out / "with" / name / part).read_text() == (out / "without" / name / part).read_text()
    assert rows["with"][name].message == rows["without"][name].message
    assert rows["with"][name].flags == rows["without"][name].flags
    assert "terms" not in json.loads((out / "with" / name / "result.json").read_text())["details"]


def test_where_two_rankings_disagree_the_answer_is_no_surer_than_both(tmp_path, shape_of):
    measurement = describe(read_pdf(write_gr(tmp_path / "a.gr", shape_of("decahedral"))), SolveSettings())
    shapes = [Candidate(shape_of(kind), "catalog") for kind in ("decahedral", "icosahedral", "fcc")]
    shapes += [Candidate(Structure.of_element("Pt", shapes[0].structure.positions[:-9], "decahedral"), "catalog")]
    fitted = fit(CandidateSet(tuple(shapes)), measurement)
    other = fitted.with_fits(fitted.fits.take(np.array([1, 0, 2, 3])))  # as if the icosahedron fitted as the decahedron does

    def ranked(candidates):
        return rank(candidates, Posterior.of(candidates, measurement, RankSettings()))

    first, second = ranked(fitted), ranked(other)
    assert first.first.kind != second.first.kind
    mean = _averaged(first, second)
    assert mean.probability.sum() == pytest.approx(1.0)
    for lattice in ("decahedral", "icosahedral", "fcc"):
        shares = [float(one.probability[one.candidates.lattices == lattice].sum()) for one in (first, second, mean)]
        assert shares[2] == pytest.approx(0.5 * (shares[0] + shares[1]))
    assert mean.lattice_probability == pytest.approx(max(mean.types["probability"]))
