"""The best candidates by another program: several U, crystals × spheres, and srreal's curves through the stand-in for it."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_fit import mine_crystals
from deepstruc_hpc.physics.crystal_model import crystal_sphere_curve
from deepstruc_hpc.physics.diffpy_engine import srreal_available
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.report.results import read_results
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import extended
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.checks.srfit import SEVERAL_PHASES, verify_in_words, verify_with_srfit
from deepstruc_hpc.solve.checks.srreal import verify_with_srreal
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.prototypes import candidate_crystals
from tests.physics import fake_srreal

R = np.arange(0.0, 16.0, 0.02)
XRAY = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}
TRUE_U = {"Ti": 0.004, "O": 0.011}


def measurement_of(g, composition):
    """With a slope that lies below low_q, as measured curves have, and uncertainties that no fit of ours counts."""
    curve = PdfCurve(R, g - 0.05 * R, dg=0.01 + 0.1 * R, header={**XRAY, "composition": composition}, source="x.gr")
    return describe(curve, SolveSettings(rmin=1.5, rmax=15.0))


@pytest.fixture(scope="module")
def cluster():
    """A cut of rutile with two U, fitted; as a ranking of one and of another size."""
    cuts = [cut_crystal(prototype_crystal("TiO2 rutile"), radius=radius, centre="cell", surface="as_cut") for radius in (5.5, 6.5)]
    uiso = np.array([TRUE_U[symbol] for symbol in cuts[0].symbols])
    measurement = measurement_of(simulate_pdf(cuts[0].symbols, cuts[0].positions, R, uiso=uiso, delta2=1.0, **XRAY), "TiO2")
    found = fit(CandidateSet(tuple(Candidate(cut, "crystals", zoom=(0.97, 1.03)) for cut in cuts)), measurement)
    return SimpleNamespace(candidates=found), measurement


@pytest.fixture(scope="module")
def sphere():
    """A crystal × sphere of rutile and one without end, as mined."""
    crystal, rankings = prototype_crystal("TiO2 rutile"), {}
    for name, diameter in (("sphere", 18.0), ("bulk", None)):
        shape = {} if diameter is None else {"diameter": diameter}
        g = crystal_sphere_curve(crystal.lattice, crystal.fractions, crystal.species, R, instrument(), uiso=0.006, delta2=1.0, **shape)
        measurement = measurement_of(g, "TiO2")
        listed = [one for one in candidate_crystals(("O", "Ti"), amounts={"Ti": 1.0, "O": 2.0}) if "rutile" in one.crystal.name.lower()][:1]
        (found, *_) = mine_crystals(measurement.curve, measurement.instrument, listed, rmin=1.5, rmax=15.0, qdamp_known=True)
        candidate = extended(found, 1)
        rankings[name] = SimpleNamespace(candidates=fit(CandidateSet((candidate,)), measurement)), measurement
    return rankings


def instrument():
    from deepstruc_hpc.physics.instrument import Instrument

    return Instrument(**XRAY)


def test_srfit_takes_several_u_and_leaves_low_q_out_as_our_fit_does(cluster):
    """Fails where one U stands for both, where the slope counts, or where dG weighs."""
    ranking, measurement = cluster
    assert len(set(ranking.candidates.row(0)["uiso_by_element"].values())) == 2
    table = verify_with_srfit(ranking, measurement)
    assert (table["message"] == "").all(), table["message"].tolist()
    assert table["rw_srfit"].to_numpy() == pytest.approx(table["rw"].to_numpy(), abs=2e-3)
    first = table.iloc[0]
    assert first["rw_srfit"] < 0.02
    for element, value in TRUE_U.items():
        assert first[f"uiso_{element}_srfit"] == pytest.approx(value, rel=0.05)
        assert first[f"uiso_{element}"] == pytest.approx(value, rel=0.05)
    share = np.mean([value == "Ti" for value in ranking.candidates.candidates[0].structure.symbols])
    assert first["uiso_srfit"] == pytest.approx(share * first["uiso_Ti_srfit"] + (1 - share) * first["uiso_O_srfit"])
    assert set(table["engine"]) == {"Debye sum of this program"}


@pytest.mark.parametrize("engine", ["native", "diffpy"])
@pytest.mark.parametrize("name", ["sphere", "bulk"])
def test_srfit_refines_a_crystal_times_a_sphere(sphere, name, engine, monkeypatch):
    if engine == "diffpy":
        fake_srreal.install(monkeypatch)
    elif srreal_available():
        pytest.skip("srreal is installed: crystals go to it")
    ranking, measurement = sphere[name]
    (row,) = verify_with_srfit(ranking, measurement).to_dict("records")
    assert row["message"] == ""
    assert row["rw"] < 0.03
    assert row["rw_srfit"] < row["rw"] + 0.01
    ours = ranking.candidates.candidates[0].crystal_fit
    assert row["a_srfit"] == pytest.approx(ours.cell[0], rel=2e-3)
    assert row["c_srfit"] == pytest.approx(ours.cell[2], rel=2e-3)
    assert row["zoom_srfit"] == pytest.approx(1.0, abs=2e-3)
    assert ("diameter_srfit" in row) == (name == "sphere")
    if name == "sphere":
        assert row["diameter_srfit"] == pytest.approx(18.0, rel=0.05)
    assert row["engine"] == ("PDFGenerator of diffpy" if engine == "diffpy" else "crystal of this program") + (
        " × sphere" if name == "sphere" else ""
    )


def test_srreal_calculates_clusters_and_crystals_again(cluster, sphere, monkeypatch):
    made = fake_srreal.install(monkeypatch)
    for (ranking, measurement), engine in (
        (cluster, "DebyePDFCalculator"),
        (sphere["sphere"], "PDFCalculator × sphere"),
        (sphere["bulk"], "PDFCalculator"),
    ):
        table = verify_with_srreal(ranking, measurement)
        assert (table["message"] == "").all(), table["message"].tolist()
        assert set(table["engine"]) == {engine}
        assert table["rw_srreal"].to_numpy() == pytest.approx(table["rw"].to_numpy(), abs=0.02)
        assert (table["apart"] < 0.03).all()
        assert table["scale_srreal"].to_numpy() == pytest.approx(table["scale"].to_numpy(), rel=0.02)
        assert engine in verify_in_words(table, "srreal")
    assert {round(atom.Uisoequiv, 6) for atom in made[0].structures[0]} == {
        round(value, 6) for value in cluster[0].candidates.row(0)["uiso_by_element"].values()
    }


def test_a_curve_of_srreal_that_differs_is_seen(cluster, monkeypatch):
    """Fails where srreal's curve is not what is compared: its U is doubled here."""
    fake_srreal.install(monkeypatch)
    wide = fake_srreal.DebyePDFCalculator.curve

    def doubled(self, structure, r):
        for atom in structure:
            atom.Uisoequiv *= 2
        return wide(self, structure, r)

    monkeypatch.setattr(fake_srreal.DebyePDFCalculator, "curve", doubled)
    table = verify_with_srreal(*cluster)
    assert (table["apart"] > 0.05).all()
    assert table["rw_srreal"][0] > table["rw"][0] + 0.05


