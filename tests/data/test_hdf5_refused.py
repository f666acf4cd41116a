"""HDF5 files that hold no curve, or are damaged: refused by what they are."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.hdf5_curves import Hdf5Curves
from tests.data.hdf5_layouts import G, R, group, nexus, plain, processed_like_pyfai, put, stack


@pytest.fixture
def made(tmp_path):
    def make(write, name="a.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            write(file)
        return tmp_path / name

    return make


# --- what is refused -------------------------------------------------------------------------------------------------------------------------------


def intensity(file):
    data = group(file, "entry/integrated", "NXdata", signal="intensity", axes="q")
    put(data, "q", np.linspace(1, 240, 500), units="nm^-1")
    put(data, "intensity", np.linspace(9, 1, 500))


def pattern(file):
    data = group(file, "entry/integrated", "NXdata", signal="I", axes="2th")
    put(data, "2th", np.linspace(1, 40, 500), units="deg")
    data["I"] = np.linspace(9, 1, 500)


def images(file):
    put(group(file, "entry/data", "NXdata", signal="data"), "data", np.zeros((3, 200, 210), dtype="u2"))


def unknown_intensity(file):
    data = group(file, "entry/data", "NXdata", signal="data", axes="q")
    data["q"], data["data"] = np.linspace(0.1, 24, 900), np.linspace(9, 1, 900)


def positive_without_names(file):
    file["x"], file["y"] = R, np.abs(G) + 1


def other_things(file):
    file["temperature"], file["note"] = np.full(30, 300.0), "x"


def nothing(file):
    file["note"] = "x"


def no_distances(file):
    file["entry/gr"] = G


REFUSED = [
    (intensity, "", r"holds I\(Q\), an intensity \(/entry/integrated/intensity, 500\), not G\(r\)"),
    (pattern, "", "powder pattern over an angle"),
    (images, "", r"holds images \(/entry/data/data, 3 × 200 × 210\), not G\(r\)"),
    (unknown_intensity, "", r"holds I\(Q\), an intensity"),
    (positive_without_names, "", r"holds no G\(r\).*/x \(1001\), /y"),
    (other_things, "", r"arrays of numbers: /temperature \(30\)"),
    (nothing, "", "no arrays of numbers"),
    (no_distances, "", "/entry/gr has no r"),
    (plain, "/entry/gr", r"no dataset or group /entry/gr\. Its arrays of numbers: /dgr \(1001\), /gr"),
    (plain, "/gr[3]", r"no curve \[3\] in /gr"),
    (stack, "/entry/pdf/gr[3]", r"no curve \[3\] in /entry/pdf/gr, which holds 3"),
    (processed_like_pyfai, "/entry_0000/raw", "no dataset or group /entry_0000/raw.*Links that lead nowhere: /entry_0000/raw"),
    (nexus, "/entry/integrated", r"holds I\(Q\)"),
    (nexus, "/entry/sample/chemical_formula", "is not an array of numbers"),
]


@pytest.mark.parametrize(("write", "place", "words"), REFUSED, ids=[f"{write.__name__}{place}" for write, place, _ in REFUSED])
def test_what_is_no_curve_is_refused_by_its_kind(made, write, place, words):
    path = made(write)
    with pytest.raises(PdfFileError, match=words) as refused:
        read_pdf(f"{path}::{place}" if place else path)
    assert str(path) in str(refused.value)


def test_damage_of_one_curve_of_a_stack_is_named_and_harms_no_other(made):
    def write(file):
        stack(file)
        file["entry/pdf/gr"][1, 400:] = np.nan
        file["entry/pdf/gr"][2] = 0.0

    curves = Hdf5Curves(made(write))
    assert curves[0].g == pytest.approx(G)
    assert curves[1].r[-1] == pytest.approx(R[399])
    assert "missing in the last" in " ".join(curves[1].notes)
    with pytest.raises(PdfFileError, match=r"a\.h5#/entry/pdf/gr\[2\]: G\(r\) is 0 in all"):
        curves[2]


@pytest.mark.parametrize("name", ["a.h5", "a.nxs", "a.gr"])
def test_a_file_that_is_cut_off_is_refused(made, name):
    path = made(nexus, name)
    whole = path.read_bytes()
    for part in (0.05, 0.3, 0.7, 0.95):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(PdfFileError, match=r"cut off|damaged") as refused:
            read_pdf(path)
        assert "HDF5" in str(refused.value)


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"r g\n0 1\n", "no HDF5 file"), (b"\x0e\x03\x13\x01 and more", "HDF4")])
def test_what_is_no_hdf5_is_said(tmp_path, content, words):
    (tmp_path / "a.nxs").write_bytes(content)
    with pytest.raises(PdfFileError, match=words):
        read_pdf(tmp_path / "a.nxs")
    with pytest.raises(PdfFileError, match="no such file"):
        read_pdf(tmp_path / "b.h5")
    (tmp_path / "c.h5").mkdir()
    with pytest.raises(PdfFileError, match="is a directory"):
        read_pdf(tmp_path / "c.h5")


def test_damaged_bytes_give_a_curve_or_an_error_and_never_another_exception(made):
    path = made(nexus)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(5)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 6):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_pdf(path).g).all()
        except PdfFileError as refused:
            assert str(path) in str(refused)  # noqa: PT017


WRITER = """
import sys, h5py, numpy as np
file = h5py.File(sys.argv[1], "w", libver="latest")
file["r"] = np.load(sys.argv[2])[0]
gr = file.create_dataset("gr", data=np.load(sys.argv[2])[1:2], maxshape=(None, None), chunks=(1, 1001))
if sys.argv[3] == "swmr":
    file.swmr_mode = True
file.flush()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["plain", "swmr"])
def test_a_file_that_another_program_writes_is_read_or_named_and_never_waited_for(tmp_path, mode):
    np.save(tmp_path / "a.npy", np.stack([R, G]))
    path = tmp_path / "a.h5"
    words = [sys.executable, "-c", WRITER, str(path), str(tmp_path / "a.npy"), mode]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        if mode == "swmr":
            assert read_pdf(path).g == pytest.approx(G)
        else:
            with pytest.raises(PdfFileError, match="another program is writing"):
                read_pdf(path)
        writer.stdin.close()
    assert read_pdf(path).g == pytest.approx(G)
