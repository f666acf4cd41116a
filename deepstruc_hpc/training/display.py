"""What a person watches while a training runs, on stderr, and reads at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console

from deepstruc_hpc.training.loop import TrainReport

NOTHING_LEFT = "nothing new   the epochs, minutes or patience of this training are used up; a larger epochs, max_minutes or patience goes on"
"""Of a call that found nothing to train."""


class EpochPrinter:
    """Prints a line for every epoch, with the time that is left by the pace so far."""

    def __init__(self, max_minutes: float = 0.0) -> None:
        self.limit = 60 * max_minutes or float("inf")
        self.console = Console(stderr=True, highlight=False)
        self.first: tuple[float, float] | None = None

    def __call__(self, metrics: Mapping[str, float]) -> None:
        """One epoch."""
        epoch, epochs = metrics["epoch"], metrics["epochs"]
        if self.first is None:
            self.first = (epoch - 1, time.time() - metrics["seconds"])
        pace = (time.time() - self.first[1]) / max(epoch - self.first[0], 1.0)
        left = max(min(pace * (epochs - epoch), self.limit - metrics["elapsed"]), 0.0)
        self.console.print(
            f"[bold]epoch {epoch:.0f}[/]/{epochs:.0f}  loss {metrics['train_loss']:.3f}  kl {metrics['train_kl']:.2f}  "
            f"[cyan]val {metrics['val_loss']:.3f}[/]  "
            f"MAE {metrics['val_mae']:.3f} Å  N exact {metrics['val_n_exact']:.0%}  type {metrics['val_type_exact']:.0%}  "
            f"{metrics['samples'] / max(metrics['seconds'], 1e-9):.0f}/s  left ≤ {duration(left)}",
            soft_wrap=True,
        )


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes}:{rest:02d} min"


def summary_text(report: TrainReport) -> str:
    """The end of a training in words."""
    best = report.best
    return "\n".join(
        [
            *([] if report.epochs_now else [NOTHING_LEFT]),
            f"best epoch    {best['epoch']:.0f} of {report.epochs}: MAE {best['val_mae']:.3f} Å, "
            f"N exact {best['val_n_exact']:.1%}, type {best['val_type_exact']:.1%}",
            f"checkpoint    {report.checkpoint}",
            f"MLflow        {report.tracking_uri} run {report.mlflow_run}",
            f"time          {duration(report.seconds)}, first epoch after {duration(report.first_epoch_after)}, {_workers(report.workers)}",
        ]
    )


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
