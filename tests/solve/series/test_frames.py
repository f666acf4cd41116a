"""Frames come in the order that people mean, with what was noted."""

from pathlib import Path

import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.solve.run.inputs import PdfItem
from deepstruc_hpc.solve.series.frames import list_frames, noted_with


def _items(*names, **values):
    return [PdfItem(Path(f"/data/{name}"), name, values.get(Path(name).stem, {})) for name in names]


def test_numbers_in_names_count_as_numbers():
    frames = list_frames(_items("f100.gr", "f10.gr", "f5.gr", "F7.gr"))
    assert [frame.item.path.name for frame in frames] == ["f5.gr", "F7.gr", "f10.gr", "f100.gr"]
    assert [frame.number for frame in frames] == [0, 1, 2, 3]


def test_curves_of_one_file_keep_its_order(tmp_path):
    paths = [Path(f"/data/film.h5#/entry/pdf[{number}]") for number in range(12)]
    frames = list_frames([PdfItem(path, str(number)) for number, path in enumerate(paths)])
    assert [frame.item.path for frame in frames] == paths


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("sample_T300K_3.gr", {"temperature": 300.0}),
        ("sample_298.15K_3.gr", {"temperature": 298.15}),
        ("tb3ni@10K_neutron.gr", {"temperature": 10.0}),
        ("map_x1_y2.gr", {"x": 1.0, "y": 2.0}),
        ("map_x1p5_y-2.gr", {"x": 1.5, "y": -2.0}),
        ("anneal_120s.gr", {"time": 120.0}),
        ("temperature_300,00K.gr", {"temperature": 300.0}),
        ("scan_27,5K_0012.gr", {"temperature": 27.5}),
        ("temp_25C_3.gr", {"temperature": 298.15}),
        ("Pt_25C_3.gr", {}),
        ("ramp_-20.0degC.gr", {"temperature": 253.15}),
        ("T300,x1,5,y2.gr", {"temperature": 300.0, "x": 1.5, "y": 2.0}),
        ("anneal_2min.gr", {"time": 120.0}),
        ("anneal_t=1,5h_2.gr", {"time": 5400.0}),
        ("KCl_test_12.gr", {}),
        ("Pt3Co_max_1.gr", {}),
    ],
)
def test_what_a_name_says(name, known):
    assert noted_with(PdfItem(Path("/data") / name, "f")) == pytest.approx(known)


@pytest.mark.parametrize(("line", "known"), [("temperature = 300,5", 300.5), ("Temperature: 25 C", 298.15), ("temperature = 12 corrected", 12.0)])
def test_what_a_header_says(line, known, tmp_path):
    path = tmp_path / "a.gr"
    path.write_text(f"# {line}\n#### start data\n0 0\n")
    assert noted_with(PdfItem(path, "a")) == pytest.approx({"temperature": known})


def test_the_header_wins_over_the_name_and_the_table_over_both(tmp_path):
    path = tmp_path / "a_T300K.gr"
    path.write_text("# temperature = 451.5\n# time = 2024-05-01T12:00:00+00:00\n#### start data\n0 0\n")
    known = noted_with(PdfItem(path, "a"))
    assert known == {"temperature": 451.5, "time": 1714564800.0}
    assert noted_with(PdfItem(path, "a", {"temperature": "500"}))["temperature"] == 500.0


def test_order_by_a_column_that_is_no_setting():
    frames = list_frames(_items("a.gr", "b.gr", "c.gr", a={"dose": "3", "qdamp": "0.04"}, b={"dose": "1"}, c={"dose": "2"}), by="dose")
    assert [frame.item.path.stem for frame in frames] == ["b", "c", "a"]
    assert [frame.order for frame in frames] == [1.0, 2.0, 3.0]
    assert frames[2].item.values == {"qdamp": "0.04"}


def test_a_frame_that_does_not_say_its_order_is_named():
    with pytest.raises(ConfigError, match=r"b\.gr: nothing says its temperature"):
        list_frames(_items("a_T10K.gr", "b.gr"), by="temperature")
