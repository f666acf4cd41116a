"""A real SLURM of two nodes in namespaces of this machine, for the tests: see slurm_cluster.sh for how it is made."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
NODES_OWN = Path("/") / "tmp"  # what slurm_node.sh mounts anew on every node
NODES = ("node1", "node2")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "unshare", "nsenter", "ip")

SLURM_CONF = """\
ClusterName=test
SlurmctldHost=login(10.213.0.1)
AuthType=auth/munge
AuthInfo=socket={base}/munge.sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool-%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd-%n.pid
SlurmctldLogFile={base}/slurmctld.log
SlurmdLogFile={base}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
SlurmdTimeout=10
TCPTimeout=1
KillWait=5
JobRequeue=1
SlurmdParameters=config_overrides
NodeName=node1 NodeAddr=10.213.0.11 CPUs=4 RealMemory=8000
NodeName=node2 NodeAddr=10.213.0.12 CPUs=4 RealMemory=8000
PartitionName=work Nodes=node1,node2 Default=YES MaxTime=01:00:00 State=UP
"""


def why_not() -> str:
    """Why a SLURM cannot be started here; empty when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a SLURM in namespaces needs root on Linux"
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: apt-get install slurm-wlm munge iproute2)"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--mount-proc", "ip", "link", "add", "br0", "type", "bridge"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()[:200]}"


