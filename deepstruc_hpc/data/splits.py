"""Training, validation and test sets that stay what they are when a catalog grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.seeds import item_seed

SplitName = Literal["random", "shape"]


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three sets, each ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def within(self, usable: NDArray[np.bool_]) -> Split:
        """The same sets without the rows that are not usable, (S,)."""
        return Split(*(rows[usable[rows]] for rows in (self.train, self.validation, self.test)))


def split_rows(columns: pd.DataFrame, kind: SplitName, *, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> Split:
    """Divide a catalog's rows by a hash of each structure's id, or of its shape.

    A row's set depends on its own name and the seed alone: rows appended later move nothing. ``random`` is the paper's protocol and puts one shape,
    scaled to different metals, on all sides; ``shape`` never does.

    Args:
        columns: the catalog's table with ``id`` and ``fingerprint``.
        kind: ``random`` or ``shape``.
        validation: expected share of the validation set.
        test: expected share of the test set.
        seed: of the division.

    Raises:
        StoreError: when no row is left to train on.
    """
    keys = list(columns["id"].astype(str)) if kind == "random" else shape_ids(columns)
    names = set_names(keys, validation=validation, test=test, seed=seed)
    sets = Split(train=np.flatnonzero(names == "train"), validation=np.flatnonzero(names == "validation"), test=np.flatnonzero(names == "test"))
    if len(sets.train) == 0:
        raise StoreError(
            f"the {kind} split of {len(columns)} structures leaves none to train on. Use a larger catalog or smaller validation and test shares."
        )
    return sets


def set_names(keys: Sequence[str], *, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> NDArray[np.str_]:
    """The set of each key, (S,): ``train``, ``validation`` or ``test``. Equal keys fall into one set, whatever stands beside them."""
    places = {key: item_seed(seed, f"split/{key}") / 2.0**63 for key in set(keys)}
    place = np.array([places[key] for key in keys])
    return np.where(place < validation, "validation", np.where(place < validation + test, "test", "train"))


def shape_ids(columns: pd.DataFrame) -> list[str]:
    """A name that structures share when they differ in element, scale, orientation and order of atoms only: the catalog's fingerprint."""
    return list(columns["fingerprint"].astype(str))


def epoch_rows(
    train: NDArray[np.int64], types: Sequence[str], *, samples: int, balance: float, seed: int, epoch: int, world_size: int, batch_size: int
) -> NDArray[np.int64]:
    """The rows of one epoch, dealt out to the workers: (world_size, steps, batch_size).

    Every worker computes the same table and takes its own part, so nothing has to be sent. With ``balance`` 0 all rows come once before any comes
    twice; with 1 every type is drawn equally often; between, in proportion to (rows of the type)^(1 − balance).
    """
    rng = np.random.default_rng([seed, epoch, 0x5EED])
    steps = max(1, round(samples / (world_size * batch_size)))
    wanted = steps * world_size * batch_size
    if balance > 0:
        _, inverse, counts = np.unique(np.asarray(types)[train], return_inverse=True, return_counts=True)
        weight = (counts.astype(np.float64) ** -balance)[inverse]
        order = rng.choice(train, size=wanted, p=weight / weight.sum())
    else:
        order = np.concatenate([rng.permutation(train) for _ in range(-(-wanted // len(train)))])[:wanted]
    return order.reshape(steps, world_size, batch_size).swapaxes(0, 1)
