import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import ConfigError, OutputError
from deepstruc_hpc.data.series_file import read_series
from deepstruc_hpc.report import series_view
from deepstruc_hpc.report.series_page import write_series_page
from deepstruc_hpc.report.series_quantities import QUANTITIES, abscissae, band, is_map, known_quantities, lower_bounds, phase_shares, rises
from deepstruc_hpc.report.series_view import colour_range, view_of
from tests.report.series_made import BROKEN, MESSAGE, NASTY, REFUSED, R, made_table, write_map, write_series
from tests.report.test_report import documents, unpack

N = 320
DIAMETER = QUANTITIES[0]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return write_series(tmp_path_factory.mktemp("series"), N, {200: f"/data/{NASTY}"})


@pytest.fixture(scope="module")
def page(out):
    return documents(write_series_page(out, figures=False))


def test_the_page_holds_every_number_of_the_table(page, out):
    table = pd.read_csv(out / "series.csv")
    columns = page["series"]["columns"]
    assert list(columns) == list(table)
    for name in ("rw", "diameter", "diameter_high", "temperature", "change_point", "lattice"):
        shown = np.array([np.nan if value is None else value for value in columns[name]["n"]])
        np.testing.assert_allclose(shown, table[name], rtol=1e-6)
    kinds = columns["structure_type"]
    assert [kinds["t"][code] for code in kinds["c"]] == table["structure_type"].fillna("").tolist()


def test_the_curves_of_the_page_are_those_of_the_file(page, out):
    curves, series = page["curves"], read_series(out)
    data, fit = series.curves(slice(200, 201))
    points = np.isin(np.round(R, 4), np.round(unpack(curves["r"]), 2))
    assert points.sum() == len(unpack(curves["r"]))
    width = np.ptp(data)
    np.testing.assert_allclose(unpack(curves["data"][200]), data[0, points], atol=width / 100_000)
    np.testing.assert_allclose(unpack(curves["fit"][200]), fit[0, points], atol=width / 100_000)


def test_a_frame_without_a_curve_or_a_fit_has_none_on_the_page(page):
    curves = page["curves"]
    assert [i for i, curve in enumerate(curves["data"]) if curve is None] == [40, 41]
    assert [i for i, curve in enumerate(curves["fit"]) if curve is None] == [40, 41]
    assert page["series"]["counts"] == "317 solved, 1 not applicable, 2 failed"


def test_texts_of_files_stay_within_their_json(out):
    text = write_series_page(out, figures=False).read_text(encoding="utf-8")
    _, rest = text.split("</head>", 1)
    data = rest[: rest.index('<script type="application/json" id="curves">')]
    assert data.count("</script>") == 1
    found = json.loads(re.search(r'id="series">(.*?)</script>', data, re.DOTALL)[1])
    assert NASTY in found["words"]["name"]["t"]
    assert MESSAGE in found["columns"]["message"]["t"]


def test_a_directory_name_is_text(tmp_path):
    out = tmp_path / "a<b>&c"
    out.mkdir()
    text = write_series_page(write_series(out, 6), figures=False).read_text(encoding="utf-8")
    assert "<title>deepstruc-hpc: series a&lt;b&gt;&amp;c</title>" in text


def test_every_figure_is_drawn_and_linked(tmp_path):
    page = documents(write_series_page(write_map(tmp_path)))["series"]
    drawn = {path.stem for path in (tmp_path / "series").glob("*.png")}
    assert {"data", "residual", "diameter", "phases", "lattice", "uiso", "rw", "probability", "change_point"} <= drawn
    assert {"map-diameter", "map-type", "map-phase-0", "map-phase-1", "map-rw"} <= drawn
    assert set(page["figures"]) == drawn
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in page["figures"].values())


