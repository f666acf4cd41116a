"""What does not belong to the domain of the candidates is refused or carries a clear warning, by the rules of the module applicability."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.config import RefusalSettings
from deepstruc_hpc.solve.ranking.applicability import Evidence, verdict
from deepstruc_hpc.solve.ranking.curve_signs import ripples, spectrum
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.calibrants import calibrant_crystal
from deepstruc_hpc.structures.crystal_cut import crystal_named, cut_crystal
from tests.solve.conftest import write_gr

SEEN = Instrument(qmin=0.8, qmax=22.0, qdamp=0.03)
R = np.arange(0.5, 26.0, 0.02)


def write_curve(path, r, g, *, composition, label="#L r G"):
    rows = "\n".join(f"{a:.5f} {b:.6g}" for a, b in zip(r, g, strict=True))
    head = f"[DEFAULT]\nversion = pdfgetx3-2.1.2\nmode = xray\ncomposition = {composition}\nqmin = 0.8\nqmax = 22.0\n#### start data\n{label}"
    path.write_text(f"{head}\n{rows}\n")


def bulk(name):
    crystal = calibrant_crystal(name)
    return simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, R, SEEN, uiso=0.006)


def cluster(structure):
    return simulate_pdf(structure.symbols, structure.positions, R, uiso=0.006, **SEEN.model_dump())


def fullerene():
    """C60: bonds of 1.42 Å."""
    phi = (1 + 5**0.5) / 2
    corners = {
        tuple(np.roll([a * x, b * y, c * z], turn).round(9))
        for x, y, z in ((0, 1, 3 * phi), (1, 2 + phi, 2 * phi), (phi, 2, 2 * phi + 1))
        for a, b, c in product((1, -1), repeat=3)
        for turn in range(3)
    }
    assert len(corners) == 60
    return Structure.of_element("C", 0.71 * np.array(sorted(corners)))


def noise(power, seed=0):
    """What a transform makes of random numbers that grow as a power of Q."""
    q = np.linspace(0.8, 22.0, 1500)
    return np.sin(np.outer(R, q)) @ (q**power * np.random.default_rng(seed).normal(size=len(q)))


@pytest.fixture(scope="module")
def judged(shapes_store, shape_of, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strange")
    for name in ("Ni", "Au", "CeO2"):
        write_curve(folder / f"bulk-{name}.gr", R, bulk(name), composition=name.removesuffix("O2"))
    write_curve(folder / "flat-noise.gr", R, noise(0), composition="Au")
    write_curve(folder / "rising-noise.gr", R, noise(1, seed=1), composition="Au")
    write_curve(folder / "grid-noise.gr", R, np.random.default_rng(2).normal(size=len(R)), composition="Au")
    write_curve(folder / "molecule.gr", R, cluster(fullerene()), composition="Au")
    write_curve(folder / "oxide.gr", R, cluster(cut_crystal(crystal_named("TiO2 anatase"), radius=9.0)), composition="Ti")
    particle = shape_of("fcc")
    write_gr(folder / "particle.gr", particle)
    write_gr(folder / "iron-said.gr", particle, composition="Fe")
    write_gr(folder / "tungsten-said.gr", particle, composition="W")
    r = np.arange(0.0, 22.0, 0.02)
    g = 0.4 * simulate_pdf(particle.symbols, particle.positions, r, uiso=0.007, delta2=2.0, **SEEN.model_dump())
    write_curve(folder / "nanometres.gr", r / 10, g * 100, composition="Pt")
    far = np.arange(0.0, 110.0, 0.02)
    long = simulate_pdf(particle.symbols, particle.positions, far, uiso=0.007, delta2=2.0, **SEEN.model_dump())
    write_curve(folder / "wrong-label.gr", far / 10, long * 100, composition="Pt", label="#L r($\\AA$) G($\\AA^{-2}$)")
    out = tmp_path_factory.mktemp("out")
    frame = solve(folder, out, catalog=shapes_store, sources="catalog", workers=0)
    return {row.folder: row for row in frame.itertuples()}


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("bulk-Ni", "refused", "bulk crystal"),
        ("bulk-Au", "refused", "bulk crystal"),
        ("bulk-CeO2", "refused", ""),
        ("flat-noise", "refused", "no structure in the curve"),
        ("rising-noise", "refused", "no structure in the curve"),
        ("grid-noise", "refused", "no structure in the curve"),
        ("molecule", "refused", "no candidate comes near"),
        ("oxide", "refused", "no candidate comes near"),
        ("iron-said", "ok", "10 % farther than in Fe"),
        ("wrong-label", "refused", "r does not look like Å"),
    ],
)
def test_what_is_outside_the_domain_is_said_to_be(judged, name, status, words):
    row = judged[name]
    assert (row.status, words in row.message) == (status, True), row.message
    if status == "refused":
        assert not row.structure_type


@pytest.mark.parametrize("name", ["particle", "tungsten-said", "nanometres"])
def test_what_belongs_carries_no_warning(judged, name):
    """Tungsten's neighbours are as far apart as platinum's: nothing in the curve contradicts it. Nanometres are recognised and converted."""
    assert (judged[name].status, judged[name].structure_type) == ("ok", "fcc")
    assert "warning" not in judged[name].message


GOOD = Evidence(rw=0.15, size=16.0, tail=0.05, end=0.02, noise=0.2, edge=12.0, resolved=314.0, scale=1.0, matter="Au")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, "ok", ""),
        ({"rw": 0.45}, "ok", "fits poorly"),
        ({"rw": 0.65}, "refused", "no candidate comes near"),
        ({"rw": 0.65, "tail": 0.4}, "refused", "no candidate comes near"),
        ({"rw": 0.65, "end": 0.4}, "refused", "bulk crystal"),
        ({"rw": 0.65, "end": 0.4, "scale": 0.85}, "refused", "15 % nearer than in Au"),
        ({"rw": 0.95, "edge": 250.0, "noise": 1.0}, "refused", "no structure"),
        ({"rw": 0.65, "scale": 1.16}, "refused", "16 % farther than in Au"),
        ({"tail": 0.4}, "ok", "structure beyond"),
        ({"rw": 0.45, "tail": 0.4}, "refused", "bulk crystal"),
        ({"rw": 0.45, "noise": 0.9}, "refused", "no structure"),
        ({"noise": 0.9}, "ok", ""),
        ({"scale": 0.92}, "ok", "8 % nearer"),
        ({"rw": 0.45, "edge": 90.0}, "refused", "not look like Å"),
        ({"tail": None, "scale": None}, "ok", ""),
        ({"largest": True}, "ok", "the particle may be larger"),
        ({"missing": ("Ti", "O")}, "ok", "holds no Ti and no O"),
        ({"ripples": 0.5}, "ok", "ripples 50 %"),
        ({"ripples": 0.2}, "ok", ""),
        ({"broad": 0.5}, "ok", "broader than any structure"),
        ({"crystal": True, "size": 9.0}, "ok", "order over 9 Å only"),
        ({"crystal": True, "size": 16.0}, "ok", ""),
        ({"data_end": 10.0}, "ok", "the data end at 10 Å, before the particle does"),
        ({"damped": True}, "ok", "nobody says Qdamp"),
    ],
)
def test_each_rule_alone(change, status, words):
    found = verdict(Evidence(**{**vars(GOOD), **change}), RefusalSettings())
    assert found.status == status
    assert (words in found.message) if words else found.message == ""
    assert bool(found.flags) == (status == "ok" and bool(words))  # each warning has its word in the summary


def test_ripples_are_what_is_left_of_a_line_where_no_atoms_are(shape_of):
    """Half as strong as the peaks when made so; the line −4πρ₀r itself is none, whatever its slope."""
    good = PdfCurve(R, cluster(shape_of("fcc")) - 3.0 * R)
    low, inner = (R >= 0.3) & (R <= 1.2), (R >= 2.0) & (R <= 10.0)
    assert ripples(PdfCurve(R, np.where(low, -3.0 * R, good.g)), 1.2) == pytest.approx(0.0, abs=1e-6)
    wave = np.sqrt(2.0) * 0.5 * np.sqrt(np.mean(good.g[inner] ** 2)) * np.sin(20.0 * R)
    assert ripples(PdfCurve(R, np.where(low, wave, good.g)), 1.2) == pytest.approx(0.5, abs=0.05)
    assert ripples(PdfCurve(R[R > 1.1], good.g[R > 1.1]), 1.2) is None


def test_the_spectrum_tells_noise_from_matter(shape_of):
    matter, *_ = spectrum(PdfCurve(R, cluster(shape_of("icosahedral"))), 0.8, 22.0)
    flat, *_ = spectrum(PdfCurve(R, noise(0)), 0.8, 22.0)
    assert matter < 0.35
    assert flat > 0.7


DIALECTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "experimental" / "dialects"


@pytest.mark.experimental
@pytest.mark.skipif(not DIALECTS.is_dir(), reason="the measured curves are not beside the checkout (../shared/data/experimental)")
@pytest.mark.parametrize(
    ("name", "elements", "status"),
    [("c60_three_columns", "Ni", "refused"), ("ni_pdfgetx2_nodg", "Ni", "refused"), ("ag_nyquist_grid", "Ag", "refused")],
)
def test_measured_curves_outside_the_domain_are_refused(shapes_store, tmp_path, name, elements, status):
    frame = solve(DIALECTS / f"{name}.gr", tmp_path, catalog=shapes_store, sources="catalog", elements=elements, workers=0)
    assert frame["status"].tolist() == [status]


def test_a_metal_named_for_a_compound_is_said_to_lack_its_other_elements(tmp_path):
    """Nickel in a sample of nickel and oxygen may be right, a reduced oxide; it is never said without a word."""
    write_curve(tmp_path / "nickel.gr", R, bulk("Ni"), composition="Ni O")
    row = solve(tmp_path / "nickel.gr", tmp_path / "out", sources="crystals", workers=0).iloc[0]
    assert (row["status"], row["phase"], row["formula"]) == ("ok", "Ni fcc", "Ni")
    assert "holds no O" in row["message"]
    assert "other_elements" in row["flags"].split(";")
