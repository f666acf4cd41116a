"""The folder of a submitted job: its script, its logs, its events, and the record of what was submitted from it.

It lies beside the output (``runs/au`` has ``runs/au.slurm``), never in it: a catalog holds nothing but its arrays, and ``--force`` may replace
results.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.runtime.batch_script import LIBRARY, Job, output_of
from deepstruc_hpc.runtime.profile import ClusterProfile

RECORD = "jobs.json"
SUFFIX = ".slurm"


@dataclass(frozen=True)
class Submission:
    """One line of the record.

    Attributes:
        job_id: SLURM's, or ``local-PID`` for a job that runs on this machine without SLURM.
        stage: build, train, sweep or solve.
        command: the arguments as the user gave them.
        submitted: time in UTC, ISO 8601.
        tasks: number of tasks of a job array, 0 for a single job.
        after: the job that it waits for, or nothing.
    """

    job_id: str
    stage: str
    command: tuple[str, ...]
    submitted: str
    tasks: int = 0
    after: str = ""

    @classmethod
    def now(cls, job_id: str, job: Job, after: str = "") -> Submission:
        """The record of a job that was submitted just now."""
        return cls(job_id, job.stage, job.arguments, datetime.now(UTC).isoformat(timespec="seconds"), len(job.folders), after)


def job_dir_for(arguments: Sequence[str], working_dir: Path) -> Path:
    """The job's folder from its ``--out``: for an array, from the part of the path that all its tasks have in common."""
    out = output_of(arguments)
    if out is None:
        raise ConfigError("no --out among the arguments; give it after --.")
    if "://" in out:
        raise ConfigError(f"--out {out} is a URL; say with --job-dir where the script and the logs shall lie.")
    fixed = Path(os.path.expandvars(out)).expanduser()
    common = [part for index, part in enumerate(fixed.parts) if not any("{" in before for before in fixed.parts[: index + 1])]
    if not common:
        raise ConfigError(f"--out {out}: all of the path differs from task to task; write for example results/{out}, or give --job-dir.")
    path = working_dir.joinpath(*common)
    return path.with_name(path.name + SUFFIX)


def array_folders(patterns: Sequence[str], working_dir: Path) -> tuple[Path, ...]:
    """The folders of a job array from names and shell patterns, in order.

    Raises:
        ConfigError: when a pattern finds no folder, or two folders have the same last part (their results would go to one place).
    """
    folders: list[Path] = []
    for pattern in patterns:
        full = Path(os.path.normpath(working_dir / Path(pattern).expanduser()))
        found = sorted(match for match in Path(full.anchor).glob(str(full.relative_to(full.anchor))) if match.is_dir())
        if not found:
            raise ConfigError(f"--each {pattern}: no such folder.")
        folders += found
    names: dict[str, Path] = {}
    for folder in folders:
        if names.setdefault(folder.name, folder) != folder:
            raise ConfigError(f"--each: {names[folder.name]} and {folder} have the same last part, so {{name}} would be the same. Submit them apart.")
    return tuple(names.values())


def check_shared(job: Job, profile: ClusterProfile) -> None:
    """Refuse a job folder or a working directory that the nodes of the cluster cannot see."""
    if not profile.shared_dirs:
        return
    roots = [Path(os.path.expandvars(entry)).expanduser().resolve() for entry in profile.shared_dirs]
    for what, path in (("the job's folder", job.job_dir), ("the working directory", job.working_dir)):
        if not any(path.resolve().is_relative_to(root) for root in roots):
            below = ", ".join(str(root) for root in roots)
            raise ConfigError(f"{what} {path} is not below a folder that all nodes see ({below}). Work there, or mend shared_dirs in the profile.")


def write_job_files(job: Job, script: str) -> Path:
    """Write the script, the copy of the Ray library and the list of folders; returns the script's path."""
    job.job_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(share_dir("slurm") / LIBRARY, job.job_dir / LIBRARY)
    if job.folders:
        write_atomically(job.folders_path, "".join(f"{folder}\n" for folder in job.folders))
    write_atomically(job.script_path, script)
    return job.script_path


def record(job_dir: Path, submission: Submission) -> None:
    """Append a submission to the folder's record, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    entries = [asdict(entry) for entry in read_record(job_dir)] + [asdict(submission)]
    write_atomically(job_dir / RECORD, json.dumps(entries, indent=1) + "\n")


def read_record(job_dir: Path) -> list[Submission]:
    """What was submitted from a job folder, oldest first; empty when nothing was."""
    path = job_dir / RECORD
    if not path.is_file():
        return []
    try:
        return [Submission(**{**entry, "command": tuple(entry["command"])}) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as broken:
        raise ConfigError(f"{path}: not a record of submitted jobs ({broken}). Remove it; the jobs themselves are not touched.") from broken


def find_job_dirs(path: Path) -> list[Path]:
    """The job folders that belong to a path: the folder itself, the one beside an output, or all below a directory.

    Raises:
        ConfigError: when there is none.
    """
    place = path.resolve()
    beside = place.with_name(place.name + SUFFIX)
    if (place / RECORD).is_file():
        return [place]
    if (beside / RECORD).is_file():
        return [beside]
    found = sorted(entry.parent for entry in place.glob(f"*{SUFFIX}/{RECORD}")) if place.is_dir() else []
    if not found:
        raise ConfigError(
            f"{path}: no job was submitted from here (no {RECORD} in it, in {beside.name} or a folder below). Name the --out of the job."
        )
    return found


def log_of(job_dir: Path, submission: Submission, task: int | None = None) -> Path:
    """The log file of a job, or of one task of an array (the first unless said otherwise)."""
    number = submission.job_id if not submission.tasks else f"{submission.job_id}_{task or 0}"
    return job_dir / f"{submission.stage}-{number}.log"


def last_event(job_dir: Path, job_id: str) -> str:
    """The last line that a job wrote about itself: what is known when SLURM has forgotten the job."""
    path = job_dir / f"events-{job_id}.txt"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return lines[-1] if lines else ""
