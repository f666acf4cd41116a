"""How the size head and the decoder's reading are weighed: fitted after the head, on simulated measurements and on clean curves of unseen shapes.

    python -m deepstruc_hpc.training.size_blend default run --unseen held_out.zarr --unseen large.zarr

``run`` is the run directory of :mod:`deepstruc_hpc.training.size_training`, whose two files are written anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import torch
import typer
from torch import Tensor

from deepstruc_hpc.model.checkpoint import find_checkpoint, load_network
from deepstruc_hpc.model.parts import TensorRecord
from deepstruc_hpc.model.size_checkpoint import SIZE_LIBRARY, SizeInfo, load_size_head, read_library, save_size_head
from deepstruc_hpc.model.size_head import FieldReading, LibraryReading, SizeBlend, SizeMixture
from deepstruc_hpc.model.size_reading import SizeReader
from deepstruc_hpc.training.held_out import clean, training_settings
from deepstruc_hpc.training.size_training import SIZES, SizePool, SizeSource, model_end, unseen_keys

R = TypeVar("R", SizeMixture, FieldReading, LibraryReading)

SHAPES = (300, 250)
"""Shapes of the two ranges of sizes; each is evaluated under every kind of conditions."""
SEED_STEP = 3
"""Added to the training's seed: other draws than those of the training and of its log's figures."""
KEPT = 0.2
"""Share of the shapes by which the fit is ended."""
STEPS = 600
RATE = 0.01
FREEDOM = 4.0
"""Degrees of freedom of the t distribution whose likelihood is maximised: a size that is far off does not bend the weights of all others."""
AT_ONCE = 256
"""Curves evaluated at once."""


@dataclass(frozen=True, eq=False)
class Readings(TensorRecord):
    """What head and decoder predict for C curves.

    Attributes:
        log_n: (C,) truth.
        shape: (C,) int64 number of the shape.
        head: of the curves.
        field: of the curves.
        library: of the curves, where there is one.
    """

    log_n: Tensor
    shape: Tensor
    head: SizeMixture
    field: FieldReading
    library: LibraryReading | None = None

    def take(self, chosen: Tensor) -> Readings:
        """Some of the curves."""
        library = None if self.library is None else _some(self.library, chosen)
        return Readings(self.log_n[chosen], self.shape[chosen], _some(self.head, chosen), _some(self.field, chosen), library)


def read_all(reader: SizeReader, pools: Iterable[SizePool], seed: int) -> Readings:
    """Every shape of every pool under three conditions: measured-like, to the model's usual range and farther, and clean."""
    found: list[tuple[Tensor, Tensor, SizeMixture, FieldReading]] = []
    libraries: list[LibraryReading] = []
    first = 0
    for pool in pools:
        for number, pdfs in enumerate((pool.near, pool.far, replace(pool.near, ranges=clean(pool.near.ranges)))):
            rng = np.random.default_rng([seed, number])
            for start in range(0, len(pool.n_atoms), AT_ONCE):
                rows = np.arange(start, min(start + AT_ONCE, len(pool.n_atoms)))
                answer = reader.read(pdfs(rows, rng))
                log_n = torch.from_numpy(np.log(pool.n_atoms[rows])).float()
                found.append((log_n, torch.from_numpy(rows + first), answer.head, answer.field))
                libraries += [] if answer.library is None else [answer.library]
        first += len(pool.n_atoms)
    head, field = _joined([row[2] for row in found], SizeMixture), _joined([row[3] for row in found], FieldReading)
    library = _joined(libraries, LibraryReading) if libraries else None
    return Readings(torch.cat([row[0] for row in found]), torch.cat([row[1] for row in found]), head, field, library)


def _some(part: R, chosen: Tensor) -> R:
    return type(part)(*(getattr(part, one.name)[chosen] for one in fields(part)))


def _joined(parts: Sequence[R], kind: type[R]) -> R:
    return kind(*(torch.cat([getattr(part, one.name) for part in parts]) for one in fields(kind)))


def blend_loss(blend: SizeBlend, readings: Readings) -> Tensor:
    """−ln of the t density of ln N, its mean over the curves."""
    mean, log_std = blend(readings.head, readings.field, readings.library)
    z = (readings.log_n - mean) * (-log_std).exp()
    loss: Tensor = (log_std + 0.5 * (FREEDOM + 1.0) * (z.square() / FREEDOM).log1p()).mean()
    return loss


