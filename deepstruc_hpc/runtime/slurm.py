"""Submit, watch and cancel: the few commands of SLURM that the program needs, and what they mean for a job folder.

Everything is asked of the ordinary client programs (``sbatch``, ``scontrol``, ``squeue``, ``sacct`` where there is accounting, ``scancel``).
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError, EngineError
from deepstruc_hpc.runtime import local_jobs
from deepstruc_hpc.runtime.batch_script import Job, render_script
from deepstruc_hpc.runtime.job_folder import Submission, check_shared, last_event, log_of, read_record, record, write_job_files
from deepstruc_hpc.runtime.profile import ClusterProfile

UNFINISHED = frozenset(
    {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED"}
)


@dataclass(frozen=True)
class JobState:
    """What is known of a job (or of one task of an array) now.

    Attributes:
        job_id: SLURM's, ``7_3`` for a task.
        stage: build, train, sweep or solve.
        state: SLURM's word; ``ENDED`` when SLURM has forgotten the job.
        nodes: where it runs or ran.
        elapsed: as SLURM writes it.
        restarts: how many times it was requeued.
        reason: why it waits, or its exit code.
        event: the last line that the job wrote about itself.
    """

    job_id: str
    stage: str
    state: str
    nodes: str = ""
    elapsed: str = ""
    restarts: int = 0
    reason: str = ""
    event: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether it waits or runs."""
        return self.state in UNFINISHED


def submit(job: Job, profile: ClusterProfile, label: str, *, after: str = "") -> Submission:
    """Write the job's files, submit them and record it; the job waits until ``after`` (a job id) has ended well.

    Raises:
        ConfigError: when the arguments or the places cannot be right, or SLURM refuses the job (its own words are in the message).
        EngineError: when there is no SLURM here.
    """
    if profile.scheduler == "local":
        return submit_chain([job], [profile], label)[0]
    script = render_script(job, profile, label)
    check_shared(job, profile)
    _refuse_a_second_job(job)
    path = write_job_files(job, script)
    dependency = [f"--dependency=afterok:{after}"] if after else []
    job_id = run_client("sbatch", "--parsable", *dependency, str(path)).split(";")[0].strip()
    submission = Submission.now(job_id, job, after)
    record(job.job_dir, submission)
    return submission


def submit_chain(jobs: Sequence[Job], profiles: Sequence[ClusterProfile], label: str) -> list[Submission]:
    """Several jobs, each to start when the one before has ended well; all are checked before the first is submitted."""
    for job, profile in zip(jobs, profiles, strict=True):
        render_script(job, profile, label)
        check_shared(job, profile)
        _refuse_a_second_job(job)
    if any(profile.scheduler == "local" for profile in profiles):
        return _start_here(jobs, profiles, label)
    submissions: list[Submission] = []
    for job, profile in zip(jobs, profiles, strict=True):
        submissions.append(submit(job, profile, label, after=submissions[-1].job_id if submissions else ""))
    return submissions


def job_states(job_dir: Path) -> list[JobState]:
    """The state of every job that was submitted from a folder, oldest first; tasks of an array one by one."""
    return [state for submission in read_record(job_dir) for state in submission_states(job_dir, submission)]


def submission_states(job_dir: Path, submission: Submission) -> list[JobState]:
    """The state of one submission: one entry, or one for every task of an array."""
    if local_jobs.is_local(submission.job_id):
        return [JobState(submission.job_id, submission.stage, "RUNNING" if local_jobs.lives(submission.job_id) else "ENDED")]
    known = _shown(submission.job_id)
    names = [f"{submission.job_id}_{task}" for task in range(submission.tasks)] or [submission.job_id]
    forgotten = {} if known else _accounted(submission.job_id)
    return [_state_of(job_dir, submission, name, known.get(name), forgotten) for name in names]


def cancel(job_dir: Path) -> list[str]:
    """Cancel what waits or runs of a folder; returns the ids."""
    cancelled = []
    for submission in read_record(job_dir):
        if not any(state.unfinished for state in submission_states(job_dir, submission)):
            continue
        if local_jobs.is_local(submission.job_id):
            local_jobs.end(submission.job_id)
        else:
            run_client("scancel", submission.job_id)
        cancelled.append(submission.job_id)
    return cancelled


