"""Whose turn it is, what a restart finds, and what becomes of a curve that ends workers."""

import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.serve.database import SCHEMA, Database
from deepstruc_hpc.serve.server import open_server
from deepstruc_hpc.serve.settings import ServeSettings
from deepstruc_hpc.serve.tasks import ReadOutcome, SolveOutcome


@pytest.fixture
def server(tmp_path):
    server = open_server(ServeSettings(data=tmp_path, workers=0))
    yield server
    server.close()


def add_job(server, user, count, *, start=True):
    """A job whose files were read."""
    job = server.jobs.create(user.id, "", {})
    for number in range(count):
        stored, _, _ = server.jobs.add_upload(job.id, user.id, f"{number}.gr", 10)
        server.jobs.uploaded(job.id, stored, 10)
    if start:
        server.jobs.start(job.id, user.id)
    return job


def read_all(server):
    while (task := server.queue.next_read()) is not None:
        server.queue.was_read(task, ReadOutcome(("",)))


def states(server, job):
    return [row["state"] for row in server.jobs.curves(job.id)]


def test_users_take_turns_and_a_large_job_does_not_keep_a_small_one_waiting(server):
    """Fails when the queue is first come, first served: the second user would wait for 20 curves."""
    anna, bert = (server.database.set_token(name, name) for name in ("anna", "bert"))
    large, later, small = add_job(server, anna, 20), add_job(server, anna, 2), add_job(server, bert, 3)
    read_all(server)
    owners = []
    for _ in range(8):
        task = server.queue.next_solve()
        owners.append(task.job_id)
        server.queue.was_solved(task, SolveOutcome("ok"))
    assert owners.count(small.id) == 3
    assert owners.count(large.id) == 5
    assert later.id not in owners
    assert server.jobs.ahead(server.jobs.get(later.id)) == 15


def test_with_several_workers_each_user_has_one_before_somebody_has_two(server):
    users = [server.database.set_token(name, name) for name in ("anna", "bert", "carl")]
    jobs = [add_job(server, user, 5) for user in users]
    read_all(server)
    at_work = [server.queue.next_solve().job_id for _ in range(3)]
    assert sorted(at_work) == sorted(job.id for job in jobs)


def test_a_job_that_was_not_started_is_read_and_not_solved(server):
    job = add_job(server, server.database.set_token("anna", "a"), 2, start=False)
    read_all(server)
    assert states(server, job) == ["ready", "ready"]
    assert server.queue.next_solve() is None


def test_after_a_restart_what_was_on_its_way_begins_again_and_what_is_finished_stays(server, tmp_path):
    anna = server.database.set_token("anna", "a")
    job = add_job(server, anna, 3)
    read_all(server)
    server.queue.was_solved(server.queue.next_solve(), SolveOutcome("ok", "kept", {"phase": "Pt fcc"}))
    server.queue.next_solve()
    other = server.jobs.create(anna.id, "", {})
    server.jobs.add_upload(other.id, anna.id, "half.gr", 10)
    server.close()
    again = open_server(ServeSettings(data=tmp_path, workers=0))
    again.queue.recover()
    assert states(again, job) == ["ok", "ready", "ready"]
    assert again.jobs.curves(job.id)[0]["result"] == {"phase": "Pt fcc"}
    assert states(again, other) == []
    again.close()


def test_a_curve_that_ends_two_workers_is_left_and_the_others_go_on(server):
    job = add_job(server, server.database.set_token("anna", "a"), 2)
    read_all(server)
    for _ in range(2):
        task = server.queue.next_solve()
        assert task.number == 1
        server.queue.worker_ended(task)
    assert states(server, job) == ["failed", "ready"]
    assert "ended 2 times" in server.jobs.curves(job.id)[0]["message"]
    assert server.queue.next_solve().number == 2


def test_what_was_cancelled_or_deleted_meanwhile_is_not_kept(server):
    anna = server.database.set_token("anna", "a")
    job = add_job(server, anna, 2)
    read_all(server)
    task = server.queue.next_solve()
    server.jobs.cancel(job.id, anna.id)
    assert not server.queue.wanted(task)
    server.queue.was_solved(task, SolveOutcome("ok"))
    assert states(server, job) == ["cancelled", "cancelled"]
    server.jobs.delete(job.id, anna.id)
    server.queue.was_solved(task, SolveOutcome("ok"))
    server.queue.worker_ended(task)
    assert states(server, job) == []


def test_files_of_a_deleted_job_go_once_no_worker_writes_there(server, tmp_path):
    anna = server.database.set_token("anna", "a")
    job, kept = add_job(server, anna, 1), add_job(server, anna, 1)
    for one in (job, kept):
        (tmp_path / "jobs" / one.id / "results").mkdir(parents=True)
    server.jobs.delete(job.id, anna.id)
    server.queue.clear({job.id})
    assert (tmp_path / "jobs" / job.id).exists()
    server.queue.clear()
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [kept.id]


def test_a_file_of_many_curves_becomes_many_rows_within_the_limit(server):
    job = add_job(server, server.database.set_token("anna", "a"), 1)
    server.queue.was_read(server.queue.next_read(), ReadOutcome(("/a/gr[0]", "/a/gr[1]", "/a/gr[2]")))
    rows = server.jobs.curves(job.id)
    assert [row["name"] for row in rows] == ["0.gr#/a/gr[0]", "0.gr#/a/gr[1]", "0.gr#/a/gr[2]"]
    tasks = [server.queue.next_solve() for _ in range(3)]
    assert len({task.folder for task in tasks}) == 3
    assert {task.path for task in tasks} == {tasks[0].path}
    many = add_job(server, server.database.set_token("bert", "b"), 1)
    server.queue.was_read(server.queue.next_read(), ReadOutcome(tuple(f"/a/gr[{i}]" for i in range(2001))))
    assert states(server, many) == ["failed"]
    assert "2000" in server.jobs.curves(many.id)[0]["message"]


def test_two_servers_cannot_use_one_directory(server, tmp_path):
    with pytest.raises(ConfigError, match="another server"):
        open_server(ServeSettings(data=tmp_path, workers=0))


def test_a_file_that_is_no_database_and_one_of_a_newer_version_are_refused(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(ConfigError, match="no database"):
        Database(tmp_path / "a.sqlite")
    newer = Database(tmp_path / "b.sqlite")
    newer.connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(ConfigError, match="another version"):
        Database(tmp_path / "b.sqlite")


def test_the_history_is_for_its_owner_alone(server, tmp_path):
    assert (tmp_path / "history.sqlite").stat().st_mode & 0o077 == 0
    assert tmp_path.stat().st_mode & 0o077 == 0
