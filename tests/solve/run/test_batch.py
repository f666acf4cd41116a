"""A directory of PDFs is solved, survives bad files and interruptions, and is not solved twice."""

import json
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError, OutputError, PdfFileError, StoreError
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.runtime import pool, ray_session
from deepstruc_hpc.solve.run.batch import Batch, solve
from deepstruc_hpc.solve.run.output import writing
from tests.solve.conftest import write_gr

COMMON = {"sources": "catalog", "workers": 0, "local_shapes": 60}


@pytest.fixture(scope="module")
def solved(measured, shapes_store, tmp_path_factory):
    out = tmp_path_factory.mktemp("solved")
    return out, solve(measured, out, catalog=shapes_store, **COMMON)


def _rows(frame):
    return frame.assign(stem=[name.rsplit("/", 1)[-1].removesuffix(".gr") for name in frame["file"]]).set_index("stem")


def _stamps(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/result.json")}


def test_each_curve_is_given_the_shape_it_was_made_of(solved, shape_of):
    rows = _rows(solved[1])
    for kind in ("icosahedral", "decahedral", "fcc"):
        assert (rows.loc[kind, "status"], rows.loc[kind, "structure_type"], rows.loc[kind, "n_atoms"]) == ("ok", kind, len(shape_of(kind)))
        assert rows.loc[kind, "rw"] < 0.08
        assert 0.5 < rows.loc[kind, "probability"] <= 1


def test_one_bad_file_is_a_row_with_a_reason_and_stops_nothing(solved):
    out, frame = solved
    rows = _rows(frame)
    assert rows.loc["broken", "status"] == "failed"
    assert "broken.gr" in rows.loc["broken", "message"]
    assert sorted(frame["status"]) == ["failed", "ok", "ok", "ok"]
    assert not (out / "broken").exists()


def test_every_promised_file_and_column_is_there(solved):
    out, _ = solved
    summary = pd.read_csv(out / "summary.csv")
    assert list(summary.columns[:9]) == ["file", "status", "message", "structure_type", "n_atoms", "rw", "probability", "n_candidates", "seconds"]
    folder = out / "decahedral"
    candidates = pd.read_csv(folder / "candidates.csv")
    promised = ["rank", "source", "structure_type", "n_atoms", "rw", "scale", "zoom", "uiso", "delta2", "probability", "catalog_id", "latent", "file"]
    assert set(promised) <= set(candidates.columns)
    assert list(pd.read_csv(folder / "types.csv").columns[:2]) == ["structure_type", "probability"]
    assert list(pd.read_csv(folder / "fit.csv").columns) == ["r", "g_obs", "g_calc", "difference"]
    assert sorted(path.name for path in folder.glob("rank-*.xyz")) == [f"rank-{n:03d}.xyz" for n in range(1, 11)]
    assert (folder / "rank-001.cif").exists()
    document = json.loads((out / "summary.json").read_text())
    assert {"settings", "versions", "seed", "ids"} <= set(document["run"])
    assert not list(out.glob(".*"))


def test_positions_are_written_as_refined(solved, shape_of):
    out, _ = solved
    structure = read_structure(out / "icosahedral" / "rank-001.xyz")
    truth = shape_of("icosahedral")
    assert structure.symbols == truth.symbols
    distance = [np.sort(np.linalg.norm(s.positions - s.positions.mean(axis=0), axis=1)) for s in (structure, truth)]
    assert np.abs(distance[0] - distance[1]).max() < 0.03  # fails if the zoom is left out (Pt is started at 2.78 Å), or applied twice


def test_the_fit_on_file_has_the_rw_of_the_table(solved):
    out, frame = solved
    fit = pd.read_csv(out / "fcc" / "fit.csv")
    assert np.allclose(fit["g_obs"] - fit["g_calc"], fit["difference"], atol=1e-6)
    rw = np.sqrt((fit["difference"] ** 2).sum() / (fit["g_obs"] ** 2).sum())
    assert rw == pytest.approx(_rows(frame).loc["fcc", "rw"], abs=2e-3)


def test_the_result_says_where_each_value_comes_from(solved):
    out, _ = solved
    origin = json.loads((out / "fcc" / "result.json").read_text())["conditions"]["origin"]
    assert (origin["qmax"], origin["qdamp"], origin["elements"]) == ("header", "default", "header")


def test_a_second_call_solves_nothing_again_and_other_settings_or_bytes_do(measured, shapes_store, tmp_path):
    out, data = tmp_path / "out", tmp_path / "data"
    data.mkdir()
    for name in ("fcc.gr", "decahedral.gr"):
        (data / name).write_bytes((measured / name).read_bytes())
    solve(data, out, catalog=shapes_store, **COMMON)
    first = _stamps(out)
    frame = solve(data, out, catalog=shapes_store, **COMMON)
    assert _stamps(out) == first
    assert list(frame["status"]) == ["ok", "ok"]
    (data / "fcc.gr").write_text((data / "fcc.gr").read_text() + "\n")
    solve(data, out, catalog=shapes_store, **COMMON)
    changed = _stamps(out)
    assert changed["decahedral"] == first["decahedral"]
    assert changed["fcc"] != first["fcc"]
    solve(data, out, catalog=shapes_store, **COMMON, rmax=15)
    assert all(_stamps(out)[name] != changed[name] for name in changed)
    again = _stamps(out)
    solve(data, out, catalog=shapes_store, **COMMON, rmax=15, force=True)
    assert all(_stamps(out)[name] != again[name] for name in again)


def test_an_interrupted_call_goes_on_and_ends_like_one_that_was_not(measured, shapes_store, solved, tmp_path):
    seen = []

    def interrupt(record):
        seen.append(record.folder)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(measured, tmp_path, catalog=shapes_store, on_result=interrupt, **COMMON)
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 2
    kept = _stamps(tmp_path)
    frame = solve(measured, tmp_path, catalog=shapes_store, **COMMON)
    assert all(_stamps(tmp_path)[name] == stamp for name, stamp in kept.items())
    whole, _ = solved
    assert list(frame["status"]) == list(solved[1]["status"])
    for folder in ("fcc", "icosahedral", "decahedral"):
        assert (tmp_path / folder / "candidates.csv").read_text() == (whole / folder / "candidates.csv").read_text()


def test_values_of_one_file_win_over_those_of_the_run(measured, shapes_store, tmp_path):
    (tmp_path / "values.csv").write_text("file,rmax,elements\nfcc.gr,12,Au\n")
    solve([measured / "fcc.gr", measured / "decahedral.gr"], tmp_path / "out", catalog=shapes_store, values=tmp_path / "values.csv", **COMMON)
    used = {name: json.loads((tmp_path / "out" / name / "result.json").read_text())["conditions"] for name in ("fcc", "decahedral")}
    assert used["fcc"]["rmax"] == 12
    assert used["fcc"]["elements"] == ["Au"]
    assert used["decahedral"]["rmax"] > 20
    assert used["decahedral"]["elements"] == ["Pt"]


def test_a_figure_that_cannot_be_drawn_is_a_note_and_no_failure(measured, shapes_store, tmp_path):
    def draw(folder):
        assert (folder / "candidates.csv").exists()
        raise RuntimeError("no fonts")

    frame = solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, draw=draw, **COMMON)
    assert list(frame["status"]) == ["ok"]
    assert "no fonts" in json.loads((tmp_path / "fcc" / "result.json").read_text())["details"]["figures"]


