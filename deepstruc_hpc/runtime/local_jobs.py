"""Jobs of a profile with ``scheduler: local``: the same scripts, run in the background on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

PREFIX = "local-"


def start(scripts: Sequence[tuple[Path, Path]]) -> str:
    """Run scripts one after the other, each only if the one before ended well; each is given with its log file. Returns the job id."""
    line = " && ".join(f"bash {shlex.quote(str(script))} >> {shlex.quote(str(log))} 2>&1" for script, log in scripts)
    nothing = subprocess.DEVNULL
    started = subprocess.Popen(["/bin/bash", "-c", line], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)  # noqa: S603
    return f"{PREFIX}{started.pid}"


def is_local(job_id: str) -> bool:
    """Whether an id names a job on this machine rather than one of SLURM's."""
    return job_id.startswith(PREFIX)


def log_of(job_dir: Path, stage: str) -> Path:
    """Where the log of a stage lies."""
    return job_dir / f"{stage}-local.log"


def lives(job_id: str) -> bool:
    """Whether the job still runs. A number that now belongs to another process, or to nobody, counts as ended."""
    pid = int(job_id.removeprefix(PREFIX))
    try:
        if os.getpgid(pid) != pid:
            return False
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.is_file() or stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def end(job_id: str) -> None:
    """Ask the job and everything that it started to end."""
    os.killpg(int(job_id.removeprefix(PREFIX)), signal.SIGTERM)
