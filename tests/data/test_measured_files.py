"""Files of other programs and laboratories, read from ../shared where they are: what each is, not how well it is fitted."""

import re
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_spectrum import spectral_qmax

MEASURED = Path(__file__).resolve().parents[3] / "shared" / "data" / "measured"
pytestmark = [
    pytest.mark.experimental,
    pytest.mark.skipif(not MEASURED.is_dir(), reason="the measured curves are not beside this checkout (../shared/data/measured)"),
]
FILES = [
    # name, rows, last r, words of a note or of the refusal
    ("almo15_tabs.gr", 6001, 60.0, ""),
    ("au_10nm.fq", 6001, 60.0, r"holds F\(Q\); it was transformed"),
    ("boehmite.gr", 30001, 300.0, ""),
    ("ceo2_2nm.gr", 3001, 30.0, ""),
    ("co2_half_bin.gr", 3977, 19.8825, ""),
    ("cu_five_columns.gr", 251, 10.0, "5 columns without labels"),
    ("irox_no_header.gr", 20001, 20.0, ""),
    ("lab6_gudrun.gofr", 5001, 50.0, r"holds g\(r\) − 1"),
    ("mno_bulk_neutron.gr", 2000, 20.0, ""),
    ("ni3fe_ycalc_first.fgr", 4901, 50.0, "column 3, labelled 'y'"),
    ("ni_spheroid_simulated.cgr", 6001, 60.0, "calculated curve"),
    ("nife_oxide_film.gr", 2001, 20.0, "announces r up to 100"),
    ("ptru_electrode_3nm.gr", 10001, 100.0, ""),
    ("sf6_rmcprofile.dat", 1500, 30.0, r"g\(r\) − 1 weighted with 0.2759"),
    ("si_nanosphere.gr", 1243, 26.3, ""),
    ("srtio3_rmcprofile.gr", 2500, 50.0, r"g\(r\) − 1 weighted with 0.1762"),
    ("tb3ni@10K_neutron.gr", 4000, 40.0, ""),
    ("au_10nm.chi", 0, 0.0, r"I\(Q\)"),
    ("ni_unsorted.dat", 0, 0.0, r":24: r goes back"),
]


@pytest.mark.parametrize(("name", "rows", "last", "words"), FILES, ids=[row[0] for row in FILES])
def test_a_foreign_file_is_read_for_what_it_is_or_refused_by_name(name, rows, last, words):
    if not rows:
        with pytest.raises(PdfFileError, match=words):
            read_pdf(MEASURED / name)
        return
    curve = read_pdf(MEASURED / name)
    assert (len(curve), curve.r[-1]) == (rows, pytest.approx(last, abs=1e-6))
    assert np.isfinite(curve.g).all()
    assert re.search(words, " ".join(curve.notes)) if words else not curve.notes


def test_the_transform_of_a_measured_f_of_q_is_the_programs_own_g_of_r():
    ours, theirs = read_pdf(MEASURED / "au_10nm.fq"), read_pdf(MEASURED / "au_10nm.gr")
    counted = (theirs.r > 2.0) & (theirs.r < 60.0)
    assert np.linalg.norm((ours.g - theirs.g)[counted]) < 0.03 * np.linalg.norm(theirs.g[counted])


@pytest.mark.parametrize("name", ["au_10nm.gr", "ceo2_2nm.gr", "boehmite.gr", "iro2_3nm.gr", "mno_bulk_neutron.gr", "tio2_film_difference.gr"])
def test_the_spectrum_of_a_measured_curve_ends_where_its_header_says(name):
    curve = read_pdf(MEASURED / name)
    assert spectral_qmax(curve) == pytest.approx(curve.value("qmax"), rel=0.03)