def test_the_command_writes_the_page_of_a_series_and_that_of_a_summary(tmp_path, capsys):
    write_series(tmp_path, 6)
    assert run(["report", str(tmp_path), "--no-figures"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "series.html")]
    pd.DataFrame({"file": ["a.gr"], "status": ["failed"], "message": ["empty"]}).to_csv(tmp_path / "summary.csv", index=False)
    assert run(["report", str(tmp_path), "--no-figures"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "series.html"), str(tmp_path / "index.html")]
    assert documents(tmp_path / "index.html")["folder"]["series"] is True
    with pytest.raises(ConfigError, match="holds no series"):
        write_series_page(tmp_path / "series")


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(tmp_path):
    write_series(tmp_path, 6)
    (tmp_path / "series").write_text("a file where the folder shall be")
    with pytest.raises(OutputError, match="series: cannot be written"):
        write_series_page(tmp_path)


def test_a_series_of_one_frame_and_one_of_failures_have_a_page(tmp_path):
    one, lost = tmp_path / "one", tmp_path / "lost"
    one.mkdir()
    lost.mkdir()
    write_series(one, 1)
    assert documents(write_series_page(one))["series"]["frames"] == 1
    write_series(lost, 3)
    table = pd.read_csv(lost / "series.csv")[["frame", "file"]].assign(status="failed", message="empty")
    table.to_csv(lost / "series.csv", index=False)
    page = documents(write_series_page(lost))["series"]
    assert (page["quantities"], page["shares"], page["counts"]) == ([], {}, "3 failed")


