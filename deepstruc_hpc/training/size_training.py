"""Training of a size head beside a trained model whose prior stays as it is.

    python -m deepstruc_hpc.training.size_training default --out run --minutes 40 --unseen held_out.zarr --unseen large.zarr
    python -m deepstruc_hpc.training.size_training default --out run --minutes 40 --unseen held_out.zarr --unseen large.zarr --resume

The second call goes on from the first one's weights with a fresh schedule. ``run`` holds ``state.pt``, ``log.jsonl`` and the size head's two files.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.training_pdfs import LONGEST_PEAK, MeasuredLike, MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import find_checkpoint, load_network
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.size_checkpoint import SizeInfo, load_size_head, prior_hash, save_size_head
from deepstruc_hpc.model.size_head import BLEND, SizeHead, SizeHeadConfig, feature_count, on_model_axis, prior_features
from deepstruc_hpc.training.config import OptimiserConfig, learning_rate
from deepstruc_hpc.training.held_out import training_settings
from deepstruc_hpc.training.prefetch import ahead
from deepstruc_hpc.training.size_shapes import MIDDLE_SIZE, NN_DISTANCE, Key, shape_key, shapes_between

SIZES = ((13, MIDDLE_SIZE), (MIDDLE_SIZE + 1, 3000))
"""Atoms of the two pools. Answers are asked for up to 2,000; above, so that a size near the end of the range is not pushed inward."""
LONG_RANGE = (30.0, 60.0)
"""Å, ends of curves as particles of 3 to 5 nm are measured; every second batch has them, the others end as the model's own training has it."""
POOL = (600, 1200)
"""Shapes of the two ranges of sizes that are drawn at a time; then others are drawn."""
POOL_STEPS = 800
"""Steps of training for which they serve: each is seen some 110 times under other conditions."""
BATCH = (96, 160)
"""Structures of the two ranges of sizes in a step. Below 400 atoms the model's own decoder helps, above it the head is alone."""
AHEAD = 200
"""Batches that may lie ready, 1 MB each: the network learns from them while the next shapes are drawn."""
INITIAL = 6
"""Batches to which the scales of the inputs are fitted."""
SAVED, LOGGED = 200, 600
"""Steps after which the state is written, and after which the log has another line and the head's files are written."""
AVERAGE = 0.999
"""The weights that are kept are a running mean, which forgets with this factor a step."""
OPTIMISER = OptimiserConfig(learning_rate=2e-3, weight_decay=1e-3)
CHECKED = 300
"""Shapes of each range of sizes, never trained on, by which the log's figures are made."""


