from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_text import parse_row
from tests.data import gr_dialects as dialects

EXPERIMENTAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "experimental"


def write(tmp_path, content, name="a.gr"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(tmp_path, content, name="a.gr"):
    path = write(tmp_path, content, name)
    with pytest.raises(PdfFileError) as caught:
        read_pdf(path)
    assert str(path) in str(caught.value), "the message must name the file"
    return str(caught.value)


@pytest.mark.parametrize("name", dialects.PLAIN)
def test_every_dialect_gives_the_same_curve(tmp_path, name):
    r, g, dg = dialects.gold()
    curve = read_pdf(write(tmp_path, dialects.PLAIN[name](r, g, dg)))
    np.testing.assert_allclose(curve.r, r, atol=1e-9)
    np.testing.assert_allclose(curve.g, g, atol=1e-9)
    if name in dialects.WITH_UNCERTAINTY:
        np.testing.assert_allclose(curve.dg, dg, atol=1e-9)
    else:
        assert curve.dg is None


@pytest.mark.parametrize("name", dialects.HEADERS)
def test_header_values_are_found_and_no_others_are_invented(tmp_path, name):
    curve = read_pdf(write(tmp_path, dialects.PLAIN[name](*dialects.gold())))
    assert curve.header == dialects.HEADERS[name]


@pytest.mark.parametrize("name", [name for name in dialects.HEADERS if name != "headerless"])
def test_a_file_that_says_all_needs_no_guess(tmp_path, name):
    assert read_pdf(write(tmp_path, dialects.PLAIN[name](*dialects.gold()))).notes == ()


@pytest.mark.parametrize("name", dialects.OTHER_UNITS)
def test_nanometres_and_picometres_become_angstrom_and_are_told(tmp_path, name):
    r, g, dg = dialects.gold()
    curve = read_pdf(write(tmp_path, dialects.OTHER_UNITS[name](r, g, dg)))
    np.testing.assert_allclose(curve.r, r, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(curve.g, g, rtol=1e-6, atol=1e-6)
    assert any(("nm" if "nano" in name else "pm") in note and "Å" in note for note in curve.notes)


@pytest.mark.parametrize(
    ("step", "start", "stop"), [(0.01, 0.0, 30.0), (0.01, 2.0, 12.0), (0.105, 0.105, 35.07), (0.13, 1.3, 10.01), (0.02, 0.02, 60.0)]
)
def test_other_steps_and_starts_are_kept_as_they_are_and_never_taken_for_another_unit(tmp_path, step, start, stop):
    # Fails if r is rebuilt as index times 0.01: the curve would be shifted or stretched.
    r, g, dg = dialects.gold(step, start, stop)
    curve = read_pdf(write(tmp_path, dialects.headerless(r, g, dg)))
    np.testing.assert_allclose(curve.r, r, atol=1e-9)
    assert curve.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings_do_not_change_the_curve(tmp_path, encoding):
    r, g, dg = dialects.gold()
    text = "# made in Ångström, µm beam\n" + dialects.pdfgetx3(r, g, dg)
    curve = read_pdf(write(tmp_path, text.encode(encoding)))
    np.testing.assert_allclose(curve.g, g, atol=1e-9)
    assert curve.header["qmax"] == 24.0


def test_numbers_in_a_header_are_not_data(tmp_path):
    r, g, dg = dialects.gold()
    head = "run 12\n" + "".join(f"  {i} {1.5 * i} {2 * i}\n" for i in range(30)) + "calibrated\n" + "0.1 0.2\n0.3 0.4\n" + "then the table\n"
    curve = read_pdf(write(tmp_path, head + dialects.headerless(r, g, dg)))
    np.testing.assert_allclose(curve.r, r)
    assert len(curve.notes) == 0


def test_a_count_of_points_above_the_table_is_left_out_and_told(tmp_path):
    r, g, dg = dialects.gold()
    curve = read_pdf(write(tmp_path, f"{len(r)} 0.05\n" + dialects.headerless(r, g, dg)))
    np.testing.assert_allclose(curve.r, r)
    assert "Line 1" in curve.notes[0]


def test_a_wider_label_line_decides_which_column_is_g(tmp_path):
    r, g, dg = dialects.gold()
    curve = read_pdf(write(tmp_path, "r,Gcalc,Gobs,sigma\n" + dialects.rows(r, 0.5 * g, g, dg, separator=",")))
    np.testing.assert_allclose(curve.g, g)
    np.testing.assert_allclose(curve.dg, dg)
    assert any("column 3" in note for note in curve.notes)


def test_the_last_of_several_data_blocks_is_used_and_told(tmp_path):
    r, g, dg = dialects.gold()
    curve = read_pdf(write(tmp_path, dialects.pdfgetx3(r, 3 * g, dg) + dialects.pdfgetx3(r, g, dg)))
    np.testing.assert_allclose(curve.g, g)
    assert any("last one" in note for note in curve.notes)


def test_a_file_cut_off_in_a_row_tells_so(tmp_path):
    r, g, dg = dialects.gold()
    text = dialects.pdfgetx3(r, g, dg)
    curve = read_pdf(write(tmp_path, text[: text.rindex("\n15.2 ") + 5]))
    assert curve.r[-1] == pytest.approx(15.15)
    assert any("not a whole row" in note for note in curve.notes)
    assert any("20" in note and "whole" in note for note in curve.notes)


def test_missing_files_folders_and_empty_files_are_refused(tmp_path):
    with pytest.raises(PdfFileError, match="no such file"):
        read_pdf(tmp_path / "none.gr")
    with pytest.raises(PdfFileError, match="directory"):
        read_pdf(tmp_path)
    assert "empty" in refusal(tmp_path, b"")
    assert "blank" in refusal(tmp_path, "\n\n  \n")
    assert "no rows" in refusal(tmp_path, "only words here\nand here\n")
    assert "line 3" in refusal(tmp_path, "a\nb\n#### start data\n#L r G\n")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, bytes(2000), b"PK\x03\x04" + bytes(range(128, 256)) * 9])
