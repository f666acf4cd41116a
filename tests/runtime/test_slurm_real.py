"""Jobs on a real SLURM of two nodes, each with its own address, /tmp and /dev/shm, inside namespaces of this machine.

All jobs go through the command line. What is checked after each: the work is done, both nodes took part, and nothing is left on the nodes.
"""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.resources import PACKAGE_DIR, share_dir
from tests.runtime.slurm_cluster import NODES, SlurmCluster, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.ray, pytest.mark.timeout(1200)]
PAYLOAD = Path(__file__).with_name("slurm_payload.py")
UP = 200  # seconds that a job may take to begin its work on a loaded machine
DONE = 300
EPOCHS = 18
BOTH = set(NODES)

STAND_IN = """\
#!/bin/sh
[ "$1" != slurm ] || exec {real} "$@"
while [ "$1" != --out ]; do shift; done
exec {python} {payload} "$@"
"""

SMOKE = yaml.safe_load((PACKAGE_DIR / "training" / "presets" / "smoke.yaml").read_text())
SWEEP = {"base": {**SMOKE, "epochs": 1}, "space": {"optimiser.learning_rate": {"log_uniform": [1e-4, 1e-2]}}, "trials": 2, "concurrent": 2}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    running = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def profile(cluster):
    """Writes a profile; the payload stands in for ``deepstruc-hpc`` in the job unless ``real`` is asked for."""
    cluster.seen.clear()
    stand_in = cluster.base / "stand-in"
    stand_in.mkdir(exist_ok=True)
    command = stand_in / "deepstruc-hpc"
    command.write_text(STAND_IN.format(real=cluster.base / "bin" / "deepstruc-hpc", python=sys.executable, payload=PAYLOAD))
    command.chmod(0o755)

    def write(name: str, *, real: bool = False, **settings: object) -> str:
        base = {
            "partition": "work",
            "nodes": 2,
            "cpus_per_node": 1,
            "memory_gb_per_node": 2,
            "object_store_gb": 0.1,
            "time": "00:20:00",
            "setup": [] if real else [f'export PATH="{stand_in}:$PATH"'],
            "shared_dirs": [str(cluster.base)],
            "ray_start_seconds": UP,
        }
        path = cluster.base / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**base, **settings}))
        return str(path)

    yield write
    end = time.monotonic() + 60  # a test that failed leaves jobs behind, which would take the nodes from the next one
    while cluster.run("squeue", "--noheader", check=False).strip() and time.monotonic() < end:
        cluster.run("scancel", "--full", "--user=root", check=False)
        time.sleep(1.0)


