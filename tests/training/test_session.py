"""A training without Ray: it learns, goes on bit for bit after a stop, and its schedules follow the steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.training.config import learning_rate
from deepstruc_hpc.training.session import Clock, TrainingSession, WorkerPlace
from deepstruc_hpc.training.view import load_split, load_view, resolved_model
from tests.training.catalogs import tiny_settings


@pytest.fixture(scope="module")
def parts(tiny_store):
    """(catalog, settings, view, split)."""
    catalog = Catalog.open(tiny_store)
    config = tiny_settings("epochs=4")
    config = config.updated(model=resolved_model(config.model, catalog).model_dump())
    return catalog, config, load_view(catalog, config), load_split(catalog, config.data, config.seed)


def session(parts, **changes):
    _, config, view, split = parts
    return TrainingSession(config.updated(**changes), view, split)


def comparable(history):
    return [{key: value for key, value in metrics.items() if key not in ("seconds", "elapsed")} for metrics in history]


def test_two_epochs_and_two_more_are_four(parts):
    whole = session(parts)
    for _ in range(4):
        whole.run_epoch()
    first = session(parts)
    for _ in range(2):
        first.run_epoch()
    second = session(parts, seed=0)
    second.model.load_state_dict(first.model.state_dict())
    second.restore(first.state_dict())
    for _ in range(2):
        second.run_epoch()
    assert comparable(second.history) == comparable(whole.history)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


def test_another_seed_trains_another_model(parts):
    one, other = session(parts), session(parts, seed=1)
    assert one.run_epoch()["train_loss"] != other.run_epoch()["train_loss"]


@pytest.mark.parametrize("pdfs", ["stored", "measured_like"])
def test_training_lowers_the_loss_of_structures_it_has_not_seen(parts, pdfs):
    catalog, config, _, split = parts
    config = config.updated(epochs=12, samples_per_epoch=256, data=config.data.updated(pdfs=pdfs).model_dump())
    training = TrainingSession(config, load_view(catalog, config), split)
    losses = [training.run_epoch()["val_loss"] for _ in range(12)]
    assert losses[-1] < 0.85 * losses[0]
    assert training.best()["val_loss"] == min(losses)


def test_a_training_ends_when_its_epochs_are_done_or_this_calls_share_is(parts):
    training = session(parts, epochs=2)
    assert not training.why_stop()
    training.run_epoch()
    assert training.why_stop(stop_at=1) == "stop_after reached"
    training.run_epoch()
    assert training.why_stop() == "all epochs done"


def test_patience_ends_a_training_that_gets_no_better(parts):
    training = session(parts, patience=2, epochs=50)
    training.epoch, training.history = (
        5,
        [{"epoch": float(epoch), "val_loss": loss, "seconds": 1.0} for epoch, loss in enumerate((3.0, 1.0, 2.0, 2.0), start=1)],
    )
    assert training.why_stop() == "no better validation loss for 2 epochs"
    training.history[-1]["val_loss"], training.epoch = 0.5, 4
    assert not training.why_stop()


@pytest.fixture
def now(monkeypatch):
    """The time, s, that a session sees; a test sets its only entry."""
    seconds = [1000.0]
    monkeypatch.setattr("deepstruc_hpc.training.session.time.monotonic", lambda: seconds[0])
    return seconds


def test_the_clock_ends_a_training_and_bends_its_schedule(now):
    clock = Clock(seconds=20.0)
    clock.start()
    now[0] += 10.0
    clock.start()
    assert clock.progress(0.1) == pytest.approx(0.5)
    assert clock.progress(0.9) == 0.9
    assert not clock.is_up(another=19.0)
    assert clock.is_up(another=21.0)
    assert Clock().progress(0.3) == 0.3


def test_the_clock_runs_from_the_first_step(parts, now):
    """On a cold machine imports take minutes: fails if a training of a minute has none left when they are done."""
    _, config, view, split = parts
    now[0] += 100.0
    training = TrainingSession(config, view, split, clock=Clock(seconds=60.0))
    now[0] += 100.0
    assert training.clock.elapsed() == 0.0
    training.run_epoch()
    now[0] += 59.0
    assert training.clock.elapsed() == 59.0
    assert not training.why_stop()
    now[0] += 2.0
    assert training.why_stop() == "max_minutes reached"


@given(
    limit=st.floats(1.0, 1e5),
    calls=st.lists(st.floats(0.0, 1e5), min_size=1, max_size=4),
    by_steps=st.floats(0.0, 1.0),
    warmup=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_the_rate_of_a_resumed_training_goes_on_where_it_was(limit, calls, by_steps, warmup):
    """However a training's time is divided into calls. Fails if a call with --resume gets the whole time, or the whole rate, again."""
    optimiser = tiny_settings().optimiser.updated(warmup=warmup)
    seconds, used, rate = [0.0], 0.0, learning_rate(optimiser, by_steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepstruc_hpc.training.session.time.monotonic", lambda: seconds[0])
        for spent in calls:
            seconds[0] += 1e4  # between two calls
            clock = Clock(seconds=limit, used=used)
            clock.start()
            assert learning_rate(optimiser, clock.progress(by_steps)) == pytest.approx(rate)
            seconds[0] += spent
            used, rate = clock.elapsed(), learning_rate(optimiser, clock.progress(by_steps))
        assert clock.progress(by_steps) == pytest.approx(max(by_steps, min(sum(calls) / limit, 1.0)))


@pytest.mark.parametrize(("limit", "progress"), [(60.0, 40 / 60), (80.0, 40 / 80), (30.0, 1.0), (None, 1.5 / 4)])
def test_a_resumed_training_has_used_its_time_and_follows_the_new_total(parts, now, *, limit, progress):
    """40 s and a break. The schedule after it is that of a training without a break, of the length that is said now; by steps, without a limit."""
    _, config, view, split = parts
    first = TrainingSession(config, view, split, clock=Clock(seconds=60.0))
    first.run_epoch()
    now[0] += 40.0
    state = first.state_dict()
    now[0] += 1000.0
    second = TrainingSession(config, view, split, clock=Clock(seconds=limit))
    second.model.load_state_dict(first.model.state_dict())
    second.restore(state)
    assert second.why_stop() == ("max_minutes reached" if limit == 30.0 else "")
    metrics = second.run_epoch()
    assert metrics["learning_rate"] == pytest.approx(learning_rate(config.optimiser, progress))
    assert metrics["elapsed"] == 40.0


def test_all_workers_follow_the_clock_of_the_first(parts, now):
    """Fails if a worker whose first step came later takes larger steps than the others: their weights would drift apart."""
    _, config, view, split = parts

    def total(sums):
        return {name: value + 0.7 if name == "progress" else value for name, value in sums.items()}  # the first worker's share is 0.7

    second = TrainingSession(config, view, split, place=WorkerPlace(rank=1, size=2, total=total), clock=Clock(seconds=60.0))
    now[0] += 50.0
    assert second.run_epoch()["learning_rate"] == pytest.approx(learning_rate(config.optimiser, 0.7))


def test_the_rate_rises_falls_and_ends_low():
    config = tiny_settings().optimiser
    rates = [learning_rate(config, progress) for progress in (0.0, config.warmup / 2, config.warmup, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(config.learning_rate)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(config.final_rate)
