"""Type and number of atoms that a model says of particles of 13 to 2,000 atoms, as generated: with its size head and without it.

    deepstruc-hpc catalog build held_out --out held_out.zarr   # 20 to 350 atoms: those that `evaluate --split shape --test-share 0.2` asks
    deepstruc-hpc catalog build large --out large.zarr         # of these the structures of 401 to 1,000 atoms
    deepstruc-hpc catalog build larger --out larger.zarr       # 1,001 to 2,000 atoms
    python benchmarks/model_sizes.py held_out.zarr large.zarr larger.zarr [--model default] [--kinds measured far clean] [--limit 600]

No shape of these catalogs was trained on (the size head's training left them out by name). Three kinds of curves: measured-like, as the model's
training has it (r to 14 to 30 Å, noise to 6 % and a line to 15 % of the RMS of G, Qdamp known to 0.008 Å⁻¹, Qmin 0.5 to 1.5, Qmax 16 to 28 Å⁻¹,
strain to 1 %); the same with r to 30 to 60 Å, as particles of 3 to 5 nm are measured; and clean. One line a range of sizes and kind of curve: type
right and N within 5 % and exact without the head and with it; share of true sizes within one and within 1.64 of the
stated widths (68 and 90 % if they are true).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.splits import shape_ids, split_rows
from deepstruc_hpc.data.training_pdfs import MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import find_checkpoint, load_network
from deepstruc_hpc.model.parts import DecodedArrays
from deepstruc_hpc.model.size_checkpoint import size_reader
from deepstruc_hpc.model.size_head import on_model_axis
from deepstruc_hpc.model.size_reading import SizeReader
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.training.held_out import clean, spread, training_settings
from deepstruc_hpc.training.size_training import LONG_RANGE, model_end
from deepstruc_hpc.training.step import VALIDATION_BATCH

CLASSES = ((0, 400), (400, 1000), (1000, 2000))
ASIDE = 0.2
KINDS = ("measured", "far", "clean")


@dataclass(frozen=True, eq=False)
class Predicted:
    """What is said of one catalog's curves.

    Attributes:
        true, plain, sized: (C,) numbers of atoms: the truth, without the size head, with it.
        plain_type, sized_type: (C,) type right.
        away: (C,) |ln said − ln true| over the stated width.
    """

    true: NDArray[np.int64]
    plain: NDArray[np.int64]
    sized: NDArray[np.int64]
    plain_type: NDArray[np.bool_]
    sized_type: NDArray[np.bool_]
    away: NDArray[np.float64]


def chosen_rows(catalog: Catalog, limit: int, seed: int) -> NDArray[np.int64]:
    """Rows that are asked: above 400 atoms all; below, where catalogs may share shapes with the model's training, those that `evaluate` asks."""
    n_atoms = catalog.columns["n_atoms"].to_numpy()
    if n_atoms.max() <= CLASSES[0][1]:
        return spread(split_rows(catalog.columns, "shape", validation=0.008, test=ASIDE, seed=seed).test, limit)
    return spread(np.flatnonzero(n_atoms > CLASSES[0][1]).astype(np.int64), limit)


def answers(path: Path, model: str, chosen: Sequence[str], limit: int, seed: int) -> dict[str, Predicted]:
    """Both answers to every curve of some kinds of one catalog."""
    network, info = load_network(find_checkpoint(model))
    reader = size_reader(find_checkpoint(model), network.eval())
    if reader is None:
        raise SystemExit(f"{model}: no size head.")
    catalog = Catalog.open(path)
    rows = chosen_rows(catalog, limit, seed)
    structures, units = catalog.structures(rows), catalog.columns["nn_distance"].to_numpy(dtype=np.float64)[rows]
    kinds = [lattice_of(str(name)) for name in catalog.columns["structure_type"].to_numpy()[rows]]
    shapes = np.asarray(shape_ids(catalog.columns))[rows].tolist()
    ranges = training_settings(info, model).data.conditions
    near = MeasuredLikePdfs.of(structures, units, shapes, reader.axis[: network.config.grid.points], ranges)
    far = MeasuredLikePdfs.of(structures, units, shapes, reader.axis, ranges.updated(rmax=LONG_RANGE), compared_to=model_end(network))
    curves = {"measured": near, "far": far, "clean": replace(near, ranges=clean(ranges))}
    true = np.array([len(one) for one in structures])
    return {
        kind: predicted(reader, pdfs, true, kinds=kinds, names=info.model.structure_types, seed=seed)
        for kind, pdfs in curves.items()
        if kind in chosen
    }


