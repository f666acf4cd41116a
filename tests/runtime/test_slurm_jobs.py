"""Submit, watch and cancel against stand-ins for SLURM's programs that answer with recorded output, and on this machine without SLURM."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deepstruc_hpc.core.errors import ConfigError, EngineError
from deepstruc_hpc.runtime import slurm
from deepstruc_hpc.runtime.batch_script import Job
from deepstruc_hpc.runtime.job_folder import array_folders, find_job_dirs, job_dir_for, read_record
from deepstruc_hpc.runtime.profile import ClusterProfile
from deepstruc_hpc.runtime.ray_ready import join, missing_resources, wait_for
from deepstruc_hpc.runtime.slurm_discovery import discover, parse_gres, parse_sinfo, write_profile

RUNNING = "JobId=41 JobName=deepstruc-train JobState=RUNNING Reason=None Restarts=1 ExitCode=0:0 RunTime=00:03:21 NodeList=n[1-2] BatchHost=n1\n"
ARRAY = (
    "JobId=52 ArrayJobId=50 ArrayTaskId=2-3%1 JobState=PENDING Reason=JobArrayTaskLimit Restarts=0 ExitCode=0:0 RunTime=00:00:00 NodeList=(null)\n"
    "JobId=51 ArrayJobId=50 ArrayTaskId=1 JobState=RUNNING Reason=None Restarts=0 ExitCode=0:0 RunTime=00:00:09 NodeList=n1\n"
    "JobId=50 ArrayJobId=50 ArrayTaskId=0 JobState=FAILED Reason=NonZeroExitCode Restarts=0 ExitCode=2:0 RunTime=00:00:30 NodeList=n2\n"
)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes a stand-in: a program that prints a text and notes how it was called."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    calls = tmp_path / "calls"

    def make(name: str, text: str = "", code: int = 0) -> Path:
        (folder / f"{name}.out").write_text(text)
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\ncat {folder / name}.out\nexit {code}\n')
        (folder / name).chmod(0o755)
        return calls

    for name in ("sbatch", "scontrol", "scancel", "sacct", "sinfo", "sacctmgr"):
        make(name, code=1)
    return make


def a_job(tmp_path: Path, *arguments: str, stage: str = "train") -> Job:
    words = arguments or ("au.zarr", "--out", "runs/au")
    return Job(stage, words, tmp_path, job_dir_for(words, tmp_path))


def test_submit_writes_script_and_library_records_the_job_and_returns_its_id(programs, tmp_path):
    calls = programs("sbatch", "41;cluster\n")
    submission = slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p", after="40")
    folder = tmp_path / "runs" / "au.slurm"
    assert submission.job_id == "41"
    assert read_record(folder) == [submission]
    assert {path.name for path in folder.iterdir()} == {"train.sbatch", "ray_on_slurm.sh", "jobs.json"}
    assert f"sbatch --parsable --dependency=afterok:40 {folder}/train.sbatch" in calls.read_text()


def test_a_second_job_for_the_same_output_is_refused_while_the_first_lives(programs, tmp_path):
    """Two jobs that write one run would spoil it."""
    programs("sbatch", "41\n")
    programs("scontrol", RUNNING)
    slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p")
    with pytest.raises(ConfigError, match=r"job 41 .* runs already"):
        slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p")
    programs("scontrol", RUNNING.replace("RUNNING", "FAILED"))
    slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p")


def test_what_slurm_says_when_it_refuses_is_shown(programs, tmp_path):
    programs("sbatch", "sbatch: error: invalid partition specified: gpu\n", code=1)
    with pytest.raises(ConfigError, match="invalid partition specified: gpu"):
        slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p")
    assert read_record(tmp_path / "runs" / "au.slurm") == []


def test_without_slurm_the_error_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="--cluster laptop"):
        slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p")


def test_status_tells_nodes_restarts_and_the_jobs_own_last_words(programs, tmp_path):
    programs("sbatch", "41\n")
    job = a_job(tmp_path)
    slurm.submit(job, ClusterProfile(cpus_per_node=4), "p")
    (job.job_dir / "events-41.txt").write_text("first\n2026-01-02 03:04:05 requeued: stopped before the time limit\n")
    programs("scontrol", RUNNING)
    (state,) = slurm.job_states(job.job_dir)
    assert (state.state, state.nodes, state.restarts, state.elapsed, state.unfinished) == ("RUNNING", "n[1-2]", 1, "00:03:21", True)
    assert state.event.endswith("requeued: stopped before the time limit")


def test_a_job_that_the_controller_has_forgotten_is_asked_of_the_accounting_and_then_of_its_events(programs, tmp_path):
    programs("sbatch", "41\n")
    job = a_job(tmp_path)
    slurm.submit(job, ClusterProfile(cpus_per_node=4), "p")
    programs("sacct", "41|CANCELLED by 0\n")
    assert slurm.job_states(job.job_dir)[0].state == "CANCELLED"
    programs("sacct", code=1)
    (job.job_dir / "events-41.txt").write_text("done after 20 s\n")
    (state,) = slurm.job_states(job.job_dir)
    assert (state.state, state.event, state.unfinished) == ("ENDED", "done after 20 s", False)


def test_every_task_of_an_array_has_its_own_state(programs, tmp_path):
    for name in "abcd":
        (tmp_path / "in" / name).mkdir(parents=True)
    programs("sbatch", "50\n")
    words = ("{}", "--out", "results/{name}")
    job = Job("solve", words, tmp_path, job_dir_for(words, tmp_path), array_folders(["in/*"], tmp_path), at_once=1)
    assert job.job_dir == tmp_path / "results.slurm"
    slurm.submit(job, ClusterProfile(cpus_per_node=4), "p")
    programs("scontrol", ARRAY)
    states = slurm.job_states(job.job_dir)
    assert [(state.job_id, state.state) for state in states] == [("50_0", "FAILED"), ("50_1", "RUNNING"), ("50_2", "PENDING"), ("50_3", "PENDING")]
    assert states[0].reason == "exit 2:0"
    assert states[2].reason == "JobArrayTaskLimit"


@pytest.mark.parametrize(("text", "tasks"), [("3", [3]), ("0-2", [0, 1, 2]), ("1,5-6%2", [1, 5, 6]), ("0-6:3", [0, 3, 6])])
def test_slurms_short_form_of_an_array_is_expanded(text, tasks):
    assert slurm.expand_tasks(text) == tasks


def test_cancel_cancels_only_what_lives(programs, tmp_path):
    programs("sbatch", "41\n")
    job = a_job(tmp_path)
    slurm.submit(job, ClusterProfile(cpus_per_node=4), "p")
    calls = programs("scancel")
    programs("scontrol", RUNNING.replace("RUNNING", "COMPLETED"))
    assert slurm.cancel(job.job_dir) == []
    programs("scontrol", RUNNING)
    assert slurm.cancel(job.job_dir) == ["41"]
    assert calls.read_text().count("scancel 41") == 1


def test_a_chain_makes_each_job_wait_for_the_one_before_and_checks_all_before_the_first(programs, tmp_path):
    calls = programs("sbatch", "41\n")
    profile = ClusterProfile(cpus_per_node=4)
    jobs = [a_job(tmp_path, "demo", "--out", "au.zarr", stage="build"), a_job(tmp_path)]
    slurm.submit_chain(jobs, [profile, profile], "p")
    first, second = (line for line in calls.read_text().splitlines() if line.startswith("sbatch"))
    assert "--dependency" not in first
    assert "--dependency=afterok:41" in second
    with pytest.raises(ConfigError, match="no --out"):
        slurm.submit_chain([jobs[0], Job("train", ("x",), tmp_path, tmp_path / "x.slurm")], [profile, profile], "p")
    assert calls.read_text().count("sbatch --parsable") == 2


def test_a_folder_that_the_nodes_cannot_see_is_refused(programs, tmp_path):
    with pytest.raises(ConfigError, match="not below a folder that all nodes see"):
        slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4, shared_dirs=("/scratch/elsewhere",)), "p")


def test_the_jobs_of_a_path_are_found_from_the_output_the_job_folder_and_the_directory_above(programs, tmp_path):
    programs("sbatch", "41\n")
    slurm.submit(a_job(tmp_path), ClusterProfile(cpus_per_node=4), "p")
    folder = tmp_path / "runs" / "au.slurm"
    assert find_job_dirs(tmp_path / "runs" / "au") == find_job_dirs(folder) == find_job_dirs(tmp_path / "runs") == [folder]
    with pytest.raises(ConfigError, match="no job was submitted from here"):
        find_job_dirs(tmp_path / "elsewhere")


def test_two_folders_of_one_name_cannot_be_one_array(tmp_path):
    for name in ("a/x", "b/x"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="the same last part"):
        array_folders(["*/x"], tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        array_folders(["nowhere"], tmp_path)


def test_on_a_laptop_the_stages_run_one_after_the_other_and_a_failure_stops_the_rest(programs, tmp_path):
    command = tmp_path / "programs" / "deepstruc-hpc"
    command.write_text('#!/bin/sh\necho "$@"\n[ "$1" != train ]\n')
    command.chmod(0o755)
    laptop = ClusterProfile(scheduler="local")
    words = {"build": ("demo", "--out", "a.zarr"), "train": ("a.zarr", "--out", "run"), "solve": ("d", "--out", "r")}
    jobs = [a_job(tmp_path, *words[stage], stage=stage) for stage in words]
    submissions = slurm.submit_chain(jobs, [laptop] * 3, "laptop")
    end = time.monotonic() + 120
    while slurm.job_states(jobs[0].job_dir)[0].unfinished and time.monotonic() < end:
        time.sleep(0.05)
    texts = ["".join(slurm.follow_log(job.job_dir, submission)) for job, submission in zip(jobs, submissions, strict=True)]
    assert texts == ["catalog build demo --out a.zarr\n", "train a.zarr --out run\n", ""]


def test_a_job_on_a_laptop_can_be_cancelled(programs, tmp_path):
    command = tmp_path / "programs" / "deepstruc-hpc"
    command.write_text("#!/bin/sh\nexec sleep 60\n")
    command.chmod(0o755)
    job = a_job(tmp_path)
    submission = slurm.submit(job, ClusterProfile(scheduler="local"), "laptop")
    assert slurm.job_states(job.job_dir)[0].state == "RUNNING"
    assert slurm.cancel(job.job_dir) == [submission.job_id]
    end = time.monotonic() + 120
    while slurm.job_states(job.job_dir)[0].unfinished and time.monotonic() < end:
        time.sleep(0.05)
    assert slurm.job_states(job.job_dir)[0].state == "ENDED"


# What the cluster says of itself.

SINFO = """\
gpu|up|10|64|256000|gpu:a100:4(S:0-1),nvme:1|1-00:00:00|2:32:1
gpu|up|2|32|128000|gpu:v100:2|1-00:00:00|2:16:1
cpu|up|100|96|380000|(null)|infinite|2:48:1
"""


def test_sinfo_is_read_and_of_several_kinds_of_node_the_smallest_counts():
    gpu, cpu = parse_sinfo(SINFO)
    assert (gpu.nodes, gpu.cpus, gpu.memory_mb, gpu.gpus, gpu.gpu_type, gpu.limit) == (12, 32, 128000, 2, "", "1-00:00:00")
    assert (cpu.nodes, cpu.cpus, cpu.gpus, cpu.limit) == (100, 96, 0, "")


@pytest.mark.parametrize(
    ("text", "expected"), [("(null)", (0, "")), ("gpu:4", (4, "")), ("nvme:1,gpu:h100:8(S:0,1)", (8, "h100")), ("gpu:a100:4(S:0-1)", (4, "a100"))]
)
def test_gpus_are_read_from_gres(text, expected):
    assert parse_gres(text) == expected


def test_init_writes_a_valid_profile_of_the_partition_and_says_what_to_look_at(programs, tmp_path):
    programs("sinfo", SINFO)
    programs("scontrol", "ClusterName = big\nJobRequeue = 0\nSelectType = select/cons_tres\n")
    programs("sacctmgr", "physics\n")
    out = tmp_path / "found.yaml"
    lines = write_profile(out, partition="gpu", force=False)
    profile, _ = discover("gpu")
    assert (profile.partition, profile.gpus_per_node, profile.account, profile.requeue) == ("gpu", 2, "physics", False)
    assert "partition: gpu" in out.read_text()
    assert any("does not requeue" in line for line in lines)
    with pytest.raises(ConfigError, match="exists already"):
        write_profile(out, partition="gpu", force=False)
    with pytest.raises(ConfigError, match="it has gpu, cpu"):
        discover("fast")


# Whether a Ray is whole.


def node(name: str, cpus: float = 4, gpus: float = 0, *, alive: bool = True) -> dict[str, object]:
    return {"NodeManagerHostname": name, "Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


@pytest.mark.parametrize(
    ("nodes", "lacks"),
    [
        ([node("a"), node("b")], ""),
        ([node("a"), node("b", alive=False)], "1 of 2 nodes are up (a)"),
        ([node("a"), node("b", cpus=2)], "b offers 2 of 4 CPU"),
        ([], "0 of 2 nodes are up (none)"),
    ],
)
def test_a_ray_that_is_not_whole_is_told_from_one_that_is(nodes, lacks):
    assert missing_resources(nodes, count=2, cpus_per_node=4, gpus_per_node=0) == lacks


def test_waiting_for_a_ray_ends_when_it_is_whole_or_the_time_is_over():
    growing = iter([[node("a")], [node("a"), node("b")]])
    assert wait_for(lambda: next(growing), count=2, cpus_per_node=4, gpus_per_node=0, timeout=10) == ""
    assert wait_for(lambda: [node("a", gpus=3)], count=1, cpus_per_node=4, gpus_per_node=4, timeout=0) == "a offers 3 of 4 GPU"


def test_a_head_that_refuses_at_first_is_asked_again_until_the_time_is_over(monkeypatch):
    """On a busy node Ray's head answers before it can serve. Fails if a job is given up on its first no."""
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    answers = iter([ConnectionError("not yet"), RuntimeError("nor now"), None])

    def init(**given):
        assert given["address"] == "10.0.0.1:6379"
        answer = next(answers)
        if answer is not None:
            raise answer

    assert join(init, time.monotonic() + 30, pause=0.01) == ""

    def never(**given):
        raise ConnectionError("no  such\nhost")

    assert join(never, time.monotonic() + 0.05, pause=0.01) == "no such host"
