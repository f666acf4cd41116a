"""Training on two Ray Train workers: tracked, resumable bit for bit, and not ended by a killed worker."""

import json
import os
import signal

import psutil
import pytest
from safetensors.numpy import load_file

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model.checkpoint import load_model, read_info
from deepstruc_hpc.report.training_figures import draw_training
from deepstruc_hpc.training.evaluate import EvaluateSettings, evaluate
from deepstruc_hpc.training.loop import train
from tests.training.catalogs import tiny_settings

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session_2cpu")]

EPOCHS = 4


def lines_of(run_directory):
    return [json.loads(line) for line in (run_directory / "epochs.jsonl").read_text().splitlines()]


def comparable(run_directory):
    """Metrics by epoch without clock and place."""
    return [
        {key: value for key, value in line.items() if key not in ("seconds", "elapsed", "time", "checkpoint")} for line in lines_of(run_directory)
    ]


def steps_in_mlflow(uri, run_id, key="val_loss"):
    from mlflow import MlflowClient

    return [metric.step for metric in MlflowClient(tracking_uri=uri).get_metric_history(run_id, key)]


@pytest.fixture(scope="module")
def uninterrupted(tiny_store, tmp_path_factory, mlflow_template, shared_ray):
    """A run of four epochs on two workers: (directory, report, epochs watched)."""
    import shutil

    shared_ray.get()
    directory = tmp_path_factory.mktemp("whole")
    shutil.copy(mlflow_template, directory / "tracking.db")
    watched = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{directory / 'tracking.db'}")
        report = train(tiny_store, directory / "run", tiny_settings(f"epochs={EPOCHS}"), workers=2, watch=watched.append)
    return directory / "run", report, watched


def test_every_epoch_is_seen_written_and_tracked_once(uninterrupted):
    directory, report, watched = uninterrupted
    assert [metrics["epoch"] for metrics in watched] == [1, 2, 3, 4]
    assert [line["epoch"] for line in lines_of(directory)] == [1, 2, 3, 4]
    assert steps_in_mlflow(report.tracking_uri, report.mlflow_run) == [1, 2, 3, 4]
    assert (report.epochs, report.epochs_now, report.workers) == (EPOCHS, EPOCHS, 2)


def test_the_checkpoint_is_the_best_epoch_and_knows_its_catalog(uninterrupted, tiny_store):
    directory, report, _ = uninterrupted
    best = min(lines_of(directory), key=lambda line: line["val_loss"])
    info, catalog = read_info(report.checkpoint), Catalog.open(tiny_store)
    assert info.epoch == best["epoch"] == report.best["epoch"]
    assert (info.catalog_id, info.catalog_hash) == (catalog.id, catalog.content_hash)
    assert not (report.checkpoint / "training_state.pt").exists()
    assert len(load_model(directory).decode([[0.0] * info.model.latent_dim])) == 1


def test_mlflow_holds_parameters_catalog_and_checkpoint(uninterrupted):
    from mlflow import MlflowClient

    _, report, _ = uninterrupted
    client = MlflowClient(tracking_uri=report.tracking_uri)
    found = client.get_run(report.mlflow_run)
    assert found.data.params["model.latent_dim"] == "4"
    assert found.data.params["workers"] == "2"
    assert len(found.data.tags["catalog_id"]) == 32
    assert found.info.status == "FINISHED"
    assert {"checkpoint/config.json", "checkpoint/model.safetensors"} <= {
        item.path for item in client.list_artifacts(report.mlflow_run, "checkpoint")
    }


def test_the_checkpoint_is_a_registered_model_and_figures_are_artifacts(uninterrupted, tiny_store):
    from mlflow import MlflowClient

    directory, report, _ = uninterrupted
    drawn = draw_training(directory, tiny_store, tracking=(report.tracking_uri, report.mlflow_run))
    assert [path.name for path in drawn] == ["learning.png", "latent.png", "reconstructions.png"]
    client = MlflowClient(tracking_uri=report.tracking_uri)
    assert {f"figures/{path.name}" for path in drawn} == {item.path for item in client.list_artifacts(report.mlflow_run, "figures")}
    (version,) = [known for known in client.search_model_versions("") if known.run_id == report.mlflow_run]
    assert version.source.endswith("/checkpoint")


def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(uninterrupted, tiny_store, tmp_path, tracking):
    first = train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}", "stop_after=2"), workers=2)
    assert first.epochs == 2
    with pytest.raises(ConfigError, match="--resume"):
        train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}"), workers=2)
    second = train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}"), workers=2, resume=True)
    assert (second.epochs, second.epochs_now) == (EPOCHS, 2)
    assert comparable(tmp_path / "run") == comparable(uninterrupted[0])
    assert steps_in_mlflow(tracking, second.mlflow_run) == [1, 2, 3, 4]
    one, other = (load_file(directory / "checkpoint" / "model.safetensors") for directory in (tmp_path / "run", uninterrupted[0]))
    assert all((one[name] == other[name]).all() for name in other)


def test_a_killed_worker_costs_no_epoch(uninterrupted, tiny_store, tmp_path, tracking):
    killed = []

    def kill_one(metrics):
        if metrics["epoch"] == 1:
            killed.append(train_workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    report = train(tiny_store, tmp_path / "run", tiny_settings(f"epochs={EPOCHS}"), workers=2, watch=kill_one)
    assert killed
    assert report.epochs == EPOCHS
    assert comparable(tmp_path / "run") == comparable(uninterrupted[0])
    assert steps_in_mlflow(tracking, report.mlflow_run) == [1, 2, 3, 4]


def train_workers():
    """Process numbers of this session's Ray Train workers."""
    import ray

    session = ray.get_runtime_context().gcs_address
    assert session
    mine = psutil.Process().children(recursive=True)
    return [process.pid for process in mine if any("TrainWorker" in word for word in process.cmdline())]


def test_evaluate_measures_the_model_beside_the_nearest_pdf(uninterrupted, tiny_store):
    report = evaluate(uninterrupted[0], tiny_store, EvaluateSettings(alignment_starts=2))
    assert not report.seen_in_training
    assert report.n_test > 0
    for scores in (report.model, report.nearest_neighbour):
        assert scores.mae >= scores.mae_per_coordinate >= 0
        assert 0 <= scores.n_exact <= scores.n_within_5_percent <= 1
    assert evaluate(uninterrupted[0], tiny_store, EvaluateSettings(split="shape", alignment_starts=2)).seen_in_training


def test_the_commands_print_json_and_nothing_else(uninterrupted, tiny_store, capsys):
    assert run(["evaluate", str(uninterrupted[0]), str(tiny_store), "--json", "--limit", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["n_test"] <= 3
    assert run(["train", str(tiny_store), "--out", "nowhere", "--config", "smoke", "--set", "epochs=7", "--print-config"]) == 0
    assert "epochs: 7" in capsys.readouterr().out
    assert run(["train", str(tiny_store), "--out", str(uninterrupted[0]), "--config", "smoke"]) == 2
    assert "--resume" in capsys.readouterr().err