def test_a_failing_srreal_fails_nothing_and_phases_are_said_not_to_be_verified(cluster, monkeypatch):
    fake_srreal.install(monkeypatch)
    monkeypatch.setattr(fake_srreal.DebyePDFCalculator, "curve", lambda *_: 1 / 0)
    ranking, measurement = cluster
    table = verify_with_srreal(ranking, measurement)
    assert table["message"].str.contains("ZeroDivisionError").all()
    assert "verified none of 2" in verify_in_words(table, "srreal")
    both = SimpleNamespace(phases=object(), crystal_fit=None, structure=ranking.candidates.candidates[0].structure, n_atoms=None)

    class Set(list):
        def row(self, place):
            return ranking.candidates.row(place)

    for verify in (verify_with_srreal, verify_with_srfit):
        assert verify(SimpleNamespace(candidates=Set([both])), measurement)["message"].tolist() == [SEVERAL_PHASES]


@pytest.mark.skipif(srreal_available(), reason="srreal is installed here")
def test_the_command_says_how_to_get_srreal_before_it_reads_a_file(tmp_path, capsys):
    from deepstruc_hpc.cli.app import run

    assert run(["solve", str(tmp_path / "not there.gr"), "--out", str(tmp_path / "out"), "--verify", "srreal"]) == 2
    error = capsys.readouterr().err
    assert "--verify srreal" in error
    assert "conda" in error
    assert "--verify srfit" in error
    assert not (tmp_path / "out").exists()


def test_verify_srreal_of_a_run_writes_both_side_by_side(measured, shapes_store, tmp_path, monkeypatch):
    from deepstruc_hpc.solve.run.batch import solve

    fake_srreal.install(monkeypatch)
    solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, sources="catalog", verify="srreal", rmax=12, workers=0, qdamp=0.03, local_shapes=0)
    table = pd.read_csv(tmp_path / "fcc" / "verify.csv")
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["rw_srreal"].to_numpy() == pytest.approx(table["rw"].to_numpy(), abs=2e-3)
    assert "srreal calculated 10 of 10" in json.loads((tmp_path / "fcc" / "result.json").read_text())["details"]["verify"]
    (shown,) = read_results(tmp_path).pdfs
    assert shown.verify is not None
