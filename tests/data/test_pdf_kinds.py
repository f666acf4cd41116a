"""Thirteen kinds of damage and dialect, each on three curves: the same curve, or a refusal that names the reason. A new kind is one more line."""

import re
from functools import lru_cache

import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.physics.simulate import simulate_pdf

QMAX = 24.0
R = np.round(0.02 * np.arange(1001), 6)
CURVES = ("gold", "iron", "ceria")


def particle(name, radius=7.0):
    """Symbols, positions (Å) and number density (atoms Å⁻³) of a small sphere of a radius in Å: fcc, bcc, fluorite."""
    step = {"gold": 2.04, "iron": 1.435, "ceria": 1.3525}[name]
    reach = np.arange(-8, 9)
    n = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    n = n[(((n * step) ** 2).sum(axis=1)) < radius**2]
    if name == "gold":
        n = n[n.sum(axis=1) % 2 == 0]
        return ["Au"] * len(n), n * step, 0.0589
    if name == "iron":
        n = n[(n % 2 == n[:, :1] % 2).all(axis=1)]
        return ["Fe"] * len(n), n * step, 0.0846
    metal = (n % 2 == 0).all(axis=1) & ((n // 2).sum(axis=1) % 2 == 0)
    oxygen = (n % 2 == 1).all(axis=1)
    symbols = ["Ce"] * int(metal.sum()) + ["O"] * int(oxygen.sum())
    return symbols, np.concatenate([n[metal], n[oxygen]]) * step, 0.0758


@lru_cache(maxsize=3)
def curve(name):
    """G(r) of a particle, and g(r) of it without ripples where no atoms are."""
    symbols, positions, density = particle(name)
    g = simulate_pdf(symbols, positions, R, qmin=0.8, qmax=QMAX, qdamp=0.03, uiso=0.007)
    line = 4 * np.pi * density * R
    return g, np.where(R < 1.5, 0.0, 1.0 + g / np.where(R > 0, line, 1.0)), line


def rows(*columns, separator=" "):
    return "".join(separator.join(f"{value:.9g}" for value in row) + "\n" for row in zip(*columns, strict=True))


def head(qmin=0.8, qmax=QMAX, more=""):
    return f"[DEFAULT]\nversion = pdfgetx3-2.1.2\nmode = xray\nqmin = {qmin:g}\nqmax = {qmax:g}\n{more}#### start data\n#L r G\n"


def gap(g, start, stop):
    return np.where((start <= R) & (stop > R), np.nan, g)


def spike(g, at):
    return g + 10 * np.abs(g).max() * (np.abs(R - at) < 0.011)


def widening(g):
    """Steps from 0.01 to 0.05 Å."""
    r = np.expm1(np.arange(0, 1870) * 0.002) * 5.0
    r = r[r <= R[-1]]
    return rows(r, np.interp(r, R, g))


def commas(g, separator):
    return rows(R, g, separator=separator).replace(".", ",")


LONG = np.linspace(0.0, 5000.0, 1500)
LONGEST = np.round(0.01 * np.arange(30001), 6)
EDGES = np.expm1(np.arange(0, 805) * 0.002) * 5.0
SAME = [
    # kind, name, text of a curve (g, g(r), 4πρ₀r), words of a note
    (1, "uncertainties 0", lambda g, *_: rows(R, g, 0 * R), "is 0 in every row"),
    (1, "a constant", lambda g, *_: rows(R, g, 0 * R + 1), "is 1 in every row"),
    (1, "one uncertainty 0", lambda g, *_: rows(R, g, np.where(R == 10, 0, 0.1)), "no uncertainty is"),
    (1, "negative", lambda g, *_: rows(R, g, -0.1 - 0.01 * R), "no uncertainties"),
    (1, "nan", lambda g, *_: rows(R, g, gap(0.1 + 0 * g, 9, 10)), "no uncertainties"),
    (1, "a hundred times G", lambda g, *_: rows(R, g, 100 * np.abs(g) + 1), "times as large"),
    (2, "25 rows at the start", lambda g, *_: rows(R, gap(g, 0, 0.5)), "first 25 rows"),
    (2, "five inside", lambda g, *_: rows(R, gap(g, 9, 9.1)), "5 rows among"),
    (2, "-nan(ind)", lambda g, *_: rows(R, gap(g, 0, 0.5)).replace("nan", "-nan(ind)"), "first 25 rows"),
    (3, "semicolons", lambda g, *_: commas(g, ";"), "decimal commas"),
    (3, "tabs", lambda g, *_: commas(g, "\t"), "decimal commas"),
    (3, "commas between", lambda g, *_: rows(R, g, separator=","), ""),
    (4, "g(r)", lambda _, pair, __: rows(R, pair), r"holds g\(r\)"),
    (4, "g(r) − 1", lambda _, pair, __: rows(R, pair - 1), r"g\(r\) − 1"),
    (4, "T(r)", lambda _, pair, line: "#L r T(r)\n" + rows(R, pair * line), r"T\(r\)"),
    (4, "RDF", lambda _, pair, line: "r, RDF(r)\n" + rows(R, R * pair * line, separator=","), "radial distribution"),
    (4, "D(r)", lambda g, *_: "#L r D(r)\n" + rows(R, 0.3 * g), r"D\(r\)"),
    (5, "a thousandth", lambda g, *_: head() + rows(R, 1e-3 * g), ""),
    (5, "a thousand", lambda g, *_: head() + rows(R, 1e3 * g), ""),
    (5, "upside down", lambda g, *_: head() + rows(R, -g), "upside down"),
    (5, "upside down without a header", lambda g, *_: rows(R, -g), "upside down"),
    (5, "a spike of a ghost at 1.6 Å", lambda g, *_: head() + rows(R, spike(g, 1.6)), "sticks out"),
    (5, "a spike below the bonds", lambda g, *_: head() + rows(R, spike(g, 0.8)), "sticks out"),
    (6, "half a step", lambda g, *_: head() + rows(R + 0.01, np.interp(R + 0.01, R, g)), ""),
    (6, "a step that widens", lambda g, *_: head() + widening(g), "steps of r are uneven"),
    (6, "edges of bins", lambda g, *_: head() + rows(R - 0.01, g) + f"{R[-1] + 0.01:.9g}\n", "holds the edges of bins"),
    (
        6,
        "edges that widen",
        lambda g, *_: (
            head()
            + "".join(f"{x:.9g} {y:.9g}\n" for x, y in zip(EDGES[:-1], np.interp(0.5 * (EDGES[1:] + EDGES[:-1]), R, g), strict=True))
            + f"{EDGES[-1]:.9g}\n"
        ),
        "edges of bins",
    ),
    (7, "qmax in nm⁻¹", lambda g, *_: head(qmax=240) + rows(R, g), "nm⁻¹"),
    (7, "qmax as 1/d", lambda g, *_: head(qmax=3.82) + rows(R, g), "1/d"),
    (7, "qmax 151", lambda g, *_: head(qmax=151) + rows(R, g), "2π times too large"),
    (7, "qmin 0", lambda g, *_: head(qmin=0) + rows(R, g), ""),
    (7, "r a tenth", lambda g, *_: head() + rows(R / 10, g), "r is in nm"),
    (7, "r a tenth without a header", lambda g, *_: rows(R / 10, g), "r is in nm"),
    (7, "qmin 8", lambda g, *_: head(qmin=8) + rows(R, g), "qmin 8 does not fit"),
    (7, "r in nm", lambda g, *_: "# r (nm)  G (nm^-2)\n" + rows(R / 10, 100 * g), "nm"),
    (8, "none", lambda g, *_: rows(R, g), ""),
    (8, "500 lines", lambda g, *_: "words and words\n" * 500 + head() + rows(R, g), ""),
    (8, "a date", lambda g, *_: "sample 1\n2016 02 16\n" + rows(R, g, 0 * g + 0.1), "taken as header"),
    (8, "CR", lambda g, *_: (head() + rows(R, g)).replace("\n", "\r"), ""),
    (8, "CRLF by half", lambda g, *_: (head() + rows(R, g)).replace("\n", "\r\n", 400), ""),
    (8, "byte order mark", lambda g, *_: "\ufeff" + head() + rows(R, g), ""),
    (8, "no end", lambda g, *_: (head() + rows(R, g)).rstrip("\n"), ""),
    (8, "blank lines", lambda g, *_: (head() + rows(R, g)).replace("\n", "\n\n"), ""),
    (8, "ligands", lambda g, *_: head(more="composition = Au144 S60 C480 H540\n") + rows(R, g), ""),
    (8, "rmax 300", lambda g, *_: head(more="rmax = 300\n") + rows(R, g), "Is the file whole"),
    (9, "ycalc before y", lambda g, *_: "#L x ycalc y dy\n" + rows(R, 0.8 * g, g, 0 * g + 0.1), "labelled 'y'"),
    (9, "G before r", lambda g, *_: "#L G r\n" + rows(g, R), "r was taken"),
    (9, "G and Gdiff", lambda g, *_: "#L r G d_r d_Gr Gdiff\n" + rows(R, 0.8 * g, 0 * g, 0 * g + 0.1, 0.2 * g), "plus column 5"),
    (10, "from 5 Å", lambda g, *_: head() + rows(R[250:], g[250:]), ""),
    (10, "30,001 rows", lambda g, *_: head() + rows(LONGEST, np.interp(LONGEST, R, g, right=0)), ""),
    (10, "rmin above rmax", lambda g, *_: head(more="rmin = 30\nrmax = 0\n") + rows(R, g), ""),
    (10, "negative r", lambda g, *_: rows(np.r_[-0.04, -0.02, R], np.r_[0, 0, g]), "negative r"),
    (13, "B as U", lambda g, *_: "Uiso = 0.4\n" + head() + rows(R, g), "taken as B"),
    (13, "B for U", lambda g, *_: "Biso = 0.4\n" + head() + rows(R, g), "8π²U"),
]
REFUSED = [
    (2, "inf", lambda g, *_: rows(R, np.where(R == 9, np.inf, g)), "not a finite number"),
    (2, "stars", lambda g, *_: rows(R, np.where(R == 9, np.inf, g)).replace("inf", "********"), "not a finite number"),
    (3, "2,74,9,81", lambda *_: "2,74,9,81\n2,75,9,92\n" * 300, "can be read in several ways"),
    (6, "one point off", lambda g, *_: rows(np.where(R == 9, 9.007, R), g), "r goes from"),
    (7, "r times ten", lambda g, *_: head() + rows(10 * R, g), "not in Å"),
    (7, "r times 2π", lambda g, *_: head() + rows(2 * np.pi * R, g), "not in Å"),
    (7, "r over 2π", lambda g, *_: head() + rows(R / 2 / np.pi, g), "not in Å"),
    (9, "two scans", lambda g, *_: "#S 1 a\n#L r G\n" + rows(R, g) + "#S 2 b\n#L r G\n" + rows(R, 2 * g), "holds 2 curves"),
    (9, "r twice", lambda g, *_: rows(np.repeat(R, 2), np.repeat(g, 2)), "r stays at"),
    (9, "G1 G2 G3", lambda g, *_: "#L r G1 G2 G3\n" + rows(R, g, 2 * g, 3 * g), "holds 3 curves"),
    (10, "1.5 to 6 Å", lambda g, *_: head() + rows(R[75:301], g[75:301]), "At least 6 Å"),
    (11, "nothing", lambda *_: "", "empty"),
    (12, "I(Q)", lambda g, *_: "# Q(1/A) I(Q)\n" + rows(R + 0.1, np.abs(g) + 1), r"I\(Q\)"),
    (12, "a log", lambda *_: "time,temperature\n" + rows(R, R + 20, separator=","), "so this is a log"),
    (12, "small angles", lambda *_: "qmax = 0.07\n" + rows(LONG, np.sin(0.05 * LONG)), "small-angle"),
    (12, "a project", lambda *_: "PK\x03\x04 and more", "zip"),
]


def ids(table):
    return [f"{kind}: {name}" for kind, name, _, _ in table]


def test_no_kind_is_left_out():
    assert {kind for kind, *_ in (*SAME, *REFUSED)} == set(range(1, 14))


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(("write", "words"), [row[2:] for row in SAME], ids=ids(SAME))
def test_the_curve_is_the_same_and_what_was_done_is_told(tmp_path, name, write, words):
    (tmp_path / "a.gr").write_text(write(*curve(name)), encoding="utf-8", newline="")
    found = read_pdf(tmp_path / "a.gr")
    counted = (found.r > 2.0) & (found.r < 19.4)
    expected = np.interp(found.r, R, curve(name)[0])[counted]
    scale = expected @ found.g[counted] / (found.g[counted] @ found.g[counted])
    assert scale > 0
    assert np.linalg.norm(scale * found.g[counted] - expected) < 0.03 * np.linalg.norm(expected)
    assert re.search(words, " ".join(found.notes))


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize(("write", "words"), [row[2:] for row in REFUSED], ids=ids(REFUSED))
def test_what_cannot_be_used_is_refused_by_name(tmp_path, name, write, words):
    path = tmp_path / "x@10K Ä#100%.GR"
    path.write_text(write(*curve(name)))
    with pytest.raises(PdfFileError, match=words) as refused:
        read_pdf(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", CURVES)
def test_a_row_that_is_cut_off_is_no_edge_of_a_bin(tmp_path, name):
    """The file ends within a line: half a row is left out, and r stays as it is."""
    (tmp_path / "a.gr").write_text(head() + rows(R, curve(name)[0]) + "20.02")
    found = read_pdf(tmp_path / "a.gr")
    assert found.r == pytest.approx(R)
    assert "not a whole row" in " ".join(found.notes)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
@pytest.mark.parametrize("name", CURVES)
def test_encodings_change_nothing(tmp_path, name, encoding):
    (tmp_path / "a.gr").write_bytes((head(more="# in Å\n") + rows(R, curve(name)[0])).encode(encoding))
    assert read_pdf(tmp_path / "a.gr").g == pytest.approx(curve(name)[0], abs=1e-6)