def submit(cluster: SlurmCluster, profile: str, stage: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    return cluster.cli("slurm", "submit", stage, "--cluster", profile, *options, "--", *arguments).strip()


def hosts(out: Path) -> Counter[str]:
    return Counter(path.read_text() for path in out.iterdir())


def wait_for_items(cluster: SlurmCluster, out: Path, count: int) -> None:
    cluster.wait_until(lambda: out.is_dir() and len(list(out.iterdir())) >= count, UP, f"{count} items are in {out}\n{cluster.logs()}")


def wait_for_two_epochs(cluster: SlurmCluster, training: Path) -> Path:
    """Returns the file to which the epochs are written."""
    log = training / "epochs.jsonl"
    cluster.wait_until(lambda: log.is_file() and len(log.read_text().splitlines()) >= 2, UP, "two epochs are done")
    return log


def start_now(cluster: SlurmCluster, job: str, within: float = 60) -> None:
    """A requeued job is held for two minutes, the test holds it for seconds; nodes refuse a start in the second in which it was killed.

    On a busy machine the two minutes may be over, and the job has begun again by itself.
    """
    requeued = lambda: cluster.job(job).get("JobState") == "PENDING" or cluster.job(job).get("Restarts", "0") != "0"  # noqa: E731
    cluster.wait_until(requeued, within, f"job {job} is requeued\n{cluster.logs()}")
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now+4", check=False)


def one_mlflow_run_with_steps(training: Path) -> list[int]:
    with closing(sqlite3.connect(training / "mlflow.db")) as tracked:
        steps = tracked.execute("select run_uuid, step from metrics where key = 'val_loss' order by step").fetchall()
    assert len({run for run, _ in steps}) == 1, "the resumed training is another run in MLflow"
    return [step for _, step in steps]


def assert_nothing_left(cluster: SlurmCluster) -> None:
    end = time.monotonic() + 90
    while (left := cluster.left_behind()) and time.monotonic() < end:
        time.sleep(0.5)
    assert left == ""


def test_two_jobs_at_once_on_the_same_nodes_both_use_both_nodes_and_leave_nothing(cluster, profile):
    """Fails if a port, a temporary folder or a token is not the job's own, or if a job ends the other's Ray with its own."""
    path = profile("twice")
    first = submit(cluster, path, "build", "recipe", "--out", "one", "--items", "8", "--seconds", "0.5")
    second = submit(cluster, path, "build", "recipe", "--out", "two", "--items", "24", "--seconds", "0.5")
    assert cluster.wait_for(first, "COMPLETED FAILED", DONE)["ExitCode"] == "0:0", cluster.logs()
    assert cluster.wait_for(second, "COMPLETED FAILED", DONE)["ExitCode"] == "0:0", cluster.logs()
    for name, items in (("one", 8), ("two", 24)):
        found = hosts(cluster.work / name)
        assert set(found) == {"node1", "node2"}
        assert found.total() == items
        assert "Ray is up" in (cluster.work / f"{name}.slurm" / f"events-{first if name == 'one' else second}.txt").read_text()
    assert_nothing_left(cluster)
    states = json.loads(cluster.cli("slurm", "status", "one", "--json"))
    assert [(state["state"], state["nodes"]) for state in states] == [("COMPLETED", "node[1-2]")]
    assert "8 of 8 items" in cluster.cli("slurm", "logs", "one")


@pytest.mark.parametrize("broken", ["node1", "node2"])
def test_a_ray_that_does_not_start_on_a_node_fails_the_job_with_the_reason(cluster, profile, broken):
    """Fails if a job whose head or worker did not come up is COMPLETED with the work undone."""
    shim = cluster.base / f"shim-{broken}"
    shim.mkdir()
    ray = shim / "ray"
    real = Path(sys.executable).parent / "ray"
    ray.write_text(f'#!/bin/sh\n[ "$(hostname)" != {broken} ] || {{ echo "no licence for Ray on this node"; exit 3; }}\nexec {real} "$@"\n')
    ray.chmod(0o755)
    job = submit(cluster, profile(f"broken-{broken}", setup=[f'export PATH="{shim}:$PATH"']), "build", "recipe", "--out", f"out-{broken}")
    assert cluster.wait_for(job, "COMPLETED FAILED", DONE)["ExitCode"] == "70:0"
    status = cluster.cli("slurm", "status", f"out-{broken}")
    assert "FAILED" in status
    assert f"on {broken}" in status
    assert "no licence for Ray on this node" in status
    assert_nothing_left(cluster)


def test_a_cancelled_job_ends_soon_and_leaves_nothing(cluster, profile):
    job = submit(cluster, profile("cancel"), "build", "recipe", "--out", "endless", "--items", "1000", "--seconds", "1")
    wait_for_items(cluster, cluster.work / "endless", 2)
    assert cluster.cli("slurm", "cancel", "endless").split() == [job]
    cluster.wait_for(job, "CANCELLED", 30)
    cluster.wait_until(lambda: cluster.nodes_in_state("IDLE") == 2, 30, "both nodes are idle again")
    assert_nothing_left(cluster)
    assert "stopped by SLURM" in cluster.cli("slurm", "status", "endless")


def test_when_a_node_dies_a_build_goes_on_without_it_and_a_training_is_requeued_and_resumes(cluster, profile):
    """The node is cut off in mid-work of two jobs at once. The training's second start adds to the run that the first one began."""
    words = ("recipe", "--out", "going-on", "--items", "16", "--seconds", "0.5", "--gate", "gate")
    build = submit(cluster, profile("dying"), "build", *words)
    cluster.cli("catalog", "build", "smoke", "--out", "small.zarr", "--workers", "0")
    words = ("small.zarr", "--out", "requeued", "--config", "smoke", "--workers", "2", "--set", "epochs=12")
    train = submit(cluster, profile("dying-train", real=True), "train", *words)
    wait_for_items(cluster, cluster.work / "going-on", 4)
    log = wait_for_two_epochs(cluster, cluster.work / "requeued")
    cluster.order("kill-node2")
    try:
        cluster.wait_until(lambda: cluster.job(train).get("JobState") == "PENDING", 90, "the training waits for its second node")
        (cluster.work / "gate").touch()
        assert cluster.wait_for(build, "COMPLETED FAILED", DONE)["ExitCode"] == "0:0", cluster.logs()
    finally:
        cluster.order("start-node2")
    assert hosts(cluster.work / "going-on").total() == 16
    assert "node2 was lost; going on with 1 of 2 nodes" in cluster.cli("slurm", "logs", "going-on")
    before = len(log.read_text().splitlines())
    assert before < 12, "the training was over before the node died"
    cluster.wait_until(lambda: cluster.nodes_in_state("IDLE") == 2, 60, "the node is back")
    start_now(cluster, train)
    found = cluster.wait_for(train, "COMPLETED FAILED", DONE)
    assert (found["ExitCode"], found["Restarts"]) == ("0:0", "1"), cluster.logs()
    assert one_mlflow_run_with_steps(cluster.work / "requeued") == list(range(1, 13))
    assert_nothing_left(cluster)


def test_when_the_first_node_dies_a_build_is_requeued_although_slurm_lets_it_live(cluster, profile):
    """With --no-kill SLURM keeps such a job RUNNING on the nodes left, without its batch script, until its limit: a worker's node must requeue it."""
    hasty = {"RAY_gcs_rpc_server_reconnect_timeout_s": "6"}
    build = submit(
        cluster, profile("headless", environment=hasty), "build", "recipe", "--out", "again", "--items", "12", "--seconds", "0.5", "--gate", "go"
    )
    wait_for_items(cluster, cluster.work / "again", 4)
    assert cluster.job(build)["BatchHost"] == "node1"
    cluster.order("kill-node1")
    try:
        cluster.wait_for(build, "PENDING", 120)
    finally:
        cluster.order("start-node1")
    (cluster.work / "go").touch()
    cluster.wait_until(lambda: cluster.nodes_in_state("IDLE") == 2, 60, "the node is back")
    start_now(cluster, build)
    found = cluster.wait_for(build, "COMPLETED FAILED CANCELLED", DONE)
    assert (found["ExitCode"], found["Restarts"], found["NumNodes"]) == ("0:0", "1", "2"), cluster.logs()
    assert hosts(cluster.work / "again").total() == 12
    log = cluster.cli("slurm", "logs", "again")
    assert re.findall(r"^(\d+) of 12 items are to be done", log, re.MULTILINE)[0] == "12"
    assert int(re.findall(r"^(\d+) of 12 items are to be done", log, re.MULTILINE)[-1]) <= 8
    assert "requeued: node node1 was lost, and the batch script with it" in (cluster.work / "again.slurm" / f"events-{build}.txt").read_text()
    assert_nothing_left(cluster)


def test_the_stages_run_as_a_pipeline_that_survives_a_requeue_beside_a_sweep_an_array_and_a_job_at_its_limit(cluster, profile):
    """The commands themselves, training and solving on both nodes. The training is warned in its middle; solve waits until its second start ends.

    Meanwhile another job, on one node, comes near its own limit: there the warning is SLURM's.
    """
    for name in ("a", "b"):
        curve(cluster.work / "measured" / name / f"{name}.gr")
    (cluster.work / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    path = profile("real", real=True)
    words = ("recipe", "--out", "limited", "--items", "8", "--seconds", "0.2", "--gate", "limit-gate")
    limited = submit(cluster, profile("limited", nodes=1, time="00:02:00", warn_seconds=60), "build", *words)
    common = ["--catalog", "s.zarr", "--elements", "Au", "--no-figures", "--no-report"]
    stages = ["--build", "smoke --out s.zarr", "--train", f"s.zarr --out run --config smoke --workers 2 --set epochs={EPOCHS}"]
    stages += ["--solve", " ".join(["measured/a", "measured/b", "--out", "solved", "--model", "run", "--samples", "8", *common])]
    jobs = dict(line.split() for line in cluster.cli("slurm", "pipeline", "--cluster", path, *stages).splitlines())
    assert list(jobs) == ["build", "train", "solve"]
    cluster.watch(jobs["build"])
    cluster.wait_until_done(jobs["build"], DONE)  # through before actors would run
    words = ("{}", "--out", "days/{name}", "--sources", "catalog", *common)
    array = submit(cluster, profile("alone", real=True, nodes=1), "solve", *words, options=("--each", "measured/*"))
    sweep = submit(cluster, path, "sweep", "train", "s.zarr", "--config", "sweep.yaml", "--out", "sweep")
    log = wait_for_two_epochs(cluster, cluster.work / "run")
    cluster.run("scancel", "--batch", "--signal=USR1", jobs["train"])
    start_now(cluster, jobs["train"])
    assert len(log.read_text().splitlines()) < EPOCHS, "the training was over before it was warned"
    assert cluster.job(jobs["solve"])["JobState"] == "PENDING"
    cluster.watch(jobs["train"])
    assert cluster.wait_until_done(jobs["train"], DONE) == BOTH
    cluster.watch(jobs["solve"])
    assert cluster.job(jobs["train"])["Restarts"] == "1"
    assert one_mlflow_run_with_steps(cluster.work / "run") == list(range(1, EPOCHS + 1))
    (cluster.work / "limit-gate").touch()
    start_now(cluster, limited, within=120)
    assert cluster.wait_until_done(jobs["solve"], DONE) == BOTH
    for job in (f"{array}_0", f"{array}_1", sweep, limited):
        assert cluster.wait_for(job, "COMPLETED FAILED CANCELLED", DONE)["ExitCode"] == "0:0", cluster.logs()
    assert hosts(cluster.work / "limited").total() == 8
    assert "requeued: stopped before the time limit" in cluster.cli("slurm", "logs", "limited")
    for folder, files in (("solved", 2), ("days/a", 1), ("days/b", 1)):
        with (cluster.work / folder / "summary.csv").open() as summary:
            rows = list(csv.DictReader(summary))
        assert [(row["status"], row["structure_type"], row["n_atoms"]) for row in rows] == files * [("ok", "icosahedral", "13")], folder
    assert (cluster.work / "sweep" / "best.yaml").is_file()
    assert_nothing_left(cluster)


@pytest.mark.parametrize("names", [("build", "solve-array"), pytest.param(("train", "sweep", "solve"), marks=pytest.mark.slow)], ids="-".join)
def test_the_scripts_by_hand_run_under_plain_sbatch(cluster, profile, names):
    """At once: each brings up a Ray of its own and hands its arguments to the command that it is named for.

    The last task of an array bears the array's own number for SLURM. Here it ends first, and the other one goes on.
    """
    profile("by-hand")
    place = cluster.work / "by-hand"
    place.mkdir(exist_ok=True)
    settings = f'export PATH="{cluster.base / "stand-in"}:$PATH" DSH_START_SECONDS={UP} DSH_OBJECT_STORE_MB=100\n'
    (place / "setup.sh").write_text(settings + f'[ "${{SLURM_ARRAY_TASK_ID:-}}" != 0 ] || export PAYLOAD_GATE={place / "gate"}\n')
    (place / "folders.txt").write_text("days/first\ndays/the second\n")
    payload = ["--items", "3", "--seconds", "0.1"]
    arguments = {name: ["--out", name, *payload] for name in names} | {"solve-array": ["folders.txt", "results", *payload]}
    options = {"build": ["--nodes=2"], "solve-array": ["--array=0-1"]}
    common = ["--parsable", "--cpus-per-task=1", "--mem=2G"]
    jobs = {}
    for name in names:
        script = str(share_dir("slurm") / f"{name}.sbatch")
        jobs[name] = cluster.run("sbatch", *common, *options.get(name, []), script, *arguments[name], cwd=place).strip()
    tasks = [job for name, job in jobs.items() if name != "solve-array"]
    tasks += [f"{jobs['solve-array']}_{number}" for number in (1, 0) if "solve-array" in jobs]
    for job in tasks:
        if job.endswith("_0"):
            assert cluster.job(job)["JobState"] == "RUNNING", "the task that waits was ended with the one that is done"
            (place / "gate").touch()
        assert cluster.wait_for(job, "COMPLETED FAILED", DONE)["ExitCode"] == "0:0", cluster.logs()
    for name in names:
        for out in ("results/first", "results/the second") if name == "solve-array" else (name,):
            assert hosts(place / out).total() == 3, out
        if name != "solve-array":
            log = (place / f"deepstruc-{name}-{jobs[name]}.log").read_text()
            assert f"running: deepstruc-hpc {'catalog build' if name == 'build' else name} --out {name}" in log
            assert name != "build" or "2 nodes, 2 CPUs" in log
    assert_nothing_left(cluster)


def curve(path: Path) -> None:
    """G(r) of an icosahedron of 13 gold atoms, as a file."""
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    positions = 1.4 * np.array([(0, 0, 0), *(np.roll(corner, turn) for corner in corners for turn in range(3))], dtype=float)
    r = np.arange(2.0, 20.0, 0.02)
    g = simulate_pdf(["Au"] * 13, positions, r, qmin=0.7, qmax=25.0, qdamp=0.04)
    path.parent.mkdir(parents=True)
    path.write_text("#qmax = 25.0\n#qmin = 0.7\n" + "".join(f"{one:.4f} {other:.6f}\n" for one, other in zip(r, g, strict=True)))


def test_init_writes_a_profile_from_what_slurm_says_that_submit_accepts(cluster):
    shown = cluster.cli("slurm", "init", "--out", "found.yaml")
    assert "partition work" in shown
    found = yaml.safe_load((cluster.work / "found.yaml").read_text())
    assert (found["partition"], found["cpus_per_node"]) == ("work", 4)
    script = cluster.cli("slurm", "submit", "build", "--cluster", "found.yaml", "--nodes", "2", "--dry-run", "--", "smoke", "--out", "x.zarr")
    assert "#SBATCH --partition=work\n#SBATCH --nodes=2\n" in script
    assert not (cluster.work / "x.zarr.slurm").exists(), "a dry run writes nothing"
    (cluster.work / "found.sbatch").write_text(script)
    assert "to start at" in cluster.run("sbatch", "--test-only", "found.sbatch", check=False)
