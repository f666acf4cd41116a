"""A search of two trials at once on two cores ends, is tracked under one parent, and goes on when called again."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepstruc_hpc.core.config import load_config
from deepstruc_hpc.core.errors import ConfigError, EngineError
from deepstruc_hpc.runtime.ray_session import usable_cores
from deepstruc_hpc.training.config import load_train_config
from deepstruc_hpc.training.sweep import _same_search, run_reporting, sweep_train
from deepstruc_hpc.training.sweep_config import SweepConfig
from deepstruc_hpc.training.sweep_watch import ENDED, StallWatch
from deepstruc_hpc.training.tracking import flattened
from tests.training.catalogs import tiny_settings

pytestmark = pytest.mark.ray


def sweep(store, directory):
    """``deepstruc-hpc sweep train`` in a process and a Ray session of its own, as a user runs it."""
    values = {
        "base": tiny_settings("epochs=2").model_dump(mode="json"),
        "space": {"optimiser.learning_rate": {"log_uniform": [1e-4, 1e-2]}, "model.latent_dim": {"choice": [2, 3]}},
        "trials": 2,
        "concurrent": 2,
        "grace_epochs": 1,
    }
    settings = directory / "sweep.yaml"
    settings.write_text(SweepConfig.model_validate(values).to_yaml())
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
    searched = load_config(SweepConfig, tmp_path / "sweep" / "sweep.yaml")
    with pytest.raises(ConfigError, match="search with other settings"):
        sweep_train(tiny_store, tmp_path / "sweep", searched.updated(trials=3))
    assert _same_search(tmp_path / "sweep" / "sweep.yaml", searched.updated(stall_minutes=500))  # to wait longer is no other search


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
        assert ended.wait(120)
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


class Trials:
    """Folders of trials as a search writes them, and a clock that a test turns."""

    def __init__(self, folder, patience):
        self.folder, self.now = folder, 0.0
        self.watch = StallWatch(folder, patience, clock=lambda: self.now)

    def epoch(self, name, number, seconds=1.0):
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / name / "epochs.jsonl").open("a") as file:
            file.write(json.dumps({"epoch": float(number), "val_loss": 1.0, "seconds": seconds}) + "\n")

    def after(self, seconds):
        self.now += seconds
        self.watch.look()


def test_a_search_in_which_nothing_happens_ends_with_a_word(tmp_path):
    trials = Trials(tmp_path / "trials", 100.0)
    trials.after(0)
    with pytest.raises(EngineError, match=r"nothing has happened for 2 minutes: no trial has begun.*a second call goes on.*stall_minutes"):
        trials.after(101)


def test_a_search_in_which_something_happens_goes_on(tmp_path):
    """Fails when one trial's epochs do not keep the others waiting rightly, or when a trial that begins or ends counts for nothing."""
    trials = Trials(tmp_path / "trials", 100.0)
    trials.after(0)
    for number in range(1, 6):
        trials.epoch("one", number)
        trials.after(90)
    (tmp_path / "trials" / "two").mkdir()
    trials.after(90)
    (tmp_path / "trials" / "one" / ENDED).touch()
    trials.after(90)
    with pytest.raises(EngineError, match=r"minutes: trial two has not finished an epoch\. What was"):
        trials.after(101)
    (tmp_path / "trials" / "two" / ENDED).touch()
    trials.after(1)
    with pytest.raises(EngineError, match="all 2 trials that began have ended, and Ray Tune does not go on"):
        trials.after(101)


def test_long_epochs_are_waited_for_and_zero_waits_for_ever(tmp_path):
    trials, patient = Trials(tmp_path / "trials", 100.0), Trials(tmp_path / "trials", 0.0)
    trials.epoch("one", 1, seconds=60.0)
    trials.after(0)
    patient.after(0)
    trials.after(590)
    patient.after(1e6)
    with pytest.raises(EngineError, match="trial one trains since its epoch 1"):
        trials.after(20)


@contextmanager
def busy_cores():
    """A busy loop at normal priority for each core: other people's work beside a search."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(usable_cores())]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.slow
@pytest.mark.timeout(1500)  # some two minutes beside little else; seven were measured beside thirty other processes on two cores
@pytest.mark.usefixtures("tracking", "ray_session_2cpu")
def test_more_trials_than_there_is_room_for_all_run_beside_busy_loops_and_the_session_gets_its_cores_back(tiny_store, tmp_path, monkeypatch):
    """ASHA stops trials, and so ends every one at its last epoch. Fails if a stopped trial keeps its cores: then the third waits for ever.

    The cores are busy, and Tune is held up at the first result until that trial's training is over: with Ray's own way of reporting the trial would
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
    with busy_cores():
        report = sweep_train(tiny_store, tmp_path / "sweep", SweepConfig.model_validate({**values, "stall_minutes": 15}))
    assert len(report.trials) == 3
    assert all((tmp_path / "sweep" / "trials" / trial / ENDED).exists() for trial in report.trials["trial"])
    assert len(held) == 1
    ray = quiet_ray()
    end = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2.0 or any(group["state"] != "REMOVED" for group in placement_group_table().values()):
        assert time.monotonic() < end, placement_group_table()
        time.sleep(0.2)
    assert train(tiny_store, tmp_path / "after", tiny_settings("epochs=1"), workers=2).epochs == 1