def test_what_is_not_text_is_refused(tmp_path, content):
    assert "not a text file" in refusal(tmp_path, content)


@pytest.mark.parametrize("word", ["inf", "-Infinity", "1.#INF", "********"])
def test_what_is_not_finite_is_refused_with_its_line(tmp_path, word):
    r, g, dg = dialects.gold()
    lines = dialects.headerless(r, g, dg).splitlines()
    lines[99] = f"{r[99]} {word}"
    assert ":100:" in refusal(tmp_path, "\n".join(lines))


def test_r_that_goes_back_is_refused_with_its_line(tmp_path):
    r, g, dg = dialects.gold()
    message = refusal(tmp_path, dialects.headerless(r, g, dg) * 2)
    assert f":{len(r) + 1}:" in message
    assert "goes back" in message
    lines = dialects.headerless(r, g, dg).splitlines()
    assert ":51:" in refusal(tmp_path, "\n".join([*lines[:50], lines[49], *lines[50:]]))


def test_damage_within_the_table_is_refused_with_its_line_and_never_halves_the_curve(tmp_path):
    r, g, dg = dialects.gold()
    lines = dialects.pdfgetx3(r, g, dg).splitlines()
    for at, broken in ((-100, "7.3e 0.1"), (-100, "12.1 abc"), (-300, "5.05"), (-10, "19.55 0.1 0.2"), (-100, "words")):
        damaged = lines.copy()
        damaged[at] = broken
        assert f":{len(lines) + at + 1}:" in refusal(tmp_path, "\n".join(damaged)), broken


def test_a_value_of_r_off_the_grid_is_refused_with_its_line(tmp_path):
    r, g, dg = dialects.gold()
    lines = dialects.headerless(r, g, dg).splitlines()
    lines[200] = lines[200].replace("10 ", "10.03 ")
    assert ":201:" in refusal(tmp_path, "\n".join(lines))


def test_missing_rows_and_a_spike_are_told(tmp_path):
    r, g, dg = dialects.gold(0.01)
    lines = dialects.headerless(r, g, dg).splitlines()
    curve = read_pdf(write(tmp_path, "\n".join(lines[:500] + lines[600:])))
    assert len(curve) == len(r) - 100
    assert any("missing" in note and "4.99" in note for note in curve.notes)
    lines[700] = f"{r[700]} 7.5"
    assert any("Line 701" in note for note in read_pdf(write(tmp_path, "\n".join(lines))).notes)


