"""Training by one worker in the command's own process: tracked once, resumable bit for bit, and by Ray Train too."""

import json
import shutil

import pytest
from safetensors.numpy import load_file

from deepstruc_hpc.core.errors import CheckpointError, ConfigError
from deepstruc_hpc.training import loop
from deepstruc_hpc.training.alone import works_alone
from deepstruc_hpc.training.config import learning_rate
from deepstruc_hpc.training.display import NOTHING_LEFT, summary_text
from deepstruc_hpc.training.epoch_log import latest_checkpoint
from deepstruc_hpc.training.loop import train
from tests.training.catalogs import tiny_settings

EPOCHS = 3


@pytest.fixture
def no_ray(monkeypatch):
    """No Ray, even where another test has left a session open."""
    monkeypatch.setattr(loop, "works_alone", lambda *_: True)


def comparable(run_directory):
    """Metrics by epoch without clock and place."""
    lines = [json.loads(line) for line in (run_directory / "epochs.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "elapsed", "time", "checkpoint")} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tiny_store, tmp_path_factory, mlflow_template):
    """A run of three epochs: (directory, report, epochs watched)."""
    directory = tmp_path_factory.mktemp("alone")
    shutil.copy(mlflow_template, directory / "tracking.db")
    watched = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{directory / 'tracking.db'}")
        patch.setattr(loop, "works_alone", lambda *_: True)
        report = train(tiny_store, directory / "run", tiny_settings(f"epochs={EPOCHS}"), workers=1, watch=watched.append)
    return directory / "run", report, watched


def test_every_epoch_is_seen_written_and_tracked_once(uninterrupted):
    from mlflow import MlflowClient

    directory, report, watched = uninterrupted
    assert [metrics["epoch"] for metrics in watched] == [1, 2, 3] == [line["epoch"] for line in comparable(directory)]
    history = MlflowClient(tracking_uri=report.tracking_uri).get_metric_history(report.mlflow_run, "val_loss")
    assert [metric.step for metric in history] == [1, 2, 3]
    assert (report.epochs, report.epochs_now, report.workers) == (EPOCHS, EPOCHS, 1)
    assert [path.name for path in (directory / "local").iterdir()] == ["epoch-00003"], "only what the training would go on from is kept"


def test_stopped_moved_and_resumed_equals_uninterrupted_bit_for_bit(uninterrupted, tiny_store, tmp_path, tracking, no_ray):
    train(tiny_store, tmp_path / "first", tiny_settings(f"epochs={EPOCHS}", "stop_after=1"), workers=1)
    (tmp_path / "first").rename(tmp_path / "moved")
    report = train(tiny_store, tmp_path / "moved", tiny_settings(f"epochs={EPOCHS}"), workers=1, resume=True)
    assert (report.epochs, report.epochs_now) == (EPOCHS, EPOCHS - 1)
    assert comparable(tmp_path / "moved") == comparable(uninterrupted[0])
    one, other = (load_file(directory / "checkpoint" / "model.safetensors") for directory in (tmp_path / "moved", uninterrupted[0]))
    assert all((one[name] == other[name]).all() for name in other)


@pytest.mark.usefixtures("tracking", "no_ray")
def test_a_training_begins_with_the_weights_of_another_model(uninterrupted, tiny_store, tmp_path, monkeypatch):
    """At a rate near 0 they stay what they were; a path is taken as it is at the call, and the training can be resumed with it."""
    source = load_file(uninterrupted[0] / "checkpoint" / "model.safetensors")
    monkeypatch.chdir(uninterrupted[0].parent)
    slow = ("optimiser.learning_rate=1e-9", "optimiser.final_rate=1e-9", f"epochs={EPOCHS}")
    begun = (*slow, "start_from=run")
    train(tiny_store, tmp_path / "run", tiny_settings(*begun, "stop_after=1"), workers=1)
    found = load_file(tmp_path / "run" / "checkpoint" / "model.safetensors")
    assert all(abs(found[name] - source[name]).max() < 1e-5 for name in source)
    train(tiny_store, tmp_path / "fresh", tiny_settings(*slow, "stop_after=1"), workers=1)
    fresh = load_file(tmp_path / "fresh" / "checkpoint" / "model.safetensors")
    assert any(abs(fresh[name] - source[name]).max() > 1e-3 for name in source)
    assert train(tiny_store, tmp_path / "run", tiny_settings(*begun), workers=1, resume=True).epochs_now == EPOCHS - 1


def test_a_model_of_other_settings_or_none_at_all_is_no_start(uninterrupted, tiny_store, tmp_path, tracking, no_ray):
    run = uninterrupted[0]
    with pytest.raises(ConfigError, match=r"start_from: the model .* has model\.latent_dim = "):
        train(tiny_store, tmp_path / "other", tiny_settings("model.latent_dim=7", f"start_from={run}"), workers=1)
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        train(tiny_store, tmp_path / "none", tiny_settings(f"start_from={tmp_path / 'nowhere'}"), workers=1)
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "none").exists()


def test_a_finished_training_resumed_is_tracked_and_does_nothing(uninterrupted, tiny_store, tracking, no_ray, tmp_path):
    shutil.copytree(uninterrupted[0], tmp_path / "run")
    report = train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}"), workers=1, resume=True)
    assert (report.epochs_now, bool(report.mlflow_run)) == (0, True)


def test_a_resumed_training_counts_the_minutes_of_all_its_calls(tiny_store, tmp_path, tracking, no_ray):
    """A time that ends with the first epoch; the same again trains nothing and says so; twice the time that was used goes on from the middle."""

    def call(minutes, epochs=2):
        settings = tiny_settings("epochs=1000", f"stop_after={epochs}", f"max_minutes={minutes}")
        report = train(tiny_store, tmp_path / "run", settings, workers=1, resume=True)
        return report, [json.loads(line) for line in (tmp_path / "run" / "epochs.jsonl").read_text().splitlines()]

    report, lines = call(1e-6)
    optimiser = tiny_settings().optimiser
    assert (report.epochs_now, lines[-1]["learning_rate"]) == (1, pytest.approx(optimiser.final_rate))
    report, lines = call(1e-6)
    assert (report.epochs_now, len(lines)) == (0, 1)
    assert NOTHING_LEFT in summary_text(report)
    report, lines = call(2.0 * lines[0]["elapsed"] / 60.0, epochs=1)
    assert (report.epochs_now, NOTHING_LEFT in summary_text(report)) == (1, False)
    assert lines[1]["learning_rate"] <= learning_rate(optimiser, 0.5)


def test_a_training_without_its_checkpoints_does_not_begin_again_unseen(uninterrupted, tiny_store, tmp_path, no_ray):
    shutil.copytree(uninterrupted[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "local")
    assert latest_checkpoint(tmp_path / "run") is None
    with pytest.raises(CheckpointError, match="no checkpoint"):
        train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}"), workers=1, resume=True)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session_2cpu", "tracking")
def test_ray_goes_on_where_this_process_stopped_and_the_other_way_round(uninterrupted, tiny_store, tmp_path, monkeypatch):
    for alone in (True, False, True):
        monkeypatch.setattr(loop, "works_alone", lambda *_, answer=alone: answer)
        train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}", "stop_after=1"), workers=1, resume=True)
    assert comparable(tmp_path / "run") == comparable(uninterrupted[0])


def test_one_worker_on_the_cpu_needs_no_ray_unless_a_session_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    assert works_alone(1, 0.0)
    assert not works_alone(2, 0.0)
    assert not works_alone(None, 0.0)
    assert not works_alone(1, 1.0)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert not works_alone(1, 0.0)
