import json
import re

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError, OutputError
from deepstruc_hpc.report.encode import MISSING, pack, to_json
from deepstruc_hpc.report.figures import draw_folder, fit_figure, latent_figure, waterfall_figure
from deepstruc_hpc.report.page import write_report
from deepstruc_hpc.report.palette import type_colours
from deepstruc_hpc.report.results import read_results
from tests.report.synthetic import MESSAGE, write_results


def unpack(packed):
    import base64

    codes = np.frombuffer(base64.b64decode(packed["b"]), dtype="<u2").astype(float)
    return np.where(codes == MISSING, np.nan, packed["lo"] + packed["step"] * codes)


def documents(page):
    found = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    return {name: json.loads(text) for name, text in found}


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("solved"))


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [-1e4, 5.0, 2e5], np.linspace(-7, 9, 1000), [1.0, np.nan, 2.0], []])
def test_packed_numbers_come_back_to_half_a_step_and_gaps_stay_gaps(values):
    values = np.array(values, dtype=float)
    back = unpack(pack(values))
    assert (np.isnan(back) == np.isnan(values)).all()
    width = np.nanmax(values) - np.nanmin(values) if len(values) else 0.0
    np.testing.assert_allclose(back, values, atol=width / 131_000 + 1e-12)


def test_json_in_a_page_cannot_end_its_script_and_holds_no_nan():
    text = to_json({"a": "</script><!-- x", "b": float("nan"), "c": [np.inf, 1.0]})
    assert "</" not in text
    assert "<!--" not in text
    assert json.loads(text) == {"a": "</script><!-- x", "b": None, "c": [None, 1.0]}


def test_the_page_holds_every_file_and_its_message(solved):
    page = documents(write_report(solved))
    assert [row["name"] for row in page["folder"]["rows"]] == ["Au_a.gr", "Au_b10.gr", "Au_b9.gr", "can.gr", "short.gr"]
    assert page["folder"]["rows"][0]["message"] == MESSAGE
    assert page["folder"]["run"]["settings"]["samples"] == 1000
    assert page["pdf-3"]["row"]["status"] == "refused"
    assert page["pdf-3"]["candidates"] == []


def test_the_page_holds_the_curve_and_ten_candidates_as_in_the_files(solved):
    section = documents(write_report(solved))["pdf-0"]
    fit = pd.read_csv(solved / "Au_a" / "fit.csv")
    np.testing.assert_allclose(unpack(section["fit"]["g_obs"]), fit["g_obs"], atol=1e-4)
    assert [candidate["rank"] for candidate in section["candidates"]] == list(range(1, 11))
    atoms = section["candidates"][3]["atoms"]
    assert atoms["symbols"] == [["Au", section["candidates"][3]["n_atoms"]]]
    first = pd.read_csv(solved / "Au_a" / "rank-004.xyz", skiprows=2, sep=r"\s+", header=None)[[1, 2, 3]].to_numpy()
    np.testing.assert_allclose(unpack(atoms["xyz"]).reshape(-1, 3), first - first.mean(axis=0), atol=1e-3)
    assert section["candidates"][0]["links"] == ["rank-001.xyz", "rank-001.cif"]


def test_the_page_needs_nothing_from_a_network(solved):
    text = write_report(solved).read_text(encoding="utf-8")
    shell = text[: text.index("<script>")] + text[text.rindex("<script>") :]
    assert re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", shell) == []
    assert text.count("plotly.js v") == 1


def test_figures_are_drawn_once_and_the_waterfall_with_them(tmp_path):
    out = write_results(tmp_path)
    write_report(out)
    figures = [out / "waterfall.png", out / "Au_a" / "fit.png", out / "Au_b9" / "latent.png"]
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    stamp = figures[1].stat().st_mtime_ns
    write_report(out)
    assert figures[1].stat().st_mtime_ns == stamp
    bare = write_results(tmp_path / "bare")
    write_report(bare, figures=False)
    assert not list(bare.rglob("*.png"))


def test_half_a_result_still_gives_a_page(tmp_path):
    out = write_results(tmp_path)
    (out / "summary.json").unlink()
    (out / "Au_a" / "latent.csv").write_text("")
    (out / "Au_a" / "types.csv").unlink()
    (out / "Au_a" / "rank-002.xyz").write_text("7\nbroken")
    (out / "Au_b9" / "fit.csv").write_text("r,g_obs\n1,2\n")
    page = documents(write_report(out, figures=False))
    assert page["pdf-0"]["latent"] is None
    assert page["pdf-0"]["candidates"][1]["atoms"] is None
    assert page["pdf-2"]["fit"] is None


def test_a_broken_fit_table_does_not_stop_the_figures(tmp_path):
    out = write_results(tmp_path)
    (out / "Au_b9" / "fit.csv").write_text("r,g_obs\n1,2\n2,3\n")
    write_report(out)
    assert (out / "waterfall.png").is_file()
    assert not (out / "Au_b9" / "fit.png").exists()


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such directory"):
        write_report(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"no summary\.csv"):
        write_report(tmp_path)
    (tmp_path / "summary.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="'file' and 'status'"):
        read_results(tmp_path)


def test_a_page_that_cannot_be_written_is_an_output_error(tmp_path):
    out = write_results(tmp_path)
    (out / "index.html").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(out, figures=False)


def test_the_command_prints_where_the_page_lies(solved, capsys):
    from deepstruc_hpc.cli.app import run

    assert run(["report", str(solved)]) == 0
    assert capsys.readouterr().out.strip() == str(solved / "index.html")
    assert run(["report", str(solved / "none")]) == 2


def test_fit_figure_shows_data_fit_and_their_difference(solved):
    fit = pd.read_csv(solved / "Au_a" / "fit.csv")
    axes = fit_figure(fit, parameters={"rw": 0.1234, "uiso": 0.0061, "uiso_err": 0.0002}).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["data"], fit["g_obs"])
    np.testing.assert_allclose(np.diff(lines["difference"]), np.diff(fit["g_obs"] - fit["g_calc"]), atol=1e-12)
    assert lines["difference"].max() < min(fit["g_obs"].min(), fit["g_calc"].min())
    assert "Rw = 0.123" in axes.texts[0].get_text()
    assert "0.0061 ± 0.0002 Å²" in axes.texts[0].get_text()


def test_latent_figure_draws_an_ellipse_for_each_sigma_at_its_size(solved):
    latent = pd.read_csv(solved / "Au_a" / "latent.csv")
    ellipses = latent_figure(latent, sigma=(3.0, 7.0)).axes[0].patches
    mean = latent[latent["kind"] == "mean"].iloc[0]
    assert [(e.width, e.height) for e in ellipses] == [pytest.approx((2 * k * mean["std1"], 2 * k * mean["std2"])) for k in (3.0, 7.0)]


def test_a_long_series_is_thinned_in_the_waterfall():
    r = np.linspace(2, 20, 100)
    figure = waterfall_figure([(f"c{i}", r, np.sin(r), np.sin(r)) for i in range(200)])
    assert len(figure.axes[0].texts) == 40


def test_draw_folder_draws_what_there_is(tmp_path):
    draw_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_types_keep_their_colour_whatever_else_is_there():
    few, many = type_colours(["fcc", "rutile"]), type_colours(["fcc", "rutile", "anatase", "hcp"])
    assert few["fcc"] == many["fcc"]
    assert len(set(many.values())) == 4
