"""Splits by a hash: stable when the catalog grows, without a shape on two sides; epochs dealt out to workers."""

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.splits import epoch_rows, split_rows


def table(count):
    """``count`` structures, five of every shape."""
    return pd.DataFrame({"id": [f"s{i}" for i in range(count)], "fingerprint": [f"f{i // 5}" for i in range(count)]})


@pytest.mark.parametrize("kind", ["random", "shape"])
def test_appending_to_a_catalog_moves_no_structure_to_another_set(kind):
    before, after = split_rows(table(500), kind), split_rows(table(900), kind)
    for name in ("train", "validation", "test"):
        assert np.array_equal(getattr(before, name), [row for row in getattr(after, name) if row < 500])


def test_the_shares_are_those_asked_for():
    sets = split_rows(table(5000), "random", validation=0.2, test=0.1)
    assert [len(rows) / 5000 for rows in (sets.train, sets.validation, sets.test)] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    assert sorted(np.concatenate([sets.train, sets.validation, sets.test])) == list(range(5000))


def test_a_split_by_shape_leaves_no_shape_on_two_sides():
    shapes = table(1000)["fingerprint"].to_numpy()
    by_shape, by_chance = split_rows(table(1000), "shape"), split_rows(table(1000), "random")
    assert not set(shapes[by_shape.train]) & set(shapes[by_shape.test])
    assert set(shapes[by_chance.train]) & set(shapes[by_chance.test])  # the paper's protocol does


def test_another_seed_divides_otherwise():
    assert not np.array_equal(split_rows(table(500), "random", seed=0).train, split_rows(table(500), "random", seed=1).train)


def test_a_catalog_too_small_to_divide_is_refused():
    with pytest.raises(StoreError, match="none to train on"):
        split_rows(table(0), "random")


def test_an_epoch_gives_every_row_to_exactly_one_worker():
    rows = np.arange(100, 196)
    dealt = epoch_rows(rows, ["a"] * 200, samples=96, balance=0.0, seed=3, epoch=2, world_size=2, batch_size=8)
    assert dealt.shape == (2, 6, 8)
    assert sorted(dealt.ravel()) == list(rows)


def test_epochs_differ_and_repeat_exactly():
    one, again, next_one = (
        epoch_rows(np.arange(64), ["a"] * 64, samples=64, balance=0.5, seed=1, epoch=epoch, world_size=1, batch_size=16) for epoch in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, next_one)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.1), (1.0, 0.5)])
def test_balance_draws_rare_types_as_often_as_common_ones(balance, share):
    types = ["rare"] * 100 + ["common"] * 900
    drawn = epoch_rows(np.arange(1000), types, samples=20000, balance=balance, seed=1, epoch=0, world_size=1, batch_size=100)
    assert (drawn < 100).mean() == pytest.approx(share, abs=0.02)
