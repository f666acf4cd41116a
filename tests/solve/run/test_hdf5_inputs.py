"""HDF5 files as inputs of a run: each curve an item with a name and a folder of its own, solved like a text file."""

import json

import h5py
import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.files import shown_name, split_inside
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.solve.run.inputs import find_pdfs, make_items, read_values, skipped_in_words
from deepstruc_hpc.solve.run.output import ItemRecord
from deepstruc_hpc.solve.run.summary import Summary


def write_stack(path, curves, **header):
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/pdf")
        data.attrs.update({"NX_class": "NXdata", "signal": "gr", "axes": [".", "r"], **header})
        data["r"], data["gr"] = curves[0].r, np.stack([curve.g for curve in curves])
    return path


def stack_of(measured, path):
    curves = [read_pdf(measured / f"{kind}.gr") for kind in ("icosahedral", "fcc")]
    return write_stack(path, curves, composition="Pt", qmin=0.8, qmax=22.0)


def test_every_curve_of_a_stack_is_an_item_found_by_file_folder_glob_and_place(measured, tmp_path):
    path = stack_of(measured, tmp_path / "frames.nxs")
    both = [f"{path}#/entry/pdf/gr[{number}]" for number in (0, 1)]
    for named in (path, tmp_path, f"{tmp_path}/*.nxs", f"{path}::/entry/pdf", f"{path}::/entry/pdf/gr", f"{tmp_path}/*.nxs::/entry/pdf"):
        assert [str(found) for found in find_pdfs([named])] == both
    assert [str(found) for found in find_pdfs([f"{path}::/entry/pdf/gr[1]"])] == both[1:]
    items = make_items(find_pdfs([path]))
    assert [item.folder for item in items] == ["frames_entry_pdf_gr_0", "frames_entry_pdf_gr_1"]
    (tmp_path / "values.csv").write_text("file,qdamp\nframes.nxs,0.05\nframes.nxs#/entry/pdf/gr[1],0.06\n")
    values = read_values(tmp_path / "values.csv")
    assert [dict(item.values) for item in make_items(find_pdfs([path]), values=values)] == [{"qdamp": "0.05"}, {"qdamp": "0.06"}]


def test_a_file_of_one_curve_keeps_its_own_name(measured, tmp_path):
    path = write_stack(tmp_path / "one.h5", [read_pdf(measured / "fcc.gr")])
    assert find_pdfs([tmp_path]) == [path]
    assert make_items([path])[0].folder == "one"


def write_images(path):
    with h5py.File(path, "w") as file:
        data = file.create_group("entry/data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data"})
        data["data"] = np.zeros((3, 200, 210), dtype="u2")
    return path


def test_images_in_a_folder_of_curves_are_left_out_with_a_word_and_refused_when_named(measured, shapes_store, tmp_path):
    raw, curve = write_images(tmp_path / "raw_00001.h5"), tmp_path / "fcc.gr"
    curve.write_bytes((measured / "fcc.gr").read_bytes())
    settings = {"catalog": shapes_store, "sources": "catalog", "workers": 0, "qdamp": 0.03}
    frame = solve(tmp_path, tmp_path / "out", **settings)
    assert frame["file"].map(shown_name).tolist() == ["fcc.gr"]
    notes = json.loads((tmp_path / "out" / "summary.json").read_text())["run"]["notes"]
    assert any("raw_00001.h5" in note and "left out" in note for note in notes)
    named = solve(raw, tmp_path / "named", **settings)
    assert named["status"].tolist() == ["failed"]
    assert "holds images" in named["message"][0]
    (tmp_path / "raw").mkdir()
    write_images(tmp_path / "raw" / "a.h5")
    with pytest.raises(PdfFileError, match=r"none of its 1 HDF5 files holds a G\(r\).*holds images"):
        find_pdfs([tmp_path / "raw"])
    assert find_pdfs([tmp_path / "raw"], allow_empty=True) == []
    assert skipped_in_words({}) == []


def test_a_damaged_hdf5_file_in_a_folder_is_a_failed_row_and_not_left_out(measured, tmp_path):
    path = write_stack(tmp_path / "one.h5", [read_pdf(measured / "fcc.gr")])
    path.write_bytes(path.read_bytes()[:3000])
    assert find_pdfs([tmp_path]) == [path]