@dataclass(frozen=True, eq=False)
class SizePool:
    """Shapes of one range of sizes and their PDFs.

    Attributes:
        n_atoms: (S,).
        near: PDFs that end as in the model's own training.
        far: PDFs that reach farther.
    """

    n_atoms: NDArray[np.int64]
    near: MeasuredLikePdfs
    far: MeasuredLikePdfs

    def draw(self, count: int, far: bool, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(B, 2, L) new PDFs of random shapes, and their numbers of atoms."""
        rows = rng.integers(0, len(self.n_atoms), count)
        return (self.far if far else self.near)(rows, rng), self.n_atoms[rows]


@dataclass(frozen=True, eq=False)
class SizeSource:
    """Where shapes and batches come from.

    Attributes:
        axis: (L,) r / d_nn.
        end: see :func:`model_end`.
        ranges: of the conditions.
        kept: keys of shapes that are not trained on.
    """

    axis: NDArray[np.float64]
    end: float
    ranges: MeasuredLike
    kept: frozenset[Key]

    def pool(self, sizes: tuple[int, int], count: int, seed: int) -> SizePool:
        """``count`` shapes drawn with a seed."""
        structures = list(islice(shapes_between(*sizes, seed, self.kept), count))
        names = [str(number) for number in range(count)]
        near = MeasuredLikePdfs.of(structures, np.full(count, NN_DISTANCE), names, self.axis, self.ranges, compared_to=self.end)
        return SizePool(np.array([len(one) for one in structures]), near, replace(near, ranges=self.ranges.updated(rmax=LONG_RANGE)))

    def batches(self, pools: tuple[int, int], seed: int, step: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """(B, 2, L) PDFs and (B,) numbers of atoms, endlessly, other ones for every seed and first step.

        Args:
            pools: shapes of the two ranges that are drawn at a time.
            seed: of the training.
            step: of the training.
        """
        rng = np.random.default_rng([seed, step, 0x512E])
        while True:
            parts = [self.pool(sizes, count, int(rng.integers(2**31))) for sizes, count in zip(SIZES, pools, strict=True)]
            for number in range(POOL_STEPS):
                drawn = [part.draw(count, bool(number % 2), rng) for part, count in zip(parts, BATCH, strict=True)]
                yield np.concatenate([one[0] for one in drawn]), np.concatenate([one[1] for one in drawn])


@dataclass(eq=False)
class SizeTraining:
    """What a training of a size head carries from step to step.

    Attributes:
        network: the trained model, unchanged.
        head: being trained.
        average: running mean of its weights.
        optimizer: over its parameters.
        steps: done so far, of all calls.
        seconds: wall time of all calls.
        cpu_seconds: of all calls.
    """

    network: Cvae
    head: SizeHead
    average: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @classmethod
    def fresh(cls, network: Cvae, seed: int, config: SizeHeadConfig) -> SizeTraining:
        """Before the first step."""
        torch.manual_seed(seed)
        head = SizeHead(config, network.config.grid, feature_count(network))
        learned = [parameter for name, parameter in head.named_parameters() if not name.startswith(BLEND)]
        optimizer = torch.optim.AdamW(learned, lr=OPTIMISER.learning_rate, weight_decay=OPTIMISER.weight_decay)
        return cls(network.eval(), head, {}, optimizer)

    def step(self, pdf: NDArray[np.float32], n_atoms: NDArray[np.int64], progress: float) -> float:
        """One gradient step on (B, 2, L) PDFs; the loss, −ln p(ln N)."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(OPTIMISER, progress)
        seen = torch.from_numpy(pdf)
        features = prior_features(self.network, on_model_axis(seen, self.head.short))
        loss = -self.head(seen, features).log_density(torch.from_numpy(np.log(n_atoms)).float()).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], OPTIMISER.clip_norm)
        self.optimizer.step()
        self.steps += 1
        weights = self.head.state_dict()
        if not self.average:
            self.average = {name: tensor.clone() for name, tensor in weights.items()}
        keep = min(AVERAGE, 1.0 - 1.0 / (1.0 + self.steps / 10.0))
        for name, tensor in weights.items():
            self.average[name].lerp_(tensor, 1.0 - keep)
        return float(loss.detach())

    def begin_with(self, directory: Path) -> None:
        """Take over the weights of the head in a directory, and count on from its log.

        Raises:
            CheckpointError: there is none.
        """
        loaded = load_size_head(directory, self.network)
        if loaded is None:
            raise CheckpointError(f"{directory}: no size head is there to begin with.")
        head, info = loaded
        learned = {name: tensor for name, tensor in head.state_dict().items() if not name.startswith(BLEND)}
        self.head.load_state_dict(self.head.state_dict() | learned)
        self.average = {name: tensor.clone() for name, tensor in self.head.state_dict().items()}
        self.steps = int(info.log.get("steps", 0))
        self.seconds, self.cpu_seconds = (60.0 * info.log.get(name, 0.0) for name in ("minutes", "cpu_minutes"))

    def averaged(self) -> SizeHead:
        """The head with the mean weights."""
        head = SizeHead(self.head.config, self.network.config.grid, feature_count(self.network)).eval()
        head.load_state_dict(self.average or self.head.state_dict())
        return head

    def save(self, path: Path) -> None:
        """Everything needed to go on."""
        state = {"head": self.head.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict()}
        temporary = path.with_suffix(".part")
        torch.save({**state, "steps": self.steps, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a state."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        fresh = {name: tensor.clone() for name, tensor in self.head.state_dict().items() if name.startswith(BLEND)}
        self.head.load_state_dict(state["head"] | fresh)
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.steps = state["average"] | fresh, state["steps"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]


@torch.no_grad()
def checked(network: Cvae, head: SizeHead, pools: list[SizePool], seed: int) -> dict[str, float]:
    """Share of sizes within 5 % and loss by range of sizes and of r, on pools of shapes never trained on."""
    found = {}
    for pool, (fewest, most) in zip(pools, SIZES, strict=True):
        for far in (False, True):
            pdf = torch.from_numpy((pool.far if far else pool.near)(np.arange(len(pool.n_atoms)), np.random.default_rng(seed)))
            predicted = head(pdf, prior_features(network, on_model_axis(pdf, head.short)))
            truth = np.log(pool.n_atoms)
            name = f"{fewest}-{most} {'far' if far else 'near'}"
            found[f"{name} loss"] = round(-float(predicted.log_density(torch.from_numpy(truth).float()).mean()), 4)
            error = np.abs(np.exp(predicted.moments()[0].double().numpy() - truth) - 1.0)
            for low, high in ((13, 400), (400, 1000), (1000, 2000)):
                inside = (pool.n_atoms > low) & (pool.n_atoms <= high)
                if inside.any():
                    found[f"{low}-{high} {'far' if far else 'near'} within 5 %"] = round(float((error[inside] <= 0.05).mean()), 4)
    return found


def train_size_head(
    checkpoint: str,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    unseen: Iterable[Path] = (),
    resume: bool = False,
    shipped: bool = False,
    pools: tuple[int, int] = POOL,
) -> SizeInfo:
    """Train for some minutes and write the head.

    Args:
        checkpoint: the model beside which the head will lie.
        out: run directory.
        minutes: wall time of this call; the learning rate's schedule ends with it.
        seed: of weights and draws.
        unseen: catalogs none of whose shapes is trained on.
        resume: go on from ``out``.
        shipped: begin with the weights of the head beside the model, and count on from its steps and minutes.
        pools: shapes of the two ranges that are drawn at a time.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    network, info = load_network(find_checkpoint(checkpoint))
    training = SizeTraining.fresh(network, seed, SizeHeadConfig())
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        training.load(out / "state.pt")
    elif shipped:
        training.begin_with(find_checkpoint(checkpoint))
    before = training.seconds, training.cpu_seconds
    source = SizeSource(training.head.axis, model_end(network), training_settings(info, checkpoint).data.conditions, frozenset(unseen_keys(unseen)))
    tests = [source.pool(sizes, CHECKED, seed + 1) for sizes in SIZES]
    source = replace(source, kept=source.kept | {key for sizes in SIZES for key in _keys(sizes, seed + 1, CHECKED, source.kept)})
    batches = ahead(source.batches(pools, seed, training.steps), AHEAD)
    if not training.steps:
        training.head.initialise(torch.from_numpy(np.concatenate([next(batches)[0] for _ in range(INITIAL)])))
    losses: list[float] = []
    while True:
        pdf, n_atoms = next(batches)
        progress = (time.monotonic() - began) / (60.0 * minutes)
        losses.append(training.step(pdf, n_atoms, min(progress, 1.0)))
        if training.steps % SAVED and progress < 1.0:
            continue
        training.seconds, training.cpu_seconds = before[0] + time.monotonic() - began, before[1] + time.process_time() - cpu_began
        training.save(out / "state.pt")
        if training.steps % LOGGED and progress < 1.0:
            continue
        written = _logged(training, out, tests, seed, losses)
        losses = []
        if progress >= 1.0:
            return written


def _logged(training: SizeTraining, out: Path, tests: list[SizePool], seed: int, losses: list[float]) -> SizeInfo:
    """One line of the log, and the head's files."""
    head = training.averaged()
    line = {
        "steps": training.steps,
        "structures": training.steps * sum(BATCH),
        "minutes": round(training.seconds / 60, 2),
        "cpu_minutes": round(training.cpu_seconds / 60, 2),
        "loss": round(math.fsum(losses) / len(losses), 4),
        **checked(training.network, head, tests, seed),
    }
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    typer.echo(json.dumps(line))
    hashed = prior_hash(training.network)
    written = SizeInfo(head=head.config, prior_hash=hashed, fewest_atoms=SIZES[0][0], most_atoms=SIZES[-1][1], seed=seed, log=line)
    save_size_head(out, head, written)
    return written


def model_end(network: Cvae) -> float:
    """R / d_nn up to which curves are made for the model alone: noise is a share of the RMS of G up to there."""
    return float(network.config.grid.axis()[-1]) * LONGEST_PEAK


def unseen_keys(catalogs: Iterable[Path]) -> set[Key]:
    """Keys of all shapes of some catalogs."""
    found: set[Key] = set()
    for path in catalogs:
        catalog = Catalog.open(path)
        units = catalog.columns["nn_distance"].to_numpy(dtype=np.float64)
        found |= {shape_key(one.positions, unit) for one, unit in zip(catalog.structures(np.arange(len(catalog))), units.tolist(), strict=True)}
    return found


def _keys(sizes: tuple[int, int], seed: int, count: int, unseen: Iterable[Key]) -> set[Key]:
    return {shape_key(one.positions, NN_DISTANCE) for one in islice(shapes_between(*sizes, seed, frozenset(unseen)), count)}


def main(
    checkpoint: Annotated[str, typer.Argument(help="model beside which the size head will lie: directory, run or name")],
    out: Annotated[Path, typer.Option(help="run directory")],
    *,
    minutes: Annotated[float, typer.Option(help="wall time of this call")] = 40.0,
    seed: Annotated[int, typer.Option(help="of weights and draws")] = 0,
    unseen: Annotated[list[Path], typer.Option(help="catalog none of whose shapes is trained on")] = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run directory, with a fresh schedule")] = False,
    shipped: Annotated[bool, typer.Option("--shipped", help="begin with the weights of the head beside the model")] = False,
    threads: Annotated[int, typer.Option(help="of torch")] = 1,
) -> None:
    """Train a size head beside a trained model."""
    torch.set_num_threads(threads)
    train_size_head(checkpoint, out, minutes=minutes, seed=seed, unseen=unseen, resume=resume, shipped=shipped)


if __name__ == "__main__":
    typer.run(main)
