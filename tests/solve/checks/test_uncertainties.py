"""χ² beside Rw: 1 where noise is what the file says, and no fit changes with a file's dG."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.checks.uncertainties import WITHIN, chi_square_in_words, reduced_chi_square
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.run.batch import solve


def measurement_of(r, dg):
    g = np.exp(-0.5 * ((r - 2.8) / 0.1) ** 2)
    return describe(PdfCurve(r, g, dg=dg, source="x.gr"), SolveSettings(elements=("Au",)))


@pytest.mark.parametrize("step", [0.01, 0.1])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_chi_square_is_that_of_independent_points_on_any_grid(step, factor):
    """Noise that is a sine transform of white noise in S(Q), as of counting; fails where the points of a grid count as independent."""
    r, q = np.arange(0.0, 30.0, step), np.arange(0.8, 25.0, 0.02)
    found = []
    for seed in range(20):
        noise = np.sin(np.outer(r, q)) @ (q * np.random.default_rng(seed).normal(size=len(q)))
        dg = np.full(len(r), np.sqrt(0.5 * (q**2).sum()))
        measurement = measurement_of(r, factor * dg)
        inside = (r >= 2.0) & (r <= measurement.rmax)
        found.append(reduced_chi_square(pd.DataFrame({"r": r[inside], "difference": noise[inside]}), measurement))
    n = measurement.independent_points()
    assert np.mean(found) == pytest.approx(n / (n - 4) / factor**2, rel=0.06)


def test_without_uncertainties_or_freedom_there_is_none():
    r = np.arange(0.0, 30.0, 0.05)
    fit = pd.DataFrame({"r": r[r >= 2.0], "difference": 0.1})
    assert reduced_chi_square(fit, measurement_of(r, None)) is None
    few = SimpleNamespace(curve=PdfCurve(r, r, dg=1.0 + 0 * r), independent_points=lambda _: 4.0)
    assert reduced_chi_square(fit, few) is None


def test_words_say_whether_the_noise_is_all():
    assert "within them" in chi_square_in_words(WITHIN)
    assert "misses is larger" in chi_square_in_words(WITHIN + 0.1)


@pytest.mark.parametrize("dg", ["flat", "grows"])
def test_dg_changes_no_answer_and_chi_square_is_told(measured, shapes_store, tmp_path, dg):
    lines = (measured / "fcc.gr").read_text().splitlines()
    r = np.array([float(line.split()[0]) if line[:1].isdigit() else np.nan for line in lines])
    level = 0.05 if dg == "flat" else 0.01
    given = [
        line if np.isnan(x) else f"{' '.join(line.split()[:2])} {level * (1.0 if dg == 'flat' else 1.0 + x):.5g}"
        for line, x in zip(lines, r, strict=True)
    ]
    bare = [line if np.isnan(x) else " ".join(line.split()[:2]) for line, x in zip(lines, r, strict=True)]
    settings = {"catalog": shapes_store, "sources": "catalog", "workers": 0, "qdamp": 0.03, "local_shapes": 0}
    answers = {}
    for name, text in (("with", given), ("without", bare)):
        (tmp_path / f"{name}.gr").write_text("\n".join(line for line in text if not line.startswith("#L")) + "\n")
        solve(tmp_path / f"{name}.gr", tmp_path / "out", **settings)
        answers[name] = pd.read_csv(tmp_path / "out" / name / "candidates.csv")
    pd.testing.assert_frame_equal(answers["with"], answers["without"])
    details = json.loads((tmp_path / "out" / "with" / "result.json").read_text())["details"]
    assert details["chi_square"] > 0
    assert any("χ² of rank 1" in note for note in details["notes"])
    assert "chi_square" not in json.loads((tmp_path / "out" / "without" / "result.json").read_text())["details"]
