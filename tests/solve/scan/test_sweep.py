"""A scan over settings says how stable an answer is; it ends on two cores, and goes on when called again."""

import json
import os
import subprocess
import sys
import threading

import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError, PdfFileError
from deepstruc_hpc.solve.scan.stability import answers, stability
from deepstruc_hpc.solve.scan.sweep import PointRunner, SweepOrder, _tuner, sweep_solve
from deepstruc_hpc.solve.scan.sweep_config import SolveSweepConfig, load_solve_sweep

SPACE = {"rmax": {"choice": [12, 15]}, "qdamp": {"uniform": [0.02, 0.04]}}


def scan(**changes):
    values = {"base": {"sources": ["catalog"], "keep": 1}, "space": SPACE, "points": 3}
    return SolveSweepConfig.model_validate({**values, **changes})


def test_one_at_a_time_changes_one_setting_from_the_base_and_tries_nothing_twice():
    points = scan(base={"qdamp": 0.03}).all_points()
    assert [point.varied for point in points] == ["base", "rmax", "rmax", "qdamp", "qdamp"]  # the middle of 0.02 … 0.04 is the base itself
    assert [point.settings.rmax for point in points] == [None, 12, 15, None, None]
    assert [point.settings.qdamp for point in points] == [0.03, 0.03, 0.03, 0.02, 0.04]


def test_a_grid_holds_all_combinations_and_a_random_design_is_the_same_every_time():
    grid = scan(design="grid").all_points()
    assert {(point.settings.rmax, point.settings.qdamp) for point in grid[1:]} == {(r, q) for r in (12, 15) for q in (0.02, 0.03, 0.04)}
    drawn = [[point.id for point in scan(design="random", trials=8, seed=seed).all_points()] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("space", "message"),
    [({"rmaxx": {"choice": [1]}}, "rmax"), ({"qmin": {"choice": [-1]}}, "qmin"), ({"rank.prior": {"choice": [1]}}, "prior")],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused_before_any_work(tmp_path, space, message):
    (tmp_path / "sweep.yaml").write_text(json.dumps({"space": space}))
    with pytest.raises(ConfigError, match=message):
        load_solve_sweep(tmp_path / "sweep.yaml")


def rows(types, atoms, varied):
    table = pd.DataFrame({"file": "a.gr", "varied": varied, "rmax": 1.0, "status": "ok", "structure_type": types, "n_atoms": atoms, "rw": 0.1})
    return table.assign(probability=0.9, n_candidates=5, seconds=1.0, message="", point=range(len(table)))


def test_the_share_counts_every_setting_and_one_that_gave_no_answer_counts_against_it():
    table = rows(["fcc", "fcc", "octahedral", "hcp"], [55, 57, 59, 80], ["base", "rmax", "rmax", "rmax"])
    table.loc[3, ["status", "structure_type"]] = ["refused", ""]
    row = stability(table, ["rmax"]).by_file.iloc[0]
    assert (row["structure_type"], row["same_type"], row["same_lattice"]) == ("fcc", 0.5, 0.75)
    assert (row["n_atoms_min"], row["n_atoms_max"], row["solved"]) == (55, 59, 3)


def test_the_table_of_a_setting_holds_its_own_points_and_the_base():
    table = rows(["fcc", "fcc", "hcp"], [55, 57, 80], ["base", "rmax", "qdamp"]).assign(qdamp=0.03)
    shares = stability(table, ["rmax", "qdamp"]).by_setting.set_index("setting")["same_type"]
    assert dict(shares) == {"rmax": 1.0, "qdamp": 0.5}


def test_a_point_is_solved_by_the_settings_it_names_and_only_once(measured, shapes_store, tmp_path):
    config = scan(space={"rmax": {"choice": [12]}})
    order = SweepOrder((str(measured / "fcc.gr"),), tmp_path, catalog=shapes_store)
    runner = PointRunner(order)
    points = config.all_points()
    assert [order.missing(point) for point in points] == [1, 1]
    for point in points:
        assert runner(point)["solved"] == 1
    assert runner.solver is not None
    assert [order.missing(point) for point in points] == [0, 0]
    table = answers([(point, order.folder(point)) for point in points], config)
    assert list(table["varied"]) == ["base", "rmax"]
    assert table["rmax"].iloc[0] > 20  # the end of the data, where no setting is given
    assert table["rmax"].iloc[1] == 12
    assert list(table["structure_type"]) == ["fcc", "fcc"]


def test_nothing_to_solve_is_refused_and_nothing_is_written(shapes_store, tmp_path):
    with pytest.raises(PdfFileError, match="no such file"):
        sweep_solve(tmp_path / "nothing", tmp_path / "out", scan(), catalog=shapes_store)
    assert not (tmp_path / "out").exists()


def test_tune_writes_down_the_callback_of_a_bar_that_has_locks(tmp_path):
    """Fails where a scan with a bar ends before its first point."""
    tuner = _tuner(SweepOrder(("a.gr",), tmp_path), scan().all_points(), [0], 1, threading.Lock().acquire)
    (written,) = tmp_path.rglob("tuner.pkl")
    assert written.stat().st_size > 0
    with pytest.raises(RuntimeError, match="has not been run"):
        tuner.get_results()


@pytest.mark.ray
def test_a_scan_on_two_cores_ends_with_tables_a_page_and_pictures_and_goes_on(measured, shapes_store, tmp_path):
    """``deepstruc-hpc sweep solve`` in a process and a Ray session of its own, as a user runs it: six points, two at a time, one bad file of two."""
    for name in ("decahedral.gr", "broken.gr"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_bytes((measured / name).read_bytes())
    (tmp_path / "sweep.yaml").write_text(scan().to_yaml())

    def call(*more):
        words = ["sweep", "solve", "data", "--out", "out", "--config", "sweep.yaml", "--catalog", shapes_store, *more]
        environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        command = [sys.executable, "-m", "deepstruc_hpc.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300, cwd=tmp_path)

    done = call()  # with a bar, whose locks Tune cannot write down
    assert done.returncode == 1, done.stderr  # broken.gr failed under every setting
    assert "6 settings. Report: " in done.stdout, done.stderr
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "points").glob("*/*/result.json")}
    assert len(stamps) == 6
    report = json.loads(call("--json").stdout)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert report["failed"] == {}
    assert report["points"] == 6
    found = {row["file"].rsplit("/", 1)[-1]: row for row in report["stability"]}
    assert found["decahedral.gr"]["same_type"] == 1.0
    assert found["broken.gr"]["solved"] == 0
    table = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert len(table) == 6 * 2
    assert sorted(table.loc[table["varied"] == "qdamp", "qdamp"].unique()) == [0.02, 0.03, 0.04]
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page