def test_a_long_series_is_thinned_to_its_room_and_keeps_the_frames_around_changes(out, monkeypatch):
    whole = view_of(read_series(out))
    assert (len(whole.frames), whole.step) == (N, 1)
    monkeypatch.setattr(series_view, "MOST_NUMBERS", whole.data.size // 4)
    thinned = view_of(read_series(out))
    assert thinned.step == 8
    changes = read_series(out).change_points["frame"]
    assert {0, N - 1, *changes, *(changes - 1)} <= set(thinned.frames)
    assert len(thinned.frames) <= N / 8 + 2 + 2 * len(changes)
    np.testing.assert_array_equal(thinned.data, whole.data[thinned.frames])


@pytest.mark.parametrize("stretch", [1, 7 * len(R), 10_000 * len(R)])
def test_the_stretch_that_is_read_at_once_does_not_matter(out, monkeypatch, stretch):
    whole = view_of(read_series(out))
    monkeypatch.setattr(series_view, "_STRETCH", stretch)
    np.testing.assert_array_equal(view_of(read_series(out)).data, whole.data)


def test_a_picture_keeps_the_mean_of_every_curve_and_the_place_of_every_peak(out):
    view = view_of(read_series(out))
    frames, r, shown = series_view.picture(view, view.fit)
    assert frames.tolist() == list(range(N))
    assert len(r) <= series_view.MOST_ROWS
    whole, fitted = view.fit[:, : len(view.r) // 2 * 2], np.isfinite(view.fit).all(axis=1)
    np.testing.assert_allclose(shown[fitted].mean(axis=1), whole[fitted].mean(axis=1), atol=1e-5)
    assert abs(r[shown[0].argmax()] - view.r[view.fit[0].argmax()]) < 0.1


def test_a_spike_does_not_take_the_colours_of_the_rest():
    values = np.sin(np.linspace(0, 99, 10_000)).astype(np.float32)
    assert colour_range(np.append(values, 1e9)) == pytest.approx(1.0, abs=0.01)
    assert colour_range(np.full(5, np.nan, dtype=np.float32)) == 1.0


@pytest.mark.parametrize(
    ("phases", "formulas", "expected"),
    [
        (["NiO 0.62; Ni 0.38", ""], ["NiO", "Ni"], {"NiO": [0.62, 0.0], "Ni": [0.38, 1.0]}),
        (["TiO2 rutile 0.7; TiO2 anatase 0.3", ""], ["TiO2", "TiO2"], {"TiO2 rutile": [0.7, 0.0], "TiO2": [0.0, 1.0], "TiO2 anatase": [0.3, 0.0]}),
        (["Ni 0.5; Ni 0.25; C 0.25", "broken"], ["Ni", "Ni"], {"Ni": [0.75, 1.0], "C": [0.25, 0.0]}),
        (["", ""], ["Ni", "NiO"], {"Ni": [1.0, 0.0], "NiO": [0.0, 1.0]}),
        (["", ""], ["Ni", "Ni"], {}),
    ],
)
def test_shares_of_phases(phases, formulas, expected):
    table = pd.DataFrame({"status": "ok", "phases": phases, "formula": formulas, "phase": "", "structure_type": ""})
    shares = phase_shares(table)
    assert {name: values.tolist() for name, values in shares.items()} == {name: pytest.approx(values) for name, values in expected.items()}


def test_the_shares_of_a_frame_add_to_one_and_a_frame_without_an_answer_has_none():
    shares = np.array(list(phase_shares(made_table(N)).values()))
    lost = [*[i for i in BROKEN if i < N], REFUSED]
    assert np.isnan(shares[:, lost]).all()
    np.testing.assert_allclose(np.delete(shares, lost, axis=1).sum(axis=0), 1.0, atol=0.006)


def test_many_phases_are_drawn_as_the_largest_and_the_rest():
    names = [f"P{i}" for i in range(9)]
    table = pd.DataFrame({"status": "ok", "phases": ["; ".join(f"{name} {1 / 9:.4f}" for name in names)], "formula": "P0", "phase": ""})
    shares = phase_shares(table)
    assert len(shares) == 7
    assert shares["other phases"][0] == pytest.approx(3 / 9, abs=1e-3)


def test_an_interval_wins_over_an_error_and_a_lower_bound_has_no_band():
    table = pd.DataFrame({
        "diameter": [20.0, 20.0, np.nan, np.nan], "diameter_low": [18.0, np.nan, 45.0, np.nan], "diameter_high": [23.0, np.nan, np.nan, np.nan],
        "size_err": [0.5, 0.5, 0.5, np.nan], "flags": "",
    })  # fmt: skip
    low, high = band(table, DIAMETER)
    np.testing.assert_array_equal(low, [18.0, 19.5, np.nan, np.nan])
    np.testing.assert_array_equal(high, [23.0, 20.5, np.nan, np.nan])
    np.testing.assert_array_equal(lower_bounds(table, DIAMETER), [np.nan, np.nan, 45.0, np.nan])
    beyond = table.iloc[:2].assign(diameter_high=np.nan, diameter_low=18.0, flags="tail; lower_bound")
    assert np.isnan(band(beyond, DIAMETER)).all(), "a best value that the data do not bound from above has no band"
    np.testing.assert_array_equal(lower_bounds(beyond, DIAMETER), [18.0, 18.0])


def test_what_says_nothing_is_not_drawn():
    table = made_table(N)
    keys = [one.key for one in known_quantities(table)]
    assert "scale" not in keys, "all frames have the same"
    assert "rw" in keys
    assert "lattice" not in [one.key for one in known_quantities(table.assign(lattice=np.nan))]


def test_frames_are_drawn_against_what_is_known_of_all_and_differs():
    table = made_table(N)
    assert abscissae(table) == ["frame", "time", "temperature"]
    assert abscissae(table.assign(time=np.nan, temperature=300.0)) == ["frame"]
    assert abscissae(table.assign(order=table["temperature"])) == ["frame", "temperature", "time"]
    assert abscissae(table.assign(time=table["time"].where(table["frame"] != 40))) == ["frame", "time", "temperature"], (
        "a broken frame may have no time"
    )
    assert rises(np.array([3.0, np.nan, 2.0, -1.0]))
    assert not rises(np.array([1.0, 2.0, 2.0]))


def test_every_column_of_the_series_is_explained():
    page, summary = (Path(__file__).parents[2] / "docs" / name for name in ("series.md", "solving.md"))
    named = page.read_text(encoding="utf-8") + summary.read_text(encoding="utf-8")
    assert [name for name in made_table(6) if f"`{name}`" not in named] == []


def test_a_line_of_points_is_no_map():
    table = made_table(N)
    assert not is_map(table)
    assert not is_map(table.assign(x=table["frame"], y=1.0))
    assert is_map(table.assign(x=table["frame"] % 7, y=table["frame"] // 7))