def fit_blend(blend: SizeBlend, readings: Readings, seed: int) -> dict[str, float]:
    """Fit the weights in place; figures of the shapes kept aside.

    Args:
        blend: of a head.
        readings: what was predicted.
        seed: of the shapes that are kept aside.
    """
    number = int(readings.shape.max()) + 1
    aside = torch.from_numpy(np.random.default_rng(seed).random(number) < KEPT)[readings.shape]
    fitted, kept = readings.take(~aside), readings.take(aside)
    optimizer = torch.optim.AdamW(blend.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    best, state = float("inf"), {name: tensor.clone() for name, tensor in blend.state_dict().items()}
    for _ in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        loss = blend_loss(blend, fitted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            found = float(blend_loss(blend, kept))
        if found < best:
            best, state = found, {name: tensor.clone() for name, tensor in blend.state_dict().items()}
    blend.load_state_dict(state)
    return {"curves": float(len(fitted.log_n)), "kept aside": float(len(kept.log_n)), "loss kept aside": round(best, 4), **_figures(blend, kept)}


@torch.no_grad()
def _figures(blend: SizeBlend, readings: Readings) -> dict[str, float]:
    mean, log_std = blend(readings.head, readings.field, readings.library)
    alone = readings.head.moments()[0]
    found = {}
    for low, high in ((13, 400), (400, 1000), (1000, 2000)):
        inside = (readings.log_n > np.log(low + 0.5)) & (readings.log_n < np.log(high + 0.5))
        if bool(inside.any()):
            error = (mean - readings.log_n)[inside]
            found[f"{low}-{high} within 5 %"] = _share(error.exp().sub(1.0).abs() <= 0.05)
            found[f"{low}-{high} head alone"] = _share((alone - readings.log_n)[inside].exp().sub(1.0).abs() <= 0.05)
            if readings.library is not None:
                library = (readings.library.mean - readings.log_n)[inside]
                found[f"{low}-{high} library alone"] = _share(library.exp().sub(1.0).abs() <= 0.05)
            found[f"{low}-{high} within one width"] = _share(error.abs() <= log_std[inside].exp())
    return found


def _share(hits: Tensor) -> float:
    return round(float(hits.double().mean()), 4)


def blended(checkpoint: str, run: Path, *, seed: int = 0, unseen: Iterable[Path] = (), shapes: tuple[int, int] = SHAPES) -> SizeInfo:
    """Fit the weights of a trained head and write it anew.

    Args:
        checkpoint: the model beside which it lies.
        run: directory with the head's two files, and with a library, if there is to be one.
        seed: of the training; the draws here are others.
        unseen: catalogs none of whose shapes is used.
        shapes: of the two ranges of sizes.
    """
    network, info = load_network(find_checkpoint(checkpoint))
    loaded = load_size_head(run, network.eval())
    if loaded is None:
        raise FileNotFoundError(f"{run}: no size head there.")
    head, head_info = loaded
    library = run / SIZE_LIBRARY
    head_info = head_info.updated(head=head.config.updated(library=library.is_file()))
    head.config, head.blend = head_info.head, SizeBlend(library=head_info.head.library)
    reader = SizeReader(network, head, partial(read_library, library) if head_info.head.library else None)
    ranges, kept = training_settings(info, checkpoint).data.conditions, unseen_keys(unseen)
    source = SizeSource(reader.axis, model_end(network), ranges, frozenset(kept))
    pools = [source.pool(sizes, count, seed + SEED_STEP) for sizes, count in zip(SIZES, shapes, strict=True)]
    readings = read_all(reader, pools, seed)
    figures = fit_blend(head.blend, readings, seed)
    written = head_info.updated(blend_log=figures)
    save_size_head(run, head, written)
    return written


def main(
    checkpoint: Annotated[str, typer.Argument(help="model beside which the size head lies")],
    run: Annotated[Path, typer.Argument(help="run directory of the size head's training")],
    seed: Annotated[int, typer.Option(help="of the training")] = 0,
    unseen: Annotated[list[Path], typer.Option(help="catalog none of whose shapes is used")] = [],  # noqa: B006
) -> None:
    """Fit how the readings of sizes are weighed."""
    torch.set_num_threads(1)
    typer.echo(json.dumps(blended(checkpoint, run, seed=seed, unseen=unseen).blend_log, indent=1))


if __name__ == "__main__":
    typer.run(main)