def test_a_full_disk_leaves_no_half_folder_and_says_so(measured, shapes_store, tmp_path):
    def draw(folder):
        raise OSError(28, "No space left on device")

    frame = solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, draw=draw, **COMMON)
    assert list(frame["status"]) == ["failed"]
    assert "No space left" in frame["message"].iloc[0]
    assert not (tmp_path / "fcc").exists()
    assert not list(tmp_path.glob(".solving*"))


def test_a_disk_that_is_full_for_a_while_stops_nothing_and_the_summary_is_whole_in_the_end(measured, shapes_store, tmp_path, monkeypatch):
    from deepstruc_hpc.solve.run import summary

    writes, whole = [], summary.write_atomically
    full = OutputError("summary.json cannot be written: No space left on device")

    def full_for_a_while(path, text, *, remedy):
        writes.append(path)
        if len(writes) < 5:
            raise full
        whole(path, text, remedy=remedy)

    def always_full(*_, **__):
        raise full

    monkeypatch.setattr(summary, "write_atomically", full_for_a_while)
    frame = solve(measured, tmp_path, catalog=shapes_store, **COMMON)
    assert sorted(frame["status"]) == ["failed", "ok", "ok", "ok"]
    assert len(writes) > 5
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 4
    monkeypatch.setattr(summary, "write_atomically", always_full)
    with pytest.raises(OutputError, match="No space left"):
        solve(measured, tmp_path, catalog=shapes_store, force=True, **COMMON)


