"""A search of two trials at once on two cores ends, is tracked under one parent, and goes on when called again."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deepstruc_hpc.core.config import load_config
from deepstruc_hpc.training.config import load_train_config
from deepstruc_hpc.training.sweep import run_reporting, sweep_train
from deepstruc_hpc.training.sweep_config import SweepConfig
from deepstruc_hpc.training.tracking import flattened
from tests.training.catalogs import tiny_settings

pytestmark = pytest.mark.ray


def sweep(store, directory, **changes):
    """``deepstruc-hpc sweep train`` in a process and a Ray session of its own, as a user runs it."""
    values = {
        "base": tiny_settings("epochs=2").model_dump(mode="json"),
        "space": {"optimiser.learning_rate": {"log_uniform": [1e-4, 1e-2]}, "model.latent_dim": {"choice": [2, 3]}},
        "trials": 2,
        "concurrent": 2,
        "grace_epochs": 1,
    }
    settings = directory / f"sweep-{len(changes)}.yaml"
    settings.write_text(SweepConfig.model_validate({**values, **changes}).to_yaml())
    words = ["sweep", "train", str(store), "--config", str(settings), "--out", str(directory / "sweep"), "--json"]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-m", "deepstruc_hpc.cli", *words], capture_output=True, text=True, check=False, env=environment, timeout=500
    )


def wait_until_all_epochs_are_written(path, epochs, seconds=60.0):
    """And a little longer: the training's function returns then."""
    end = time.monotonic() + seconds
    while path.read_text().count("\n") < epochs and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(4.0)


def test_the_example_is_a_search_around_the_shipped_models_preset():
    example = load_config(SweepConfig, Path(__file__).parents[2] / "examples" / "sweep.yaml")
    preset = load_train_config("sites")
    assert example.base.model.decoder == "sites"
    assert example.base.data.conditions == preset.data.conditions
    flat = flattened(example.base.model_dump(mode="json"))
    assert set(example.space) <= set(flat)


def test_two_trials_at_once_on_two_cores(tiny_store, tmp_path, tracking):
    from mlflow import MlflowClient

    done = sweep(tiny_store, tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    losses = [trial["val_loss"] for trial in report["trials"]]
    assert len(losses) == 2
    assert losses == sorted(losses)
    best = load_train_config(report["best_config"])
    assert best.optimiser.learning_rate == pytest.approx(report["trials"][0]["optimiser.learning_rate"])
    client = MlflowClient(tracking_uri=tracking)
    runs = client.search_runs([client.get_experiment_by_name("deepstruc_hpc").experiment_id])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    assert len(runs) == 3
    assert len(parents - {None}) == 1
    again = sweep(tiny_store, tmp_path)
    assert json.loads(again.stdout)["trials"] == report["trials"]
    other = sweep(tiny_store, tmp_path, trials=3)
    assert other.returncode == 2
    assert "search with other settings" in other.stderr


def line(epoch):
    return json.dumps({"epoch": float(epoch), "val_loss": 1.0 / epoch, "checkpoint": "a path"}) + "\n"


def test_every_epoch_is_reported_once_and_in_order_though_tune_is_slow(tmp_path):
    """The training ends while Tune still looks at the first epoch. Fails if what was written until the end is dropped or said twice."""
    path, heard = tmp_path / "epochs.jsonl", []
    path.write_text(line(1))  # of an earlier run of this trial: Tune may not have seen it
    ended = threading.Event()

    def fit():
        with path.open("a") as file:
            for epoch in (2, 3, 4):
                file.write(line(epoch))
                file.flush()
        ended.set()

    def report(metrics):
        assert ended.wait(10)
        heard.append(metrics)

    run_reporting(fit, path, report)
    assert heard == [{"epoch": float(epoch), "val_loss": 1.0 / epoch} for epoch in (1, 2, 3, 4)]


def test_a_trial_that_fails_says_so_after_its_epochs(tmp_path):
    path, heard = tmp_path / "epochs.jsonl", []

    def fit():
        path.write_text(line(1))
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run_reporting(fit, path, heard.append)
    assert [metrics["epoch"] for metrics in heard] == [1.0]


def test_a_trial_that_is_stopped_ends_in_its_report(tmp_path):
    """Tune ends the thread by SystemExit out of ``report``; the training is left to the end of the process."""
    going_on = threading.Event()

    def report(_metrics):
        raise SystemExit(0)

    (tmp_path / "epochs.jsonl").write_text(line(1))
    with pytest.raises(SystemExit):
        run_reporting(lambda: going_on.wait(30), tmp_path / "epochs.jsonl", report)
    going_on.set()


def test_more_trials_than_there_is_room_for_all_run_and_the_session_gets_its_cores_back(
    tiny_store, tmp_path, tracking, ray_session_2cpu, monkeypatch
):
    """ASHA stops trials, and so ends every one at its last epoch. Fails if a stopped trial keeps its cores: then the third waits for ever.

    Tune is held up at the first result until that trial's training is over, as on a busy machine: with Ray's own way of reporting the trial would
    then wait for ever (Ray 2.60, see ``run_reporting``).
    """
    from ray.tune.schedulers import ASHAScheduler
    from ray.util import placement_group_table

    judge, held = ASHAScheduler.on_trial_result, []

    def slow(scheduler, controller, trial, result):
        if not held:
            held.append(trial.trial_id)
            wait_until_all_epochs_are_written(tmp_path / "sweep" / "trials" / trial.trial_id / "epochs.jsonl", 2)
        return judge(scheduler, controller, trial, result)

    monkeypatch.setattr(ASHAScheduler, "on_trial_result", slow)

    from deepstruc_hpc.runtime.ray_session import quiet_ray
    from deepstruc_hpc.training.loop import train

    values = {
        "base": tiny_settings("epochs=2").model_dump(mode="json"),
        "space": {"optimiser.learning_rate": {"log_uniform": [1e-4, 1e-2]}},
        "trials": 3,
        "concurrent": 2,
        "grace_epochs": 1,
        "reduction_factor": 2,
    }
    report = sweep_train(tiny_store, tmp_path / "sweep", SweepConfig.model_validate(values))
    assert len(report.trials) == 3
    assert len(held) == 1
    ray = quiet_ray()
    end = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2.0 or any(group["state"] != "REMOVED" for group in placement_group_table().values()):
        assert time.monotonic() < end, placement_group_table()
        time.sleep(0.2)
    assert train(tiny_store, tmp_path / "after", tiny_settings("epochs=1"), workers=2).epochs == 1
