"""After the ranking: srfit's last word, and whether the curve is of a mixture."""

import json

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.report.results import read_results
from deepstruc_hpc.solve.run.batch import solve
from tests.solve.conftest import write_gr

COMMON = {"sources": "catalog", "workers": 0}
NAMES = ("scale", "zoom", "uiso", "delta2")


def write_mixture(path, parts, seed=0):
    """A curve of several clusters of platinum, each with its share of the weight and its own strain."""
    r = np.arange(0.0, 22.0, 0.02)
    g = np.zeros(len(r))
    for structure, share, strain in parts:
        g += share * simulate_pdf(structure.symbols, structure.positions * strain, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.007, delta2=2.0)
    g = 0.4 * g + 0.008 * g.std() * np.random.default_rng(seed).normal(size=len(r))
    rows = "\n".join(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))
    path.write_text(f"[DEFAULT]\nversion = pdfgetx3-2.1.2\nmode = xray\ncomposition = Pt\nqmin = 0.8\nqmax = 22.0\n#### start data\n#L r G\n{rows}\n")
    return path


@pytest.fixture(scope="module")
def looked_at(shapes_store, shape_of, tmp_path_factory):
    """Two mixtures and three pure particles, all asked for a mixture."""
    folder = tmp_path_factory.mktemp("mixtures")
    icosahedron, fcc, decahedron = (shape_of(kind) for kind in ("icosahedral", "fcc", "decahedral"))
    write_mixture(folder / "mixed.gr", [(icosahedron, 0.6, 0.995), (fcc, 0.4, 1.004)])
    write_mixture(folder / "other.gr", [(decahedron, 0.35, 1.0), (icosahedron, 0.65, 1.0)], seed=1)
    for structure in (icosahedron, fcc, decahedron):
        write_gr(folder / f"pure-{structure.structure_type}.gr", structure)
    out = tmp_path_factory.mktemp("out")
    frame = solve(folder, out, catalog=shapes_store, mixtures=True, **COMMON)
    return out, {row.folder: row for row in frame.itertuples()}


@pytest.mark.parametrize(("name", "shares"), [("mixed", {"icosahedral": 0.6, "fcc": 0.4})])
def test_a_mixture_is_recognised_with_its_shares_of_the_weight(looked_at, name, shares):
    out, rows = looked_at
    table = pd.read_csv(out / name / "mixture.csv")
    assert table["kept"].all(), table.to_string()
    assert set(table["structure_type"]) == set(shares)
    for row in table.itertuples():
        assert row.weight_fraction == pytest.approx(shares[row.structure_type], abs=0.05)
        assert 0 < row.weight_fraction_err < 0.05
    assert "a mixture explains the curve better" in rows[name].message
    assert json.loads((out / name / "result.json").read_text())["details"]["mixture"]["kept"] is True


@pytest.mark.parametrize("kind", ["icosahedral", "fcc", "decahedral"])
def test_a_pure_particle_is_not_called_a_mixture(looked_at, kind):
    out, rows = looked_at
    assert rows[f"pure-{kind}"].structure_type == kind
    assert "mixture" not in rows[f"pure-{kind}"].message
    assert "several sizes" not in rows[f"pure-{kind}"].message
    assert json.loads((out / f"pure-{kind}" / "result.json").read_text())["details"]["mixture"]["kept"] is False


def test_nobody_who_did_not_ask_gets_a_second_look(measured, shapes_store, tmp_path):
    solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, **COMMON)
    assert not (tmp_path / "fcc" / "mixture.csv").exists()
    assert not (tmp_path / "fcc" / "verify.csv").exists()


def test_srfit_stands_beside_our_fit(measured, shapes_store, tmp_path):
    """From a start away from our minimum it comes to the same Rw, and within its uncertainty to the same parameters."""
    frame = solve(measured / "decahedral.gr", tmp_path, catalog=shapes_store, verify="srfit", rmax=14, **COMMON)
    table = pd.read_csv(tmp_path / "decahedral" / "verify.csv")
    assert frame["status"].tolist() == ["ok"]
    assert table["rank"].tolist() == list(range(1, 11))
    assert table["message"].isna().all()
    first = table.iloc[0]
    assert first["rw_srfit"] == pytest.approx(first["rw"], abs=1e-3)
    for name in NAMES:
        assert abs(first[f"{name}_srfit"] - first[name]) < 2 * first[f"{name}_srfit_err"] + 1e-6
    assert (table["rw_srfit"] <= table["rw"] + 5e-3).all()
    assert "srfit refined 10 of 10" in json.loads((tmp_path / "decahedral" / "result.json").read_text())["details"]["verify"]
    (shown,) = read_results(tmp_path).pdfs
    assert shown.verify is not None


def test_a_failing_srfit_fails_nothing(measured, shapes_store, tmp_path, monkeypatch):
    def broken(*_arguments, **_names):
        raise RuntimeError("srfit is out of order")

    monkeypatch.setattr("deepstruc_hpc.physics.diffpy_bridge.refine_with_srfit", broken)
    frame = solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, verify="srfit", **COMMON)
    assert frame["status"].tolist() == ["ok"]
    table = pd.read_csv(tmp_path / "fcc" / "verify.csv")
    assert table["message"].str.contains("out of order").all()
    assert table["rw_srfit"].isna().all()


def test_no_figures_means_none_in_the_report_either(measured, shapes_store, tmp_path):
    command = ["solve", str(measured / "fcc.gr"), str(measured / "icosahedral.gr"), "--out", str(tmp_path / "out"), "--no-figures"]
    assert run([*command, "--catalog", shapes_store, "--sources", "catalog", "--workers", "0"]) == 0
    assert (tmp_path / "out" / "index.html").is_file()
    assert not list((tmp_path / "out").rglob("*.png"))


def test_shares_of_two_metals_count_mass_and_scattering():
    """Equal weights of platinum and nickel as small clusters: fails when scales are taken for shares."""
    from deepstruc_hpc.core.curve import PdfCurve
    from deepstruc_hpc.physics.form_factors import atomic_mass, xray_form_factor
    from deepstruc_hpc.physics.instrument import Instrument
    from deepstruc_hpc.physics.phases import PhaseModel

    steps = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3) if (i + j + k) % 2 == 0], dtype=float)
    clusters = [Structure.of_element(symbol, steps * d / np.sqrt(2)) for symbol, d in (("Pt", 2.775), ("Ni", 2.49))]
    instrument = Instrument(qmin=0.8, qmax=22.0)
    r = np.arange(2.0, 12.0, 0.02)
    atoms = np.array([1 / atomic_mass("Pt"), 1 / atomic_mass("Ni")])
    squared = np.array([float(xray_form_factor(symbol, np.zeros(1))[0]) ** 2 for symbol in ("Pt", "Ni")])
    curves = [simulate_pdf(one.symbols, one.positions, r, uiso=0.006, delta2=1.0, **instrument.model_dump()) for one in clusters]
    g = sum(amount * factor * curve for amount, factor, curve in zip(atoms, squared, curves, strict=True)) * 0.1
    model = PhaseModel(clusters, PdfCurve(r, g), instrument, max_zoom=1.02)
    found = model.fit([0, 1], zooms=[1.003, 0.998], uiso=0.008, delta2=2.0, shared_zoom=False)
    assert found.rw < 1e-3
    assert found.weights == pytest.approx([0.5, 0.5], abs=0.01)
    assert found.uiso == pytest.approx(0.006, abs=2e-4)
