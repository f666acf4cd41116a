"""Curves in HDF5 files, in the layouts that programs and people write: the same curve as from text, or a refusal that says what the file is."""

import os
import tracemalloc

import h5py
import numpy as np
import pytest

from deepstruc_hpc import read_pdf, read_pdfs
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.hdf5_curves import Hdf5Curves, curve_paths
from deepstruc_hpc.data.hdf5_tree import read_tree
from deepstruc_hpc.data.hdf5_words import axis_of, function_of, length_unit
from deepstruc_hpc.data.pdf_files import file_hash
from deepstruc_hpc.physics.debye import simulate_fq
from tests.data.hdf5_layouts import (
    STACK,
    WHOLE,
    G,
    R,
    big_endian_and_edges,
    columns,
    group,
    metres,
    nexus,
    no_names,
    plain,
    plain_in_groups,
    processed_like_pyfai,
    put,
    stack,
    table,
)


@pytest.fixture
def made(tmp_path):
    def make(write, name="a.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            write(file)
        return tmp_path / name

    return make


@pytest.mark.parametrize("write", WHOLE, ids=lambda write: write.__name__)
def test_every_layout_gives_the_same_curve_and_says_where_it_was(made, write):
    curve = read_pdf(made(write))
    assert curve.r == pytest.approx(R, abs=1e-6)
    assert curve.g == pytest.approx(G, abs=1e-5)
    assert "The curve was read from '/" in curve.notes[0]
    assert (curve.dg is not None) == (write in (nexus, plain, columns, table))


@pytest.mark.parametrize(
    ("write", "header"),
    [
        (nexus, {"composition": "Ce O2", "radiation": "xray", "qmin": 0.8, "qmax": 24.0, "qdamp": 0.03}),
        (processed_like_pyfai, {"composition": "Au", "radiation": "xray", "qmin": 0.8, "qmax": 24.0}),
        (plain, {"composition": "Au", "qmax": 24.0}),
        (plain_in_groups, {"composition": "Au", "qmax": 24.0, "radiation": "neutron"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_the_file_says_of_sample_and_instrument_is_used(made, write, header):
    assert dict(read_pdf(made(write)).header) == pytest.approx(header)


def test_guesses_are_told(made):
    assert any("by their shapes" in note for note in read_pdf(made(no_names)).notes)
    assert any("centres" in note for note in read_pdf(made(big_endian_and_edges)).notes)
    assert any("metres" in note for note in read_pdf(made(metres)).notes)


# --- several curves --------------------------------------------------------------------------------------------------------------------------------


def stack_the_other_way(file):
    file["r"], file["gr"] = R, STACK.T


def grid_of_a_map(file):
    file["map/r"], file["map/gr"] = R, np.stack([STACK, STACK])


def entries(file):
    for number, name in enumerate(("cold", "warm", "hot")):
        data = group(file, f"{name}/pdf", "NXdata", signal="G", axes="r")
        data["r"], data["G"] = R, STACK[number]
        file[f"{name}/qmax"] = 20.0 + 2 * number


def own_distances(file):
    file["r"], file["gr"] = np.stack([R, R, R]), STACK


MANY = [
    (stack, ["/entry/pdf/gr[0]", "/entry/pdf/gr[1]", "/entry/pdf/gr[2]"]),
    (stack_the_other_way, ["/gr[0]", "/gr[1]", "/gr[2]"]),
    (entries, ["/cold/pdf/G", "/warm/pdf/G", "/hot/pdf/G"]),
    (own_distances, ["/gr[0]", "/gr[1]", "/gr[2]"]),
]


@pytest.mark.parametrize(("write", "names"), MANY, ids=lambda value: getattr(value, "__name__", ""))
def test_all_curves_of_a_file_are_read_and_named_by_their_place(made, write, names):
    path = made(write)
    curves = {str(curve.header["name"]): curve for curve in read_pdfs(path)}
    assert set(curves) == set(names)
    for factor, name in enumerate(names, 1):
        assert curves[name].g == pytest.approx(factor * G, abs=1e-9)
        assert curves[name].source == f"{path}#{name}"
        for mark in ("#", "::"):
            assert np.array_equal(read_pdf(f"{path}{mark}{name}").g, curves[name].g)
    with pytest.raises(PdfFileError, match=r"holds 3 curves: '/.*::/"):
        read_pdf(path)


def test_a_map_counts_in_two_numbers(made):
    curves = Hdf5Curves(made(grid_of_a_map))
    assert curves.names[4] == "/map/gr[1,1]"
    assert curves[-1].g == pytest.approx(3 * G)
    assert [len(part.g) for part in curves[:2]] == [len(R)] * 2


def test_values_of_one_entry_are_not_lent_to_another(made):
    curves = read_pdfs(made(entries))
    assert sorted(float(note.split()[3].strip(",")) for curve in curves for note in curve.notes if "qmax is" in note) in ([], [20.0, 22.0])
    assert len({curve.value("qmax") for curve in curves}) >= 2


def test_a_stack_is_read_one_curve_at_a_time(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["r"] = R
        file.create_dataset("gr", (4000, len(R)), "f4", chunks=(1, len(R)))[:] = G.astype("f4")
    n_bytes = 4000 * len(R) * 4
    tracemalloc.start()
    curves = Hdf5Curves(tmp_path / "a.h5")
    assert len(curves) == 4000
    for number in (0, 1999, 3999):
        assert len(curves[number].g) == len(R)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * n_bytes


def test_a_curve_has_a_hash_of_its_own_that_other_curves_do_not_change(made, tmp_path):
    path = made(stack)
    before = [file_hash(place) for place in curve_paths(path)]
    assert len(set(before)) == 3
    with h5py.File(path, "r+") as file:
        file["entry/pdf/gr"][1] *= 1.01
        file["entry/more"] = 1.0
    os.utime(path, (1, 1))
    after = [file_hash(place) for place in curve_paths(path)]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]


# --- what is chosen --------------------------------------------------------------------------------------------------------------------------------


def two_without_names(file):
    for name in ("one", "two"):
        data = group(file, f"entry/{name}", "NXdata", signal="data", axes="r")
        data["r"], data["data"] = R, G


def two_without_names_and_a_default(file):
    two_without_names(file)
    file.attrs["default"] = "entry"
    file["entry"].attrs["default"] = "two"


def test_several_that_no_name_tells_apart_are_listed_and_a_path_or_the_default_chooses(made):
    path = made(two_without_names)
    with pytest.raises(PdfFileError, match=r"2 datasets may be G\(r\).*/entry/one/data.*/entry/two/data.*Choose one: .*::/entry"):
        read_pdf(path)
    curve = read_pdf(f"{path}::/entry/two")
    assert "'/entry/two/data' says no function" in " ".join(curve.notes)
    assert "'/entry/two/data'" in read_pdf(made(two_without_names_and_a_default, "b.h5")).notes[0]


def test_a_measured_curve_goes_before_a_calculated_one_and_a_link_is_no_second_curve(made):
    def fit(file):
        file["r"], file["gcalc"], file["gobs"] = R, 0.9 * G, G
        file["also"] = file["gobs"]
        file["latest/gr"] = h5py.SoftLink("/gobs")

    assert read_pdf(made(fit)).g == pytest.approx(G)


@pytest.mark.parametrize(("name", "make"), [("F(Q)", lambda _, f: f), ("sq", lambda q, f: 1.0 + f / q), ("data", lambda _, f: f)])
@pytest.mark.parametrize("unit", ["1/angstrom", "nm^-1"])
def test_functions_of_q_are_transformed(made, name, make, unit):
    grid = np.array([(i, j, k) for i in range(-3, 4) for j in range(-3, 4) for k in range(-3, 4) if (i + j + k) % 2 == 0]) * 2.04
    q = np.arange(0.8, 24.0, 0.01)
    fq = simulate_fq(["Au"] * len(grid), grid, q, uiso=0.007)

    def write(file):
        data = group(file, "entry/result", "NXdata", signal=name, axes="q")
        put(data, "q", q * (10 if "nm" in unit else 1), units=unit)
        data[name] = make(q, fq)

    curve = read_pdf(made(write))
    assert any("transformed to G(r) from Q 0.8 to 2" in note for note in curve.notes)
    peak = curve.r[(curve.r > 2) & (curve.r < 3.5)][np.argmax(curve.g[(curve.r > 2) & (curve.r < 3.5)])]
    assert peak == pytest.approx(2.04 * 2**0.5, abs=0.05)


# --- words -----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "function"),
    [
        *((name, "G(r)") for name in ("gr", "G", "g_r", "G(r)", "gofr", "pdf", "g_of_r", "gr_300K", "G(r) (1/Å^2)", "gobs", "g(r)")),
        *((name, "F(Q)") for name in ("fq", "F(Q)", "f_q")),
        *((name, "S(Q)") for name in ("sq", "S(Q)", "soq")),
        *((name, "I(Q)") for name in ("iq", "I", "intensity", "I(q)")),
        *((name, "calculated") for name in ("gcalc", "gr_fit")),
        *((name, "") for name in ("data", "r", "temperature", "gdiff", "dr", "t", "d", "group")),
        *(("D(r)", "D(r)"), ("T(r)", "T(r)"), ("rdf", "RDF"), ("g(r)-1", "g(r) − 1")),
    ],
)
def test_names_of_functions(name, function):
    assert function_of([name])[0] == function


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        *(("r", unit, ("r", "angstrom")) for unit in ("angstrom", "Å", "A", "Angstroms", "\u212b")),
        *(("x", unit, ("r", "nm")) for unit in ("nm", "nanometer", "nanometre")),
        *(("x", unit, ("q", "nm")) for unit in ("1/nm", "nm^-1", "nm-1", "nm⁻¹", "q_nm^-1")),
        *(("x", unit, ("q", "angstrom")) for unit in ("1/angstrom", "Å^-1", "1/A", "A-1", "q_A^-1", "angstrom^-1")),
        *(("r", "", ("r", "")), ("q", "", ("q", "")), ("radial", "r_mm", ("", "")), ("r", "mm", ("other", "")), ("2theta", "", ("angle", ""))),
        *(("time", "s", ("", "")), ("x", "deg", ("angle", "")), ("x", "m", ("", "")), ("r", "m", ("r", "m"))),
    ],
)
def test_axes_and_their_units(name, unit, kind):
    assert axis_of(name, unit) == kind


def test_lengths():
    assert length_unit("pm") == ("length", "pm")
    assert length_unit("K") == ("", "")


def test_a_tree_is_read_again_when_the_file_changes(made):
    path = made(plain)
    assert "/more" not in read_tree(path).nodes
    with h5py.File(path, "a") as file:
        file["more"] = np.zeros(30)
    assert "/more" in read_tree(path).nodes