class SlurmCluster:
    """Two nodes with 4 (pretended) cores each, and a login host on which :meth:`run` runs commands."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.work = base / "work"
        self.seen: dict[str, set[str]] = {}
        self._looked = 0.0
        for folder in ("control", "state", "spool-node1", "spool-node2", "work", "bin", "home"):
            (base / folder).mkdir()
        (base / "munge.key").write_bytes(secrets.token_bytes(128))
        (base / "munge.key").chmod(0o600)
        (base / "slurm.conf").write_text(SLURM_CONF.format(base=base))
        (base / "hosts").write_text("127.0.0.1 localhost\n10.213.0.1 login\n10.213.0.11 node1\n10.213.0.12 node2\n")
        command = base / "bin" / "deepstruc-hpc"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m deepstruc_hpc.cli "$@"\n')
        command.chmod(0o755)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "SLURM_"))},
            "PATH": f"{base / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "SLURM_CONF": str(base / "slurm.conf"),
            "HOME": str(base / "home"),
            "OMP_NUM_THREADS": "1",
            "RAY_worker_niceness": "0",  # Ray would give way to all else that runs on this machine
        }

    def start(self) -> None:
        """Bring everything up and wait until both nodes are idle."""
        shared = [str(path) for path in {CHECKOUT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()} if path.is_relative_to(NODES_OWN)]
        flags = ["--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        with (self.base / "cluster.log").open("w") as log:
            self._outer = subprocess.Popen(
                ["unshare", *flags, "bash", str(HERE / "slurm_cluster.sh"), str(self.base), *shared],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        self.wait_until(lambda: self.nodes_in_state("IDLE") == 2, 60, "both nodes are idle")

    def stop(self) -> None:
        """Kill the outer namespaces, and with them every process of the cluster."""
        self._outer.kill()
        self._outer.wait()

    def inside(self) -> str:
        """The process (as seen from outside) that is number 1 of the cluster's process namespace."""
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return children[0] if children else "0"

    def run(self, *command: str, check: bool = True, timeout: float = 120, cwd: Path | None = None) -> str:
        """Run a command on the login host and return what it printed."""
        enter = ["nsenter", "-t", self.inside(), "--net", "--pid", "--mount", "--uts", "--ipc", f"--wd={cwd or self.work}"]
        done = subprocess.run([*enter, *command], capture_output=True, text=True, check=False, timeout=timeout, env=self.environment)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout if check else f"{done.stdout}{done.stderr}"

    def cli(self, *arguments: str, check: bool = True) -> str:
        """Run ``deepstruc-hpc`` on the login host."""
        return self.run("deepstruc-hpc", *arguments, check=check)

    def job(self, job_id: str) -> dict[str, str]:
        """What the controller knows of a job."""
        shown = self.run("scontrol", "--oneliner", "show", "job", job_id, check=False)
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)

    def wait_for(self, job_id: str, states: str, seconds: float) -> dict[str, str]:
        """Poll until a job is in one of the states (separated by blanks)."""
        found: dict[str, str] = {}

        def reached() -> bool:
            found.update(self.job(job_id))
            return found.get("JobState") in states.split()

        try:
            self.wait_until(reached, seconds, f"job {job_id} is {states}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {found.get('JobState')} ({found.get('Reason')})\n{self.logs()}") from None
        return found

    def watch(self, job_id: str) -> None:
        """From now on every wait, whatever for, also looks on which nodes actors of this job's Ray are at work."""
        self.seen[job_id] = set()

    def _look(self) -> None:
        if time.monotonic() - self._looked < 0.5:
            return
        for job_id, seen in self.seen.items():
            for name in set(NODES) - seen:
                if "ray::_Host" in (titles := self.titles(name, job_id)) or "ray::RayTrainWorker" in titles:
                    seen.add(name)
        self._looked = time.monotonic()

    def wait_until_done(self, job_id: str, seconds: float) -> set[str]:
        """Wait for a watched job to end well; returns the nodes on which actors of its Ray were seen at work."""
        self.wait_for(job_id, "COMPLETED FAILED CANCELLED", seconds)
        if (code := self.job(job_id)["ExitCode"]) != "0:0":
            raise AssertionError(f"job {job_id} ended with {code}\n{self.logs()}")
        return self.seen.pop(job_id)

    def titles(self, name: str, job_id: str) -> str:
        """The command lines of the processes of a job's Ray on a node: those that have files open in its temporary folder."""
        found = f"find /proc/[0-9]*/fd -maxdepth 1 -lname '*/dsh-{job_id}-*' -printf '%h\\n' | sort -u | sed 's:fd$:cmdline:'"
        return self.on_node(name, f"{{ {found} | xargs -r cat | tr '\\0' ' '; }} 2> /dev/null; true")

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll a condition; bounded."""
        end = time.monotonic() + seconds
        while not condition():
            self._look()
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds} s not true: {what}\n{self.run('sinfo', '-N', '-l', check=False)}")
            time.sleep(0.2)

    def nodes_in_state(self, state: str) -> int:
        """How many nodes are in a state; an asterisk (not responding) is not that state."""
        if not self.inside().strip("0"):
            return 0
        return self.run("sinfo", "-N", "-h", "-o", "%T", check=False).upper().split().count(state)

    def order(self, what: str) -> None:
        """``kill-node2`` or ``start-node2``."""
        (self.base / "control" / what).touch()
        self.wait_until(lambda: not (self.base / "control" / what).exists(), 10, what)

    def logs(self) -> str:
        """The ends of all logs, for a failed test."""
        paths = [
            *self.work.rglob("*.log"),
            *self.work.rglob("events-*.txt"),
            self.base / "cluster.log",
            self.base / "node1.log",
            self.base / "slurmctld.log",
        ]
        return "\n".join(f"--- {path}\n{path.read_text(errors='replace')[-2500:]}" for path in paths if path.is_file())

    def on_node(self, name: str, line: str) -> str:
        """Run a shell line on a node, outside of any job, and see its own /tmp and /dev/shm."""
        pid = self.run("pgrep", "-f", f"^slurmd -D -N {name} ").split()[0]
        return self.run("nsenter", "-t", pid, "--mount", "--net", "--uts", "--pid", "bash", "-c", line)

    def processes(self, name: str) -> list[str]:
        """The command lines of all processes on a node but those that make it a node."""
        own = ("bash -c ps ", "ps -e ", f"slurmd -D -N {name} ", f"bash {HERE / 'slurm_node.sh'} ")
        lines = (line.strip() for line in self.on_node(name, "ps -e -o args= -ww").splitlines())
        return [line for line in lines if line and not line.startswith(own)]

    def left_behind(self) -> str:
        """What jobs left on the nodes: any process, temporary folders, shared memory, tokens; empty when nothing."""
        left = [self.on_node(name, "ls -d /tmp/dsh-* /tmp/ray* /dev/shm/* 2> /dev/null; true") for name in NODES]
        left += [f"{name}: {line[:200]}" for name in NODES for line in self.processes(name)]
        tokens = [str(path) for path in self.work.rglob(".ray-token-*")]
        return "\n".join([*left, *tokens]).strip()