def follow_log(job_dir: Path, submission: Submission, *, task: int | None = None, follow: bool = False, poll: float = 1.0) -> Iterator[str]:
    """The log of a job in pieces; with ``follow`` until the job has ended."""
    path = log_path(job_dir, submission, task)
    position = 0
    while True:
        ended = not follow or not any(state.unfinished for state in submission_states(job_dir, submission))
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as log:
                log.seek(position)
                yield log.read()
                position = log.tell()
        if ended:
            return
        time.sleep(poll)


def log_path(job_dir: Path, submission: Submission, task: int | None = None) -> Path:
    """Where the log of a job lies."""
    if local_jobs.is_local(submission.job_id):
        return local_jobs.log_of(job_dir, submission.stage)
    return log_of(job_dir, submission, task)


def run_client(program: str, *arguments: str) -> str:
    """Run one of SLURM's programs and return what it printed.

    Raises:
        EngineError: when it is not installed here.
        ConfigError: when it refuses; the message holds its own words.
    """
    path = shutil.which(program)
    if path is None:
        raise EngineError(f"{program} is not on the PATH: there is no SLURM on this machine. Log in to the cluster, or use --cluster laptop.")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        answer = " ".join((done.stderr or done.stdout).split())
        raise ConfigError(f"{shlex.join([program, *arguments])}: SLURM refused: {answer}")
    return done.stdout


def _refuse_a_second_job(job: Job) -> None:
    if not job.job_dir.is_dir():
        return
    for submission in read_record(job.job_dir):
        if submission.stage == job.stage and any(state.unfinished for state in submission_states(job.job_dir, submission)):
            raise ConfigError(
                f"{job.job_dir}: job {submission.job_id} ({job.stage}) waits or runs already for this output. "
                f"Wait for it, or end it with: deepstruc-hpc slurm cancel {shlex.quote(str(job.job_dir))}"
            )


def _shown(job_id: str) -> dict[str, dict[str, str]]:
    """What ``scontrol show job`` knows, by job id (``7_3`` for a task); nothing when SLURM has forgotten the job."""
    try:
        text = run_client("scontrol", "--oneliner", "show", "job", job_id)
    except ConfigError:
        return {}
    shown: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "ArrayTaskId" in fields:  # tasks that have not begun share one line: ArrayTaskId=3-5,9%2
            shown |= {f"{fields['ArrayJobId']}_{task}": fields for task in expand_tasks(fields["ArrayTaskId"])}
        elif "JobId" in fields:
            shown[fields["JobId"]] = fields
    return shown


def expand_tasks(text: str) -> list[int]:
    """The numbers in SLURM's short form of an array: ``3-5,9%2`` is 3, 4, 5, 9."""
    tasks: list[int] = []
    for part in text.partition("%")[0].split(","):
        first, dash, last = part.partition("-")
        if first.isdigit():
            tasks += range(int(first), int(last.partition(":")[0] if dash else first) + 1, int(last.partition(":")[2] or 1))
    return tasks


def _accounted(job_id: str) -> dict[str, str]:
    """States of a job that the controller has forgotten, from the accounting where there is one."""
    try:
        text = run_client("sacct", "-X", "-n", "-P", "-j", job_id, "-o", "JobID,State")
    except (ConfigError, EngineError):
        return {}
    pairs = [line.split("|") for line in text.splitlines() if line.count("|") == 1]
    return {name: state.split()[0] for name, state in pairs if state.strip()}


def _state_of(job_dir: Path, submission: Submission, name: str, fields: dict[str, str] | None, forgotten: dict[str, str]) -> JobState:
    event = last_event(job_dir, name)
    if fields is None:
        return JobState(name, submission.stage, forgotten.get(name, "ENDED"), event=event)
    state = fields.get("JobState", "UNKNOWN")
    reason = fields.get("Reason", "") if state == "PENDING" else "" if state in UNFINISHED else f"exit {fields.get('ExitCode', '?')}"
    nodes = fields.get("NodeList", "").replace("(null)", "")
    return JobState(name, submission.stage, state, nodes, fields.get("RunTime", ""), int(fields.get("Restarts", 0)), reason, event)


def _start_here(jobs: Sequence[Job], profiles: Sequence[ClusterProfile], label: str) -> list[Submission]:
    scripts = [write_job_files(job, render_script(job, profile, label)) for job, profile in zip(jobs, profiles, strict=True)]
    job_id = local_jobs.start([(script, local_jobs.log_of(job.job_dir, job.stage)) for script, job in zip(scripts, jobs, strict=True)])
    submissions = [Submission.now(job_id, job) for job in jobs]
    for job, submission in zip(jobs, submissions, strict=True):
        record(job.job_dir, submission)
    return submissions
