"""An uploaded HDF5 file that names other files is refused before it is read."""

import h5py
import numpy as np
import pytest

from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.serve.reach import refuse_other_files

R = np.arange(0.0, 20.0, 0.05)


def _plain(handle):
    group = handle.create_group("entry/pdf")
    group["r"], group["gr"] = R, np.sin(2 * R)
    return group


def _external_link(handle, other):
    handle["entry/elsewhere"] = h5py.ExternalLink(str(other), "/entry/pdf")


def _external_numbers(handle, other):
    handle.create_dataset("entry/raw", shape=(8,), dtype="u1", external=[(str(other), 0, 8)])


def _virtual(handle, other):
    layout = h5py.VirtualLayout(shape=R.shape, dtype="f8")
    layout[:] = h5py.VirtualSource(str(other), "entry/pdf/gr", shape=R.shape)
    handle.create_virtual_dataset("entry/virtual", layout)


@pytest.mark.parametrize(
    ("reaches", "words"), [(_external_link, "link into another file"), (_external_numbers, "another file"), (_virtual, "another")]
)
def test_a_file_that_reaches_for_another_is_refused(tmp_path, reaches, words):
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as handle:
        _plain(handle)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        _plain(handle)
        reaches(handle, other)
    with pytest.raises(PdfFileError, match=words):
        refuse_other_files(tmp_path / "a.h5")


def test_a_file_with_links_to_itself_is_let_through(tmp_path):
    with h5py.File(tmp_path / "a.nxs", "w") as handle:
        group = _plain(handle)
        group["loop"] = handle["entry"]
        group["soft"] = h5py.SoftLink("/entry/pdf/gr")
        group["nowhere"] = h5py.SoftLink("/entry/none")
    refuse_other_files(tmp_path / "a.nxs")
    assert read_pdf(tmp_path / "a.nxs").g == pytest.approx(np.sin(2 * R), abs=1e-6)


def test_text_is_left_to_the_reader_which_says_what_is_wrong(tmp_path):
    (tmp_path / "a.gr").write_text("not a table")
    refuse_other_files(tmp_path / "a.gr")
    with pytest.raises(PdfFileError, match="two or more numbers"):
        read_pdf(tmp_path / "a.gr")
