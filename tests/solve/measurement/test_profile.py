"""From the curve of a calibrant to the values that solve uses."""

import json
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.instrument_file import read_instrument
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.calibrants import calibrant_crystal

DIALECTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "experimental" / "dialects"


def write_calibrant(path, name="Ni", *, qdamp=0.045, qbroad=0.017, head="qmin = 0.8\nqmax = 24.0\nmode = xray", unit=1.0):
    crystal = calibrant_crystal(name)
    r = np.arange(1.0, 25.0, 0.02)
    seen = Instrument(qmin=0.8, qmax=24.0, qdamp=qdamp, qbroad=qbroad)
    g = 0.9 * simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, r, seen, uiso=0.006, delta2=2.0)
    g += 0.02 * g.std() * np.random.default_rng(1).normal(size=len(r))
    rows = "\n".join(f"{a * unit:.4f} {b:.6f}" for a, b in zip(r, g, strict=True))
    path.write_text(f"[DEFAULT]\nversion = pdfgetx3-2.1.2\n{head}\n#### start data\n#L r G\n{rows}\n")
    return path


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """The instrument file that the command writes for a curve whose header names nickel."""
    folder = tmp_path_factory.mktemp("calibrant")
    write_calibrant(folder / "Ni.gr", head="qmin = 0.8\nqmax = 24.0\nmode = xray\ncomposition = Ni")
    assert run(["calibrate", str(folder / "Ni.gr"), "--out", str(folder / "instrument.yaml")]) == 0
    return folder


def test_the_command_finds_what_was_put_in_and_says_from_where(calibrated):
    found = read_instrument(calibrated / "instrument.yaml")
    assert found.qdamp == pytest.approx(0.045, abs=0.002)
    assert found.qbroad == pytest.approx(0.017, abs=0.004)
    assert (found.qmin, found.qmax, found.radiation) == (0.8, 24.0, "xray")
    kept = found.calibration
    assert kept.calibrant == "Ni"
    assert kept.values["a"] == pytest.approx(3.5238, abs=1e-3)
    assert 0 < kept.errors["qdamp"] < 0.003
    assert len(kept.file_hash) == 24
    assert kept.program.startswith("deepstruc_hpc ")
    assert (calibrated / "instrument.png").stat().st_size > 10_000


def test_an_option_wins_over_the_file_and_the_file_over_header_and_default(calibrated):
    curve = PdfCurve(np.arange(0.0, 30.0, 0.01), np.ones(3000), header={"qdamp": 0.06, "qmax": 24.0, "radiation": "neutron"}, source="x.gr")
    found = describe(curve, SolveSettings(instrument=calibrated / "instrument.yaml", elements="Au"))
    assert found.instrument.qdamp == pytest.approx(0.045, abs=0.002)
    assert {found.origin[name] for name in ("qdamp", "qbroad", "radiation", "qmin")} == {"instrument"}
    assert any("neutron" in note for note in found.notes)
    again = describe(curve, SolveSettings(instrument=calibrated / "instrument.yaml", qdamp=0.01, elements="Au"))
    assert (again.instrument.qdamp, again.origin["qdamp"]) == (0.01, "option")


def test_the_range_of_q_stays_that_of_the_curve(calibrated):
    """Qmax belongs to the transform of one curve: fails when a calibrant transformed further spoils the fits of others."""
    curve = PdfCurve(np.arange(0.0, 30.0, 0.01), np.ones(3000), header={"qmax": 18.0}, source="x.gr")
    found = describe(curve, SolveSettings(instrument=calibrated / "instrument.yaml", elements="Au"))
    assert (found.instrument.qmax, found.origin["qmax"]) == (18.0, "header")
    assert any("header says qmax 18, the instrument profile 24" in note for note in found.notes)


def test_settings_with_another_instrument_are_other_settings(calibrated, tmp_path):
    (tmp_path / "other.yaml").write_text("qdamp: 0.05\n")
    marks = {SolveSettings(instrument=path).fingerprint() for path in (None, calibrated / "instrument.yaml", tmp_path / "other.yaml")}
    assert len(marks) == 3


@pytest.mark.parametrize(
    ("text", "message"), [("", "no value in it"), ("qdamp: -1\n", "qdamp"), ("qdam: 0.03\n", "Did you mean 'qdamp'"), ("- 3\n", "mapping")]
)
def test_a_wrong_instrument_file_is_refused_by_name(tmp_path, text, message):
    (tmp_path / "instrument.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as refused:
        SolveSettings(instrument=tmp_path / "instrument.yaml")
    assert "instrument.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--element", "Ni", "--cif", "x.cif"], "two crystals"),
        (["--element", "Xy"], "not built in"),
        ([], "--element"),
        (["--element", "W"], "does not explain"),
        (["--element", "Ni", "--rmin", "40"], "between 40"),
        (["--element", "Ni", "--radiation", "light"], "xray or neutron"),
    ],
)
def test_what_cannot_be_calibrated_is_said_in_one_line(tmp_path, capsys, words, message):
    write_calibrant(tmp_path / "unnamed.gr")
    assert run(["calibrate", str(tmp_path / "unnamed.gr"), "--out", str(tmp_path / "instrument.yaml"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "instrument.yaml").exists()


def test_json_is_alone_on_stdout(tmp_path, capsys):
    write_calibrant(tmp_path / "Ni.gr")
    command = ["calibrate", str(tmp_path / "Ni.gr"), "--out", str(tmp_path / "i.yaml"), "--element", "Ni", "--rmax", "12", "--no-figure", "--json"]
    assert run(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["figure"] is None
    assert any("12 Å only" in note or "11.98 Å only" in note for note in document["calibration"]["notes"])


NICKEL = 3.524
"""Å, the lattice constant in textbooks, not of the file."""


@pytest.mark.experimental
@pytest.mark.skipif(not DIALECTS.is_dir(), reason="the measured curves are not beside the checkout (../shared/data/experimental)")
def test_a_measured_calibrant_has_the_lattice_constant_of_the_textbooks(tmp_path):
    path = tmp_path / "instrument.yaml"
    assert run(["calibrate", str(DIALECTS / "ni_pdfgetx2_nodg.gr"), "--out", str(path), "--rmax", "30", "--no-figure"]) == 0
    found = read_instrument(path)
    assert found.calibration.values["a"] == pytest.approx(NICKEL, rel=0.003)
    assert found.calibration.rw < 1.0
    assert found.qdamp > 0