def test_too_short_too_coarse_and_constant_curves_are_refused(tmp_path):
    r, g, dg = dialects.gold()
    assert "At least 6 Å" in refusal(tmp_path, dialects.headerless(r[:100], g[:100], dg[:100]))
    coarse = dialects.gold(0.25, 0.0, 40.0)
    assert "π/Qmax" in refusal(tmp_path, dialects.pdfgetx3(*coarse))
    assert "all 401 rows" in refusal(tmp_path, dialects.headerless(r, 0 * g + 1.5, dg))
    assert "negative" in refusal(tmp_path, dialects.headerless(r - 15.0, g, dg))


def test_impossible_header_values_are_not_used_and_told(tmp_path):
    text = dialects.pdfgetx3(*dialects.gold())
    curve = read_pdf(write(tmp_path, text.replace("qmax = 24.0", "qmax = 240")))
    assert curve.header["qmax"] == 24.0
    assert any("nm⁻¹" in note for note in curve.notes)
    curve = read_pdf(write(tmp_path, text.replace("qmin = 0.8", "qmin = 77")))
    assert "qmin" not in curve.header
    assert any("qmin" in note for note in curve.notes)


@pytest.mark.experimental
@pytest.mark.skipif(not EXPERIMENTAL.is_dir(), reason="the measured curves are not beside this checkout (../shared/data/experimental)")
class TestMeasuredFiles:
    @pytest.mark.parametrize(
        ("name", "points", "last", "header"),
        [
            ("Au144pMBA.gr", 2001, 20.0, {"program": "PDFgetX3", "qmin": 1.33, "qmax": 28.0, "composition": "Au"}),
            ("Au144PET_100K.gr", 3001, 30.0, {"program": "PDFgetXgui", "qmin": 0.8, "qmax": 26.0, "composition": "Au144 S60 C180"}),
            ("Pt_1p8nm.gr", 5001, 50.0, {"program": "xPDFsuite", "qmin": 1.0, "composition": "Pt"}),
            ("dialects/ni_pdfgetx2_nodg.gr", 5999, 59.99, {"program": "PDFgetX2", "qmin": 0.01, "qmax": 27.0, "composition": "Ni"}),
            ("dialects/ni_pdfgetn_neutron.gr", 10000, 100.0, {"program": "PDFgetN", "qmin": 0.87, "qmax": 27.0, "radiation": "neutron"}),
            ("dialects/c60_three_columns.gr", 1999, 19.99, {}),
            ("dialects/cds_zns_blank_comments.gr", 7500, 75.0, {}),
            ("dialects/ag_nyquist_grid.gr", 334, 34.9764, {"program": "PDFgetX2", "qmax": 30.0, "composition": "Ag"}),
        ],
    )
    def test_a_measured_file_is_read_whole_and_in_angstrom(self, name, points, last, header):
        curve = read_pdf(EXPERIMENTAL / name)
        assert (len(curve), curve.r[-1]) == (points, pytest.approx(last))
        assert header.items() <= dict(curve.header).items()
        assert not any("multiplied" in note for note in curve.notes)
        assert (curve.dg is not None) == (name in {"dialects/c60_three_columns.gr", "dialects/ag_nyquist_grid.gr"})

    def test_half_an_angstrom_is_refused(self):
        with pytest.raises(PdfFileError, match=r"0\.01 to 0\.5 Å in 50 points"):
            read_pdf(EXPERIMENTAL / "dialects" / "lcmo_too_short.gr")


@pytest.mark.parametrize("row", ["1" * 2_000_000 + "x 2", "1 " * 500_000 + "x", "1." + "0" * 1_000_000 + " 2 x"])
@pytest.mark.timeout(20)
def test_an_endless_line_that_is_no_row_is_told_at_once(row):
    """Fails where a pattern tries every way to divide a run of digits: that takes hours for a million."""
    assert parse_row(row) == (None, False)