def predicted(reader: SizeReader, pdfs: MeasuredLikePdfs, true: NDArray[np.int64], *, kinds: list[str], names: Sequence[str], seed: int) -> Predicted:
    """Both answers to the curves of C structures, by the random numbers with which `evaluate` asks.

    Args:
        reader: of the model.
        pdfs: of the structures.
        true: (C,) numbers of atoms.
        kinds: C lattices.
        names: of the model's types.
        seed: of the conditions.
    """
    network = reader.network
    pairs: list[tuple[DecodedArrays, DecodedArrays]] = []
    away = []
    for first in range(0, len(true), VALIDATION_BATCH):
        rows = np.arange(first, min(first + VALIDATION_BATCH, len(true)))
        pdf = pdfs(rows, np.random.default_rng([seed, first, 0xA11D]))
        with torch.inference_mode():
            seen = on_model_axis(torch.from_numpy(pdf), network.config.grid.points)
            plain = network.decoder.structures(network.decode(network.prior(seen).mean))
        answer = reader.read(pdf)
        pairs += zip(plain, reader.generated(answer), strict=True)
        away.append(np.abs(answer.log_n.double().numpy() - np.log(true[rows])) / answer.log_std.double().exp().numpy())
    columns = list(zip(*pairs, strict=True))
    right = [np.array([lattice_of(names[int(one.type_probabilities.argmax())]) == kind for one, kind in zip(column, kinds, strict=True)])
             for column in columns]  # fmt: skip
    counts = [np.array([len(one.positions) for one in column]) for column in columns]
    return Predicted(true, counts[0], counts[1], right[0], right[1], np.concatenate(away))


def percent(hits: NDArray[np.bool_]) -> str:
    """A share in percent."""
    return f"{100 * hits.mean():.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogs", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    print("| curves | atoms | structures | type right | N within 5 % | N exact | median error of N | within 1 and 1.64 widths |")
    print("|---|---|---|---|---|---|---|---|")
    every = [answers(path, given.model, given.kinds, given.limit, given.seed) for path in given.catalogs]
    for kind in every[0]:
        together = Predicted(*(np.concatenate([getattr(one[kind], name) for one in every]) for name in Predicted.__dataclass_fields__))
        for low, high in CLASSES:
            inside = (together.true > low) & (together.true <= high)
            if inside.any():
                print(line(kind, replace(together, **{name: getattr(together, name)[inside] for name in Predicted.__dataclass_fields__})))
    print(f"{time.process_time() - began:.0f} s of a core")


def line(kind: str, predicted: Predicted) -> str:
    """One row of the table."""
    plain, sized = (np.abs(number - predicted.true) / predicted.true for number in (predicted.plain, predicted.sized))
    cells = [
        kind,
        f"{predicted.true.min()}–{predicted.true.max()}",
        str(len(predicted.true)),
        f"{percent(predicted.plain_type)} → {percent(predicted.sized_type)}",
        f"{percent(plain <= 0.05)} → **{percent(sized <= 0.05)}**",
        f"{percent(plain == 0)} → {percent(sized == 0)}",
        f"{100 * np.median(plain):.1f} → {100 * np.median(sized):.1f} %",
        f"{percent(predicted.away <= 1.0)}, {percent(predicted.away <= 1.64)}",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