def test_frames_come_in_the_order_of_their_numbers(measured, tmp_path):
    """Fails where names are sorted as text: 10 and 100 before 5."""
    curve = read_pdf(measured / "fcc.gr")
    write_stack(tmp_path / "stack.h5", [curve] * 12)
    for number in (100, 5, 10):
        (tmp_path / f"frame{number}.gr").write_text("0 0\n1 1\n")
    with h5py.File(tmp_path / "scans.h5", "w") as file:
        for number in (10, 2):
            file[f"scan{number}/r"], file[f"scan{number}/gr"] = curve.r, curve.g
    expected = [*(f"frame{number}.gr" for number in (5, 10, 100)), "scans.h5#/scan2/gr", "scans.h5#/scan10/gr"]
    expected += [f"stack.h5#/entry/pdf/gr[{number}]" for number in range(12)]
    assert [shown_name(path) for path in find_pdfs([tmp_path])] == expected
    shown = [shown_name(path) for path in find_pdfs([f"{tmp_path}/*.gr"])]
    assert shown == expected[:3]
    summary = Summary(tmp_path / "out", {})
    for name in reversed(expected):
        summary.add(ItemRecord(file=str(tmp_path / name), folder=name))
    assert summary.frame()["file"].map(shown_name).tolist() == expected


def test_names_are_split_only_where_they_lead_into_a_file(tmp_path):
    assert split_inside("/a/b.h5#/entry/pdf[3]")[1] == "/entry/pdf[3]"
    assert split_inside("/a/Ä#100%.gr")[1] == ""
    (tmp_path / "x.h5#").mkdir()
    (tmp_path / "x.h5#" / "a.gr").write_text("0 0\n")
    assert split_inside(tmp_path / "x.h5#" / "a.gr")[1] == ""
    assert shown_name("/a/b.h5#/entry/pdf[3]") == "b.h5#/entry/pdf[3]"
    assert shown_name("/a/b.gr") == "b.gr"


def test_a_stack_is_solved_like_text_files_and_not_solved_again(measured, shapes_store, tmp_path):
    path = stack_of(measured, tmp_path / "frames.nxs")
    text_file = measured / "icosahedral.gr"
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:3000])
    settings = {"catalog": shapes_store, "sources": "catalog", "workers": 0, "qdamp": 0.03}
    seen = []
    frame = solve([path, tmp_path / "cut.h5", text_file], tmp_path / "out", on_result=seen.append, **settings)
    rows = frame.set_index(frame["file"].map(shown_name))
    assert rows["status"].to_dict() == {
        "cut.h5": "failed",
        "icosahedral.gr": "ok",
        "frames.nxs#/entry/pdf/gr[0]": "ok",
        "frames.nxs#/entry/pdf/gr[1]": "ok",
    }
    assert "cut off" in rows.loc["cut.h5", "message"] or "damaged" in rows.loc["cut.h5", "message"]
    text, stacked = rows.loc["icosahedral.gr"], rows.loc["frames.nxs#/entry/pdf/gr[0]"]
    assert (text["structure_type"], text["n_atoms"]) == (stacked["structure_type"], stacked["n_atoms"])
    assert abs(text["rw"] - stacked["rw"]) < 1e-4
    assert (tmp_path / "out" / stacked["folder"] / "rank-001.xyz").is_file()

    with h5py.File(path, "r+") as file:
        file["entry/pdf/gr"][1] *= 1.5
    seen.clear()
    solve([path], tmp_path / "out", on_result=seen.append, **settings)
    assert [shown_name(record.file) for record in seen] == ["frames.nxs#/entry/pdf/gr[1]"]


def test_watching_takes_the_curves_of_a_file_that_arrives(measured, shapes_store, tmp_path):
    folder = tmp_path / "beamtime"
    folder.mkdir()
    stack_of(measured, folder / "frames.nxs")
    frame = solve(folder, tmp_path / "out", watch=True, watch_idle_s=3.0, catalog=shapes_store, sources="catalog", workers=0, qdamp=0.03)
    assert list(frame["status"]) == ["ok", "ok"]