def test_an_output_directory_that_cannot_be_made_is_an_error_before_any_work(measured, shapes_store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        solve(measured, tmp_path / "file" / "out", catalog=shapes_store, **COMMON)


def test_a_file_as_output_directory_is_named_as_what_it_is(tmp_path):
    (tmp_path / "curve.gr").write_text("1 2")
    with pytest.raises(OutputError, match="is a file"), writing(tmp_path / "curve.gr"):
        (tmp_path / "curve.gr").mkdir()
    assert (tmp_path / "curve.gr").read_text() == "1 2"


def test_a_foreign_summary_is_not_overwritten(measured, shapes_store, tmp_path):
    (tmp_path / "summary.json").write_text('{"mine": 1}')
    with pytest.raises(OutputError, match="not a summary of this program"):
        solve(measured, tmp_path, catalog=shapes_store, **COMMON)
    assert (tmp_path / "summary.json").read_text() == '{"mine": 1}'


def test_an_item_that_takes_too_long_is_given_up(measured, shapes_store, tmp_path, monkeypatch):
    to_its_end = []
    monkeypatch.setattr("deepstruc_hpc.solve.pipeline.fit", lambda *_, **__: time.sleep(30) or to_its_end.append("fit"))
    frame = solve(measured / "fcc.gr", tmp_path, catalog=shapes_store, time_limit_s=0.3, **COMMON)
    assert to_its_end == []
    assert list(frame["status"]) == ["failed"]
    assert "time limit of 0.3 s" in frame["message"].iloc[0]


def test_a_curve_without_an_element_takes_one_only_from_a_catalog_that_was_chosen(shapes_store, shape_of, tmp_path):
    write_gr(tmp_path / "x.gr", shape_of("icosahedral", "Au", 2.88), composition="")
    frame = solve(tmp_path / "x.gr", tmp_path / "out", catalog=shapes_store, **COMMON)
    assert frame["status"].iloc[0] == "ok"
    assert "no element is named" in frame["message"].iloc[0]


def test_a_bulk_crystal_is_refused(shapes_store, tmp_path):
    from deepstruc_hpc.core.structure import Structure

    a = 2.77 * np.sqrt(2)
    cells = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3)
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    sites = (cells[:, None] + basis).reshape(-1, 3) * a
    sphere = sites[np.linalg.norm(sites, axis=1) < 26]
    write_gr(tmp_path / "bulk.gr", Structure.of_element("Pt", sphere), stop=60.0, qdamp=0.01)
    frame = solve(tmp_path / "bulk.gr", tmp_path / "out", catalog=shapes_store, **COMMON)
    assert frame["status"].iloc[0] == "refused"
    assert "a bulk crystal" in frame["message"].iloc[0]
    assert frame["structure_type"].iloc[0] == ""
    assert (tmp_path / "out" / "bulk" / "candidates.csv").exists()


