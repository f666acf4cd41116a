"""MLflow: parameters, metrics by epoch, the checkpoint. One writer, the driver; a step is written once however often it is reported."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from deepstruc_hpc.core.errors import EngineError

DATABASE = "mlflow.db"
ARTIFACTS = "mlflow-artifacts"
MARK = "val_loss"
Status = Literal["FINISHED", "FAILED", "KILLED"]


def tracking_uri(run: Path) -> str:
    """``MLFLOW_TRACKING_URI`` where it is set, else an SQLite file inside the run."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.resolve() / DATABASE}"


class Tracker:
    """One MLflow run.

    Attributes:
        run_id: of MLflow.
        uri: where it is written.
    """

    def __init__(
        self, uri: str, experiment: str, *, artifacts: Path, run_id: str | None = None, name: str = "", tags: Mapping[str, str] | None = None
    ) -> None:
        """Open a run, or go on with one.

        Args:
            uri: tracking URI. A fresh SQLite file takes some seconds to be set up.
            experiment: made when it is not there.
            artifacts: where a new experiment of an SQLite store keeps its files.
            run_id: of a run to go on with; a new one is begun when the store does not know it.
            name: of a new run.
            tags: of a new run.

        Raises:
            EngineError: the store cannot be reached or used.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        for noisy in ("mlflow", "alembic", "mlflow.store.db.utils"):
            logging.getLogger(noisy).setLevel(logging.ERROR)

        self.uri = uri
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
            known = self._known_run(run_id, MlflowException)
            if known is None:
                known = self._client.create_run(
                    self._experiment(experiment, artifacts, MlflowException), run_name=name or None, tags=dict(tags or {})
                )
            self.run_id: str = known.info.run_id
            self._client.update_run(self.run_id, status="RUNNING")
            self._written = {metric.step for metric in self._client.get_metric_history(self.run_id, MARK)}
        except MlflowException as refused:
            raise EngineError(
                f"MLflow at {uri}: {' '.join(str(refused).split())[:300]} Check MLFLOW_TRACKING_URI, or unset it "
                "to write into the run's own directory."
            ) from refused

    def log_parameters(self, settings: Mapping[str, Any]) -> None:
        """Settings as flat parameters; what an earlier call wrote stays."""
        from mlflow.entities import Param

        there = set(self._client.get_run(self.run_id).data.params)
        new = [Param(key, str(value)[:6000]) for key, value in flattened(settings).items() if key not in there]
        for start in range(0, len(new), 100):
            self._client.log_batch(self.run_id, params=new[start : start + 100])

    def log_epoch(self, metrics: Mapping[str, float]) -> bool:
        """Metrics of one epoch under its number as step; False when that step is written already."""
        from mlflow.entities import Metric

        step = int(metrics["epoch"])
        if step in self._written:
            return False
        stamp = int(1000 * metrics.get("time", 0.0)) or _now()
        self._client.log_batch(
            self.run_id, metrics=[Metric(key, float(value), stamp, step) for key, value in metrics.items() if key not in ("epoch", "time")]
        )
        self._written.add(step)
        return True

    def log_directory(self, directory: Path, name: str) -> None:
        """Files of a directory as artifacts under a name."""
        self._client.log_artifacts(self.run_id, str(directory), artifact_path=name)

    def register(self, name: str, artifact: str) -> None:
        """The artifact as a new version of a registered model; a server without a model registry is left as it is."""
        from mlflow.exceptions import MlflowException

        words = name.replace("/", "-").replace(":", "-")
        try:
            if not any(known.name == words for known in self._client.search_registered_models(f"name = '{words}'")):
                self._client.create_registered_model(words)
            place = f"{self._client.get_run(self.run_id).info.artifact_uri}/{artifact}"
            self._client.create_model_version(words, place, run_id=self.run_id)
        except MlflowException as refused:
            logging.getLogger(__name__).warning("MLflow registered no model: %s", " ".join(str(refused).split())[:200])

    def finish(self, status: Status) -> None:
        """Close the run."""
        self._client.set_terminated(self.run_id, status)

    def _known_run(self, run_id: str | None, refusal: type[Exception]) -> Any:
        if run_id is None:
            return None
        try:
            return self._client.get_run(run_id)
        except refusal:
            return None

    def _experiment(self, name: str, artifacts: Path, refusal: type[Exception]) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = artifacts.resolve().as_uri() if self.uri.startswith("sqlite:") else None
            try:
                return str(self._client.create_experiment(name, artifact_location=location))
            except refusal:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)


def log_files(uri: str, run_id: str, paths: Sequence[Path], name: str) -> None:
    """Files as artifacts of a run under a name.

    Raises:
        EngineError: the store cannot be reached.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(tracking_uri=uri)
        for path in paths:
            client.log_artifact(run_id, str(path), artifact_path=name)
    except MlflowException as refused:
        raise EngineError(f"MLflow at {uri}: {' '.join(str(refused).split())[:300]}") from refused


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``group.key``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _now() -> int:
    import time

    return int(1000 * time.time())
