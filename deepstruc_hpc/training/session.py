"""A training as one worker carries it: state, epochs, and how they go on after a stop. Neither Ray nor MLflow is known here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepstruc_hpc.core.seeds import item_seed
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.splits import Split, epoch_rows
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.losses import CvaeObjective, kl_weight
from deepstruc_hpc.training.config import TrainConfig, learning_rate
from deepstruc_hpc.training.prefetch import ahead
from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step, validation_sums

INITIAL_SAMPLE = 512

Sums = dict[str, float]


def _alone(sums: Sums) -> Sums:
    return sums


def _bare(module: nn.Module) -> nn.Module:
    return module


@dataclass(frozen=True)
class WorkerPlace:
    """The worker's place among its fellows.

    Attributes:
        rank: 0 … size − 1.
        size: number of workers.
        device: where this one computes.
        total: sums numbers over all workers; every worker must call it alike.
        wrap: makes the objective data-parallel.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    total: Callable[[Sums], Sums] = _alone
    wrap: Callable[[nn.Module], nn.Module] = _bare


@dataclass
class Clock:
    """How the wall-time limit bends the schedules. It runs from the first step: to import packages and read a catalog takes none of the time.

    Attributes:
        seconds: that this call of the training may take from its first step on, or None.
        call: names the call. A worker that is started again in the same call has what is left of its time, in another call all of it.
        from_progress: progress when this worker began.
        used: seconds that were used up when this worker began.
    """

    seconds: float | None = None
    call: float = 0.0
    from_progress: float = 0.0
    used: float = 0.0
    _began: float | None = None

    def start(self) -> None:
        """At the first step; later calls change nothing."""
        self._began = time.monotonic() if self._began is None else self._began

    def elapsed(self) -> float:
        """Seconds of this call that are used up."""
        return self.used + (0.0 if self._began is None else time.monotonic() - self._began)

    def progress(self, by_steps: float) -> float:
        """By steps, or by time where that is further: the time that is left is used as the rest of the schedule."""
        if self.seconds is None:
            return by_steps
        share = min((self.elapsed() - self.used) / max(self.seconds - self.used, 1e-9), 1.0)
        return max(by_steps, self.from_progress + (1.0 - self.from_progress) * share)

    def is_up(self, another: float) -> bool:
        """Whether an epoch of ``another`` seconds would end more than half its length late."""
        return self.seconds is not None and self.elapsed() + 0.5 * another > self.seconds