def test_files_that_arrive_are_solved_once_they_are_whole(measured, shapes_store, tmp_path, monkeypatch):
    """It grows from look to look, four times. Fails when a part of it is solved, or when it lies there for long: a second of rest is three looks."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    text = (measured / "fcc.gr").read_text()
    looks, solved_at = [], []
    look = Batch.look

    def deliver_and_look(batch, **given):
        looks.append("look")
        if len(looks) <= 4:
            (inbox / "late.gr").write_text(text[: len(looks) * len(text) // 4])
        return look(batch, **given)

    def note(record):
        solved_at.append(len(looks))
        assert f"late.gr,{record.status}" in (tmp_path / "out" / "summary.csv").read_text()

    monkeypatch.setattr(Batch, "look", deliver_and_look)
    frame = solve(inbox, tmp_path / "out", catalog=shapes_store, watch=True, watch_idle_s=3.0, on_result=note, **COMMON)
    assert list(frame["status"]) == ["ok"]
    assert len(solved_at) == 1
    assert 4 < solved_at[0] <= 8
    fit = pd.read_csv(tmp_path / "out" / "late" / "fit.csv")
    assert fit["r"].iloc[-1] > 21


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"elements": "Xx"}, ConfigError, "Xx"),
        ({"samples_": 3}, ConfigError, "samples"),
        ({"rmin": "far"}, ConfigError, "rmin"),
        ({"catalog": "nowhere.zarr"}, StoreError, "nowhere"),
        ({"sources": "cvae"}, ConfigError, "no source of candidates"),
    ],
)
def test_a_wrong_call_is_refused_before_any_work(measured, shapes_store, tmp_path, monkeypatch, *, changes, error, match):
    monkeypatch.setattr("deepstruc_hpc.solve.run.artefacts.DEFAULT_MODEL", "no-such-model")
    with pytest.raises(error, match=match):
        solve(measured, tmp_path / "out", **{"catalog": shapes_store, **COMMON, **changes})
    assert not (tmp_path / "out").exists()


def test_a_catalog_by_name_that_is_not_built_names_the_command_that_builds_it(measured, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StoreError, match="deepstruc-hpc catalog build shapes --out"):
        solve(measured, tmp_path / "out", catalog="shapes", **COMMON)


def test_the_first_call_without_a_catalog_builds_nothing(measured, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "cache"))
    frame = solve(measured / "fcc.gr", tmp_path / "out", **COMMON)
    assert list(frame["status"]) == ["ok"]
    assert not list((tmp_path / "cache").glob("*"))


def test_no_input_is_an_error(shapes_store, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PdfFileError, match=r"no \.gr"):
        solve(tmp_path / "empty", tmp_path / "out", catalog=shapes_store, **COMMON)


def test_the_package_is_called_like_its_function():
    import deepstruc_hpc
    import deepstruc_hpc.solve.run.batch

    assert callable(deepstruc_hpc.solve)
    with pytest.raises(PdfFileError, match="no input"):
        deepstruc_hpc.solve([], "out", catalog="x")


def test_a_batch_takes_the_cores_of_all_nodes_and_not_those_of_the_drivers_node_alone(measured, shapes_store, tmp_path, monkeypatch):
    """A Ray that holds three times this machine's cores; as many files. Fails if a job of many nodes solves on one."""
    cores = 3 * ray_session.usable_cores()
    source = next(path for path in sorted(measured.iterdir()) if path.stem == "fcc")
    many = tmp_path / "many"
    many.mkdir()
    for number in range(cores):
        (many / f"{number}.gr").write_bytes(source.read_bytes())

    @contextmanager
    def of_many_nodes(*_args, **_options):
        yield ray_session.RaySession(float(cores), 0.0, 3, started_here=False)

    requested = []
    monkeypatch.setattr(ray_session, "ray_session", of_many_nodes)
    monkeypatch.setattr(pool, "map_over_actors", lambda *_args, workers, **_options: requested.append(workers) or iter(()))
    solve(many, tmp_path / "out", catalog=shapes_store, sources="catalog")
    assert requested == [cores]
