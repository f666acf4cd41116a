"""A search of two trials at once on two cores ends, is tracked under one parent, and goes on when called again."""

import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.training.config import load_train_config
from deepstruc_hpc.training.sweep import sweep_train
from deepstruc_hpc.training.sweep_config import SweepConfig
from tests.training.catalogs import tiny_settings

pytestmark = pytest.mark.ray


def search(**changes):
    values = {
        "base": tiny_settings("epochs=2").model_dump(mode="json"),
        "space": {"optimiser.learning_rate": {"log_uniform": [1e-4, 1e-2]}, "model.latent_dim": {"choice": [2, 3]}},
        "trials": 2,
        "concurrent": 2,
        "grace_epochs": 1,
    }
    return SweepConfig.model_validate({**values, **changes})


def test_two_trials_at_once_on_two_cores(tiny_store, tmp_path, tracking, ray_session_2cpu):
    from mlflow import MlflowClient

    report = sweep_train(tiny_store, tmp_path / "sweep", search())
    assert len(report.trials) == 2
    assert list(report.trials["val_loss"]) == sorted(report.trials["val_loss"])
    best = load_train_config(str(report.best_config))
    assert best.optimiser.learning_rate == pytest.approx(report.trials.iloc[0]["optimiser.learning_rate"])
    client = MlflowClient(tracking_uri=tracking)
    runs = client.search_runs([client.get_experiment_by_name("deepstruc_hpc").experiment_id])
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs}
    assert len(runs) == 3
    assert len(parents - {None}) == 1
    again = sweep_train(tiny_store, tmp_path / "sweep", search())
    assert again.trials.equals(report.trials)
    with pytest.raises(ConfigError, match="search with other settings"):
        sweep_train(tiny_store, tmp_path / "sweep", search(trials=3))
