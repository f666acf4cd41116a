"""One tiny catalog and one empty MLflow database for all tests of training."""

import shutil

import pytest

from tests.training.catalogs import build_tiny


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """A catalog of 32 structures."""
    return build_tiny(tmp_path_factory.mktemp("catalog"))


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory):
    """An MLflow database with its tables: making one takes seconds, copying it does not."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "template.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking(tmp_path, mlflow_template, monkeypatch):
    """MLFLOW_TRACKING_URI of this test alone."""
    path = tmp_path / "tracking.db"
    shutil.copy(mlflow_template, path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    return f"sqlite:///{path}"