class TrainingSession:
    """Model, optimizer and place in the schedule.

    Attributes:
        epoch: number of finished epochs.
        history: metrics of each of them.
    """

    def __init__(
        self, config: TrainConfig, view: TrainingView, split: Split, *, place: WorkerPlace | None = None, clock: Clock | None = None
    ) -> None:
        self.config, self.view, self.split = config, view, split if view.sites is None else split.within(view.sites.table.template >= 0)
        self.place = place or WorkerPlace()
        from torch_geometric.nn import GINEConv  # seconds, which the driver, which makes no session, need not spend

        torch.manual_seed(config.seed)
        self.model = Cvae(config.model, convolution=GINEConv)
        self._initialise()
        self.model.to(self.place.device)
        self.objective = self.place.wrap(CvaeObjective(self.model, config.loss))
        rate, decay = config.optimiser.learning_rate, config.optimiser.weight_decay
        self.optimizer = torch.optim.AdamW(self.objective.parameters(), lr=rate, weight_decay=decay, fused=True)
        self.types = [view.types[number] for number in view.structure_type]
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.clock = clock or Clock()

    def _initialise(self) -> None:
        """Fit the new network's scales to a sample of the training set, the same on every worker."""
        rng = np.random.default_rng([self.config.seed, 0x1217])
        rows = rng.choice(self.split.train, size=min(INITIAL_SAMPLE, 4 * len(self.split.train)))
        sample = to_tensors(self.view.batch(rows, rng))
        self.model.initialise(sample.graphs, sample.pdf)

    def state_dict(self) -> dict[str, Any]:
        """All that the weights do not tell: optimizer, epoch, history, time that is used up."""
        clock = {"call": self.clock.call, "used": self.clock.elapsed()}
        return {"optimizer": self.optimizer.state_dict(), "epoch": self.epoch, "history": self.history, "clock": clock}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; the weights are loaded into ``model`` beforehand."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.history = int(state["epoch"]), list(state["history"])
        self.clock.from_progress = min(self.epoch / self.config.epochs, 1.0)
        before = state.get("clock", {})
        self.clock.used = float(before["used"]) if before.get("call") == self.clock.call else 0.0

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, validate, and return its metrics, the same on every worker but for the time."""
        began = time.time()
        trained = self._train_epoch()
        self.epoch += 1
        metrics = {"epoch": float(self.epoch), **trained, **self._validate()}
        metrics["seconds"] = time.time() - began
        self.history.append(metrics)
        return metrics

    def best(self) -> dict[str, float]:
        """Metrics of the epoch with the lowest validation loss, the first of equals."""
        return min(self.history, key=lambda metrics: metrics["val_loss"])

    def why_stop(self, stop_at: int | None = None) -> str:
        """Why the training ends here, or an empty string; all workers agree.

        Args:
            stop_at: number of epochs at which this call ends, to be resumed.
        """
        if self.epoch >= self.config.epochs:
            return "all epochs done"
        if stop_at is not None and self.epoch >= stop_at:
            return "stop_after reached"
        if self.history and self.config.patience and self.epoch - self.best()["epoch"] >= self.config.patience:
            return f"no better validation loss for {self.config.patience} epochs"
        late = self.place.rank == 0 and bool(self.history) and self.clock.is_up(self.history[-1]["seconds"])  # one epoch at least: work is kept
        if self.clock.seconds is not None and self.place.total({"late": float(late)})["late"] > 0:
            return "max_minutes reached"
        return ""

    def _train_epoch(self) -> dict[str, float]:
        config, place = self.config, self.place
        per_worker = -(-config.batch_size // place.size)
        rows = epoch_rows(
            self.split.train,
            self.types,
            samples=config.samples_per_epoch or len(self.split.train),
            balance=config.data.balance,
            seed=config.seed,
            epoch=self.epoch,
            world_size=place.size,
            batch_size=per_worker,
        )[place.rank]
        seed = item_seed(config.seed, f"epoch {self.epoch} rank {place.rank}")
        rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        with_graph = max(1, round(per_worker * config.loss.posterior_share))
        sums: dict[str, float] = {}
        schedule = StepSchedule(0.0, 0.0)
        for step, arrays in enumerate(ahead(self.view.batch(part, rng, n_graphs=with_graph) for part in rows)):
            self.clock.start()
            progress = self._agreed(self.clock.progress((self.epoch + step / len(rows)) / config.epochs))
            schedule = StepSchedule(learning_rate(config.optimiser, progress), kl_weight(config.loss, progress))
            terms = train_step(
                self.objective,
                self.optimizer,
                to_tensors(arrays, place.device),
                schedule=schedule,
                latent_dim=config.model.latent_dim,
                clip_norm=config.optimiser.clip_norm,
                generator=generator,
            )
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + float(term)
        totals = place.total(sums)
        means = {f"train_{name}": value / (len(rows) * place.size) for name, value in totals.items()}
        return {**means, "learning_rate": schedule.learning_rate, "kl_weight": schedule.kl_weight, "samples": float(rows.size * place.size)}

    def _agreed(self, progress: float) -> float:
        """The first worker's progress where it follows a clock: with rates of their own the workers' weights would drift apart."""
        if self.clock.seconds is None or self.place.size == 1:
            return progress
        return self.place.total({"progress": progress if self.place.rank == 0 else 0.0})["progress"]

    def _validate(self) -> dict[str, float]:
        rows = self.split.validation[self.place.rank :: self.place.size]
        sums = self.place.total(validation_sums(self.model, self.config.loss, self.view, rows, seed=self.config.seed, device=self.place.device))
        count = max(sums.pop("count"), 1.0)
        return {f"val_{name}": value / count for name, value in sums.items()}
