"""The same batch on Ray actors: same answers, and a dying actor takes one file with it, not the batch."""

import os
from functools import partial

import pytest

from deepstruc_hpc.solve.run.batch import solve

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session_2cpu")]


def _die_on(stem, folder):
    if folder.name.startswith(f".solving.{stem}."):
        os._exit(1)


def test_actors_give_the_answers_of_one_process(measured, shapes_store, tmp_path):
    here = solve(measured, tmp_path / "here", catalog=shapes_store, sources="catalog", local_shapes=60, workers=0)
    there = solve(measured, tmp_path / "there", catalog=shapes_store, sources="catalog", local_shapes=60, workers=2)
    columns = ["file", "status", "structure_type", "n_atoms", "n_candidates"]
    assert here[columns].equals(there[columns])
    assert here["rw"].to_numpy() == pytest.approx(there["rw"].to_numpy(), abs=1e-5, nan_ok=True)


def test_a_dying_actor_costs_its_own_file_and_no_other(measured, shapes_store, tmp_path):
    frame = solve(measured, tmp_path, catalog=shapes_store, sources="catalog", local_shapes=60, workers=2, draw=partial(_die_on, "fcc"))
    status = {
        name.rsplit("/", 1)[-1]: (state, message) for name, state, message in zip(frame["file"], frame["status"], frame["message"], strict=True)
    }
    assert status["fcc.gr"][0] == "failed"
    assert "worker process ended" in status["fcc.gr"][1]
    assert [status[name][0] for name in ("decahedral.gr", "icosahedral.gr", "broken.gr")] == ["ok", "ok", "failed"]
    again = solve(measured, tmp_path, catalog=shapes_store, sources="catalog", local_shapes=60, workers=2)
    assert sorted(again["status"]) == ["failed", "ok", "ok", "ok"]


def test_a_time_limit_holds_on_actors_and_the_rest_goes_on(measured, shapes_store, tmp_path):
    """Fails when an actor's method does not run where an alarm can reach it: the file would take its full time and then count as solved."""
    frame = solve(measured, tmp_path, catalog=shapes_store, sources="catalog", workers=2, time_limit_s=0.005)
    messages = {name.rsplit("/", 1)[-1]: message for name, message in zip(frame["file"], frame["message"], strict=True)}
    assert list(frame["status"]) == ["failed"] * 4
    assert sum("time limit of 0.005 s" in message for message in messages.values()) >= 3
    again = solve(measured, tmp_path, catalog=shapes_store, sources="catalog", workers=2)
    assert sorted(again["status"]) == ["failed", "ok", "ok", "ok"]
