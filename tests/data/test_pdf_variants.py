"""What happens to G(r) on its way: each kind of damage or dialect gives the same curve with a word, or a refusal by name. Never another curve."""

import re

import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_files import read_pdfs
from deepstruc_hpc.data.pdf_functions import is_upside_down
from deepstruc_hpc.data.pdf_spectrum import power_below, spectral_qmax
from deepstruc_hpc.physics.debye import simulate_fq
from deepstruc_hpc.physics.simulate import simulate_pdf
from tests.data import gr_dialects as dialects

R, G, DG = dialects.gold(0.02)
RHO = 0.059
"""Atoms Å⁻³ of gold."""
LINE = 4 * np.pi * RHO * R
PAIR = np.where(R < 1.8, 0.0, 1.0 + G / np.where(R > 0, LINE, 1.0))
"""g(r), without ripples where no atoms are."""
HEAD = dialects.pdfgetx3(R[:0], G[:0], DG[:0])


def table(*columns, label=""):
    return (label + "\n" if label else "") + dialects.rows(*columns, fmt="{:.10g}")


def headed(r, g, **changes):
    """The whole header of PDFgetX3 with other values."""
    head = HEAD
    for key, value in changes.items():
        old = next(line for line in head.splitlines() if line.startswith(f"{key} = "))
        head = head.replace(old, f"{key} = {value}")
    return head + table(r, g)


def put(values, where, value):
    changed = values.astype(float).copy()
    changed[where] = value
    return changed


READ = [
    # name, text, words of a note, Qmax of the header afterwards
    ("nothing", headed(R, G), "", 24.0),
    ("a thousandth", headed(R, 1e-3 * G), "", 24.0),
    ("upside down", headed(R, -G), "upside down", 24.0),
    ("qmax in nm⁻¹", headed(R, G, qmax=240), "nm⁻¹", 24.0),
    ("both in nm⁻¹", headed(R, G, qmax=240, qmin=8), "qmin 8 likewise", 24.0),
    ("qmax as 1/d", headed(R, G, qmax=3.82), "1/d", 24.0),
    ("qmax times 2π", headed(R, G, qmax=150.8), "2π times too large", 24.0),
    ("qmax too small", headed(R, G, qmax=12), "spectrum ends at 2[34]", 24.0),
    ("qmax too large", headed(R, G, qmax=40), "stands out beyond 2[34]", 40.0),
    ("qmin too large", headed(R, G, qmin=8), "qmin 8 does not fit", 24.0),
    ("qmin above qmax", headed(R, G, qmin=77), "qmin 77 is not below", 24.0),
    ("missing at the start", headed(R, put(G, R < 0.5, np.nan)), "first 25 rows", 24.0),
    ("missing at the end", headed(R, put(G, R > 19.5, np.nan)), "last 25 rows", 24.0),
    ("missing within", headed(R, put(G, [400, 401, 402], np.nan)), "3 rows among the others", 24.0),
    ("missing as Windows writes it", headed(R, put(G, R < 0.5, np.nan)).replace("nan", "-nan(ind)"), "first 25 rows", 24.0),
    ("negative r", table(np.r_[-0.04, -0.02, R], np.r_[0.0, 0.0, G]), "2 rows with negative r", None),
    ("g(r)", headed(R, PAIR), r"holds g\(r\).*scale of its own", 24.0),
    ("g(r) with a density", table(R, PAIR, label=f"# rho0 = {RHO}\n# r g(r)"), f"density {RHO}", None),
    ("g(r) - 1", headed(R, PAIR - 1.0), r"g\(r\) − 1;", 24.0),
    ("g(r) - 1 of RMCProfile", f" {len(R)}\nrmc G(r) gold\n" + table(R, 0.28 * (PAIR - 1.0)), r"g\(r\) − 1 weighted with 0.28", None),
    ("g(r) - 1 by label", table(R[50:], (PAIR - 1.0)[50:], label="r g(r)-1"), r"g\(r\) − 1", None),
    ("T(r)", headed(R, LINE * PAIR), r"holds T\(r\)", 24.0),
    ("T(r) by label", table(R, LINE * PAIR, label="#L r T(r)"), r"holds T\(r\)", None),
    ("RDF", headed(R, R * LINE * PAIR), "radial distribution", 24.0),
    ("RDF by label", table(R, R * LINE * PAIR, label="r, RDF(r)").replace(" ", ","), "radial distribution", None),
    ("D(r)", table(R, 0.31 * G, label="#L r D(r)"), r"holds D\(r\)", None),
    ("a fit, calculation first", table(R, 0.9 * G, G, DG, label="#L x ycalc y dy"), "column 3, labelled 'y'", None),
    ("a fit with its difference", table(R, 0.9 * G, 0 * R, DG, 0.1 * G, label="#L r(A) G(r) d_r d_Gr Gdiff"), "plus column 5", None),
    ("a difference of nothing", table(R, G, 0 * R, DG, -G, label="#L r(A) G(r) d_r d_Gr Gdiff"), "the fit had no data", None),
    ("G before r", table(G, R, label="#L G r"), "r was taken from column 2", None),
    ("five columns", table(R, G, 0 * R, 0 * R + 1, -G), "5 columns without labels", None),
    ("half a bin", table(R + 0.01, np.interp(R + 0.01, R, G)), "", None),
    ("a blank line every row", headed(R, G).replace("\n", "\n\n"), "", 24.0),
    ("a date and a time above", "sample 1\n2016 02 16\n12 30 00\n" + table(R, G, DG), "taken as header", None),
    ("other line ends half-way", headed(R, G).replace("\n", "\r\n", 300), "", 24.0),
    ("rmin above rmax in the header", "rmin = 30\nrmax = 0\n" + table(R, G), "", None),
    ("U as B", "Biso = 0.4\n" + headed(R, G), "B = 8π²U; U = 0.005066", 24.0),
]


@pytest.mark.parametrize(("text", "words", "qmax"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_the_curve_is_the_same_and_every_repair_is_told(tmp_path, text, words, qmax):
    path = tmp_path / "a.gr"
    path.write_text(text)
    curve = read_pdf(path)
    counted = (curve.r > 2.0) & (curve.r < 19.4)
    expected = np.interp(curve.r, R, G)[counted]
    scale = expected @ curve.g[counted] / (curve.g[counted] @ curve.g[counted])
    assert scale > 0
    assert np.linalg.norm(scale * curve.g[counted] - expected) < 0.02 * np.linalg.norm(expected)
    assert curve.value("qmax") == (None if qmax is None else pytest.approx(qmax, rel=0.03))
    found = " ".join(curve.notes)
    assert re.search(words, found) if words else not found


@pytest.mark.parametrize(
    ("weight", "header", "radiation"), [(0.28, "", "neutron"), (1.0, "", None), (0.28, "mode = xray\n", "xray"), (3.1, "", "neutron")]
)
def test_a_weighted_g_is_of_neutrons_unless_the_header_says_otherwise(tmp_path, weight, header, radiation):
    """With X-rays RMCProfile divides by the mean atom's amplitude: the plateau is −1. Read with X-rays, strontium titanate was called a metal."""
    (tmp_path / "a.gr").write_text(header + table(R, weight * (PAIR - 1.0)))
    curve = read_pdf(tmp_path / "a.gr")
    assert curve.header.get("radiation") == radiation
    assert any("as with neutrons" in note for note in curve.notes) == (radiation == "neutron")


@pytest.mark.parametrize(("name", "scale"), [("g(r) with a density", 1.0), ("T(r)", 1.0), ("RDF", 1.0), ("a fit with its difference", 1.0)])
def test_where_the_scale_is_known_it_is_absolute(tmp_path, name, scale):
    text = next(row[1] for row in READ if row[0] == name)
    (tmp_path / "a.gr").write_text(text)
    curve = read_pdf(tmp_path / "a.gr")
    counted = (curve.r > 2.0) & (curve.r < 19.4)
    expected = np.interp(curve.r, R, G)[counted]
    assert expected @ curve.g[counted] / (curve.g[counted] @ curve.g[counted]) == pytest.approx(scale, rel=0.01)


def test_an_option_gives_the_density(tmp_path):
    (tmp_path / "a.gr").write_text(table(R, PAIR))
    counted = (R > 2.0) & (R < 19.4)
    assert read_pdf(tmp_path / "a.gr", density=RHO).g[counted] == pytest.approx(G[counted], abs=1e-6)


UNCERTAIN = [
    ("zero", 0 * R, None, "is 0 in every row"),
    ("zero in one row", put(DG, 500, 0.0), None, "is 0 in 1 rows"),
    ("zero at r = 0 alone", put(DG, 0, 0.0), "kept", ""),
    ("negative", -DG, None, "no uncertainties"),
    ("missing", put(DG, 500, np.nan), None, "no uncertainties"),
    ("a hundred times G", 100 * np.abs(G) + 0.01, None, "times as large as"),
]


@pytest.mark.parametrize(("dg", "kept", "words"), [row[1:] for row in UNCERTAIN], ids=[row[0] for row in UNCERTAIN])
def test_uncertainties_that_are_none_are_not_used(tmp_path, dg, kept, words):
    (tmp_path / "a.gr").write_text(table(R, G, dg, label="r G dG"))
    curve = read_pdf(tmp_path / "a.gr")
    assert (curve.dg is not None) == (kept == "kept")
    assert words in " ".join(curve.notes)
    assert bool(words) == bool(curve.notes)
    assert np.array_equal(curve.g, G)


LONG = np.linspace(0.0, 5000.0, 1500)
REFUSED = [
    # name, text, words
    ("a wide gap", headed(R, put(G, (R > 5) & (R < 7), np.nan)), r":\d+: .*gap of 2"),
    ("many gaps", headed(R, put(G, slice(100, 900, 10), np.nan)), r"80 rows among the others"),
    ("infinite", headed(R, put(G, 300, np.inf)), r":\d+: .*not a finite number"),
    ("commas of two kinds", "2,74,9,81\n2,75,9,92\n" * 300, "can be read in several ways"),
    ("a broken table", table(R[:500], G[:500]) + "words\n" + table(R[500:], G[500:]), "words"),
    ("r times ten", headed(10 * R, G), "not in Å"),
    ("r times 2π", headed(2 * np.pi * R, G), "not in Å"),
    ("r over 2π", headed(R / (2 * np.pi), G), "not in Å|At least 6 Å"),
    ("columns swapped", table(G, R), "goes back|negative"),
    ("too short", headed(R[R < 5.5], G[R < 5.5]), "At least 6 Å"),
    ("a log", "time,temperature\n" + "".join(f"{i},{20 + 0.1 * i:.2f}\n" for i in range(300)), "'time', so this is a log"),
    ("a powder pattern", table(R + 1, np.abs(G) + 1, label="# 2theta intensity"), "powder pattern"),
    ("I(Q)", table(R + 0.1, np.abs(G) + 1, label="# Q(1/A) I(Q)"), "holds I\\(Q\\)"),
    ("small angles", "qmax = 0.07\n" + table(LONG, np.sin(0.05 * LONG)), "small-angle"),
    ("two scans", "#S 1 cold\n#L r G\n" + table(R, G) + "#S 2 hot\n#L r G\n" + table(R, 2 * G), "holds 2 curves: 'S 1 cold', 'S 2 hot'"),
    ("several columns", table(R, G, 2 * G, 3 * G, label="#L r G1 G2 G3"), "holds 3 curves: 'G1', 'G2', 'G3'"),
    ("named columns", table(R, G, 2 * G, label="r 100K 200K"), "holds 2 curves: '100K', '200K'"),
    ("columns without names", table(R, G, np.roll(G, 7), np.roll(G, 11)), "holds 3 curves: 'column 2'"),
]


@pytest.mark.parametrize(("text", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_not_one_g_of_r_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "a.gr").write_text(text)
    with pytest.raises(PdfFileError, match=words) as refused:
        read_pdf(tmp_path / "a.gr")
    assert str(tmp_path / "a.gr") in str(refused.value)
    assert "{" not in str(refused.value)  # an f-string that is none


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"PK\x03\x04", "zip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"II*\0", "TIFF"),
        (b"%PDF-1.7", "Adobe"),
        (bytes(range(128, 256)), "not a text file|no rows"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, start, words):
    (tmp_path / "a.gr").write_bytes(start + bytes(200))
    with pytest.raises(PdfFileError, match=words):
        read_pdf(tmp_path / "a.gr")


def test_intensities_are_refused_by_their_ending(tmp_path):
    (tmp_path / "a.chi").write_bytes(b"title \xb5\n\n" + table(R, G).encode())
    with pytest.raises(PdfFileError, match=r"I\(Q\)"):
        read_pdf(tmp_path / "a.chi")


MANY = [
    ("scans", "#S 1 cold\n#L r G\n" + table(R, G) + "#S 2 hot\n#L r G\n" + table(R, 2 * G), ["S 1 cold", "S 2 hot"]),
    ("whole files", headed(R, G) + headed(R, 2 * G), ["table 1", "table 2"]),
    ("tables", headed(R, G) + table(R, 2 * G), ["table 1", "table 2"]),
    ("columns", table(R, G, 2 * G, label="#L r G1 G2"), ["G1", "G2"]),
]


@pytest.mark.parametrize(("text", "names"), [row[1:] for row in MANY], ids=[row[0] for row in MANY])
def test_all_curves_of_a_file_are_read_each_once_and_by_name(tmp_path, text, names):
    (tmp_path / "a.gr").write_text(text)
    curves = read_pdfs(tmp_path / "a.gr")
    assert [str(curve.header["name"]).split(",")[0] for curve in curves] == names
    for factor, curve in zip((1, 2), curves, strict=True):
        assert curve.g == pytest.approx(factor * G, abs=1e-9)
        assert np.array_equal(curve.r, R)


def test_a_file_with_one_curve_gives_one(tmp_path):
    (tmp_path / "a.gr").write_text(headed(R, G))
    (curve,) = read_pdfs(tmp_path / "a.gr")
    assert np.array_equal(curve.g, read_pdf(tmp_path / "a.gr").g)
    assert "name" not in curve.header


# --- functions of Q -------------------------------------------------------------------------------------------------------------------------------


def cluster():
    grid = np.array([(i, j, k) for i in range(-4, 5) for j in range(-4, 5) for k in range(-4, 5) if (i + j + k) % 2 == 0]) * 2.04
    positions = grid[(grid**2).sum(axis=1) < 6.5**2]
    return ["Au"] * len(positions), positions


@pytest.mark.parametrize(
    ("label", "ending", "make"),
    [
        ("#L Q($\\AA^{-1}$)  F($\\AA^{-1}$)", ".dat", lambda q, f: (q, f)),
        ("", ".fq", lambda q, f: (q, f)),
        ("#L Q S(Q)", ".gr", lambda q, f: (q, 1.0 + f / q)),
        ("", ".sq", lambda q, f: (q, 1.0 + f / q)),
        ("#L Q S(Q)-1", ".sq", lambda q, f: (q, f / q)),
        ("#L Q(nm^-1) F(Q)", ".fq", lambda q, f: (10 * q, f)),
    ],
)
def test_f_and_s_of_q_are_transformed_to_the_g_of_r_of_the_same_cluster(tmp_path, label, ending, make):
    symbols, positions = cluster()
    q = np.arange(0.7, 25.005, 0.01)
    fq = simulate_fq(symbols, positions, q, uiso=0.007)
    path = tmp_path / f"a{ending}"
    path.write_text("rmax = 20\nqmin = 0.8\nqmax = 24\n" * ("nm" not in label) + table(*make(q, fq), label=label))
    curve = read_pdf(path)
    assert (curve.value("qmin"), curve.value("qmax")) == (pytest.approx(0.8, abs=0.11), pytest.approx(24.0, abs=1.01))
    expected = simulate_pdf(symbols, positions, curve.r, qmin=curve.value("qmin"), qmax=curve.value("qmax"), uiso=0.007)
    counted = (curve.r > 2.0) & (curve.r < 20.0)
    assert curve.g[counted] == pytest.approx(expected[counted], abs=0.01 * np.abs(expected).max())
    assert any("transformed to G(r)" in note for note in curve.notes)


def test_lorchs_window_lowers_the_ripple_and_is_told(tmp_path):
    symbols, positions = cluster()
    q = np.arange(0.7, 25.005, 0.01)
    (tmp_path / "a.fq").write_text(table(q, simulate_fq(symbols, positions, q, uiso=0.007)))
    sharp, smooth = read_pdf(tmp_path / "a.fq"), read_pdf(tmp_path / "a.fq", lorch=True)
    ripple = (sharp.r > 0.5) & (sharp.r < 2.0)
    assert np.std(np.diff(smooth.g[ripple])) < 0.3 * np.std(np.diff(sharp.g[ripple]))
    assert "Lorch" in smooth.notes[-1]


@pytest.mark.parametrize(("low", "high"), [(0.7, 6.0), (4.0, 25.0)])
def test_a_range_of_q_that_shows_no_atoms_is_refused(tmp_path, low, high):
    q = np.arange(low, high, 0.01)
    (tmp_path / "a.fq").write_text(table(q, np.sin(2.8 * q)))
    with pytest.raises(PdfFileError, match="is needed to see atoms"):
        read_pdf(tmp_path / "a.fq")


# --- what a curve itself says ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qmax", [10.0, 15.0, 20.0, 25.0, 30.0])
@pytest.mark.parametrize("step", [0.01, 0.05])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_spectrum_of_a_curve_ends_at_its_qmax(qmax, step, noise):
    symbols, positions = cluster()
    r = np.arange(0.0, 20.0, step)
    g = simulate_pdf(symbols, positions, r, qmin=0.8, qmax=qmax, qdamp=0.03, uiso=0.006)
    q = np.linspace(0.8, qmax, 400)
    ripple = np.random.default_rng(3).normal(size=400) @ np.sin(np.outer(q, r))
    assert spectral_qmax(PdfCurve(r, g + noise * g.std() * ripple / ripple.std())) == pytest.approx(qmax, rel=0.04)


def test_a_grid_too_coarse_to_hold_the_end_gives_no_qmax():
    r = np.arange(0.0, 20.0, 0.13)
    assert spectral_qmax(PdfCurve(r, np.interp(r, R, G))) is None


def test_power_below_qmin_is_small_and_above_it_large():
    curve = PdfCurve(R, G)
    assert power_below(curve, 0.8 * dialects.QMIN) < 0.02
    assert power_below(curve, 8.0) > 0.3
    assert power_below(curve, 30.0) == pytest.approx(1.0, abs=0.01)


def test_neutrons_may_turn_peaks_over_so_nothing_is_turned():
    assert is_upside_down(R, -G, "xray")
    assert is_upside_down(R, -G, "")
    assert not is_upside_down(R, -G, "neutron")
    assert not is_upside_down(R, G, "xray")
    assert not is_upside_down(R, 0 * G, "xray")
