"""From a cluster profile and a command to a readable batch script.

The script holds what SLURM must know, the site's set-up lines and one command; how Ray comes up and down is in ``ray_on_slurm.sh``, of which every
job keeps a copy beside its script.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.runtime.profile import ClusterProfile

COMMANDS = {"build": ("catalog", "build"), "train": ("train",), "sweep": ("sweep",), "solve": ("solve",)}
LIBRARY = "ray_on_slurm.sh"
PLACES = re.compile(r"(\{name\}|\{\})")


@dataclass(frozen=True)
class Job:
    """One submission.

    Attributes:
        stage: build, train, sweep or solve.
        arguments: what follows the command, as the user gave it; ``{}`` and ``{name}`` stand for the folder of an array's task and its last part.
        working_dir: where the command runs; relative paths in the arguments start there.
        job_dir: folder for the script, the logs and the events; every node must see it.
        folders: the tasks of a job array; empty for a single job.
        at_once: how many tasks of the array may run at the same time; 0 for no limit.
        accept_failed_items: exit code 1 of the command (some items failed) counts as done.
    """

    stage: str
    arguments: tuple[str, ...]
    working_dir: Path
    job_dir: Path
    folders: tuple[Path, ...] = field(default=())
    at_once: int = 0
    accept_failed_items: bool = False

    @property
    def script_path(self) -> Path:
        """Where the rendered script is kept."""
        return self.job_dir / f"{self.stage}.sbatch"

    @property
    def folders_path(self) -> Path:
        """Where the list of an array's folders is kept, one a line."""
        return self.job_dir / f"{self.stage}-folders.txt"


def render_script(job: Job, profile: ClusterProfile, label: str) -> str:
    """The batch script of a job; ``profile`` is already that of the stage, ``label`` its name for people.

    Raises:
        ConfigError: when the arguments cannot be right, for example no ``--out``.
    """
    check_arguments(job)
    local = profile.scheduler == "local"
    parts = [
        ["#!/bin/bash", f"# Written by deepstruc-hpc {__version__} from the cluster profile '{label}'."],
        [] if local else _directives(job, profile),
        _set_up(profile),
        _local_part(job) if local else _ray_part(job, profile),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def check_arguments(job: Job) -> None:
    """Refuse a command line that could not work in a job."""
    if output_of(job.arguments) is None:
        raise ConfigError(f"slurm submit {job.stage}: no --out among the arguments ({shlex.join(job.arguments)}); give it after --.")
    if job.stage == "sweep" and job.arguments[0] not in ("train", "solve"):
        raise ConfigError(f"slurm submit sweep: the arguments begin with {job.arguments[0]!r}; they must begin with train or solve.")
    used = any(PLACES.search(argument) for argument in job.arguments)
    if job.folders and not used:
        raise ConfigError("an array is asked for, but no argument holds {} (the folder) or {name} (its last part): all tasks would do the same.")
    if job.folders and not PLACES.search(output_of(job.arguments) or ""):
        raise ConfigError("an array is asked for, but --out is the same for all tasks; write for example --out results/{name}.")


def output_of(arguments: Sequence[str]) -> str | None:
    """The value of ``--out``."""
    for index, argument in enumerate(arguments):
        if argument in ("--out", "-o") and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith("--out="):
            return argument.removeprefix("--out=")
    return None


def command_line(job: Job, profile: ClusterProfile) -> list[str]:
    """The words of the command; a training on GPUs gets one worker a GPU unless the user says otherwise."""
    words = ["deepstruc-hpc", *COMMANDS[job.stage], *job.arguments]
    if job.stage == "train" and profile.gpus_per_node and not _is_given(job.arguments, "--gpus-per-worker"):
        words += ["--gpus-per-worker", "1"]
    return words


def _is_given(arguments: Sequence[str], option: str) -> bool:
    return any(argument == option or argument.startswith(f"{option}=") for argument in arguments)


def _directives(job: Job, profile: ClusterProfile) -> list[str]:
    log = f"{job.job_dir}/{job.stage}-".replace("%", "%%") + ("%A_%a.log" if job.folders else "%j.log")
    last = len(job.folders) - 1
    memory = f"{int(profile.memory_gb_per_node * 1024)}M" if profile.memory_gb_per_node else "0" if profile.exclusive else None
    gpus = f"{profile.gpu_type}:{profile.gpus_per_node}" if profile.gpu_type else str(profile.gpus_per_node)
    options = {
        "job-name": f"deepstruc-{job.stage}",
        "array": (f"0-{last}" + (f"%{job.at_once}" if job.at_once else "")) if job.folders else None,
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "reservation": profile.reservation,
        "nodes": str(profile.nodes),
        "ntasks-per-node": "1",
        "cpus-per-task": str(profile.cpus_per_node),
        "gpus-per-node": gpus if profile.gpus_per_node and profile.gpu_request == "gpus-per-node" else None,
        "gres": f"gpu:{gpus}" if profile.gpus_per_node and profile.gpu_request == "gres" else None,
        "mem": memory,
        "time": profile.time,
        "signal": f"B:USR1@{profile.warn_seconds}",
        "output": log,
        "open-mode": "append",
        "chdir": str(job.working_dir),
        "kill-on-invalid-dep": "yes",
    }
    flags = [
        "--exclusive" if profile.exclusive else None,
        "--requeue" if profile.requeue else "--no-requeue",
        "--no-kill" if profile.node_failure_policy(job.stage) == "continue" else None,
        *profile.extra_sbatch,
    ]
    lines = [f"#SBATCH --{name}={_quoted(value)}" for name, value in options.items() if value is not None]
    return lines + [f"#SBATCH {flag}" for flag in flags if flag]


def _quoted(value: str) -> str:
    return f'"{value}"' if any(character in value for character in " &|;") else value


def _set_up(profile: ClusterProfile) -> list[str]:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in profile.environment.items()]
    for line in profile.setup:
        mended = f"{line} || {{ echo {shlex.quote('failed: the set-up line: ' + line)}; exit 69; }}"
        lines.append(line if line.lstrip().startswith("#") else mended)
    return ["# The site's set-up.", *lines] if lines else []


def _ray_part(job: Job, profile: ClusterProfile) -> list[str]:
    settings: dict[str, str | int | None] = {
        "DSH_JOB_DIR": str(job.job_dir),
        "DSH_CPUS": profile.cpus_per_node,
        "DSH_GPUS": profile.gpus_per_node,
        "DSH_MEMORY_MB": int(profile.memory_gb_per_node * 1024) if profile.memory_gb_per_node else None,
        "DSH_OBJECT_STORE_MB": int(profile.object_store_gb * 1024) if profile.object_store_gb else None,
        "DSH_INTERFACE": profile.network_interface,
        "DSH_PORTS": f"{profile.port_range[0]}-{profile.port_range[1]}",
        "DSH_START_SECONDS": profile.ray_start_seconds,
        "DSH_STOP_SECONDS": max(10, profile.warn_seconds * 3 // 5),
        "DSH_ON_NODE_FAILURE": profile.node_failure_policy(job.stage),
        "DSH_REQUEUE": int(profile.requeue),
        "DSH_MAX_REQUEUES": profile.max_requeues,
        "DSH_ACCEPT_FAILED_ITEMS": int(job.accept_failed_items),
    }
    lines = [f"{name}={shlex.quote(str(value))}" for name, value in settings.items() if value is not None]
    lines.insert(1, f"DSH_SCRATCH={_with_variables(profile.scratch_dir)}")
    if profile.container_image:
        lines.append(f"DSH_LAUNCH=({' '.join(_with_variables(word) for word in (*profile.container_command, profile.container_image))})")
    lines += [f'source "$DSH_JOB_DIR/{LIBRARY}"', ""]
    if job.folders:
        lines += [f'FOLDER=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(job.folders_path))})', 'NAME=$(basename "$FOLDER")']
    resume = ""
    if job.stage == "train" and "--resume" not in job.arguments:  # all other commands go on by themselves
        lines += ['RESUME=""; [ "${SLURM_RESTART_COUNT:-0}" = 0 ] || RESUME=--resume  # a requeued job goes on where it stopped']
        resume = " $RESUME"
    return ["# Ray on all nodes of the job, the command on top of it.", *lines, f"run_on_ray {_words(command_line(job, profile))}{resume}"]


def _local_part(job: Job) -> list[str]:
    words = ["deepstruc-hpc", *COMMANDS[job.stage], *job.arguments]
    done = " || [ $? = 1 ]" if job.accept_failed_items else ""
    lines = [f"cd {shlex.quote(str(job.working_dir))} || exit 69", ""]
    if not job.folders:
        return ["# No SLURM: the command starts a Ray of its own on this machine.", *lines, f"{_words(words)}{done}"]
    loop = ["code=0", "while read -r FOLDER; do", '    NAME=$(basename "$FOLDER")', f"    {_words(words)} < /dev/null{done} || code=$?"]
    return ["# No SLURM: one folder after the other on this machine.", *lines, *loop, f"done < {shlex.quote(str(job.folders_path))}", "exit $code"]


def _words(words: Sequence[str]) -> str:
    return " ".join(_shell_word(word) for word in words)


def _shell_word(word: str) -> str:
    """A word for the shell; ``{}`` and ``{name}`` become the variables of the array's task."""
    pieces = [{"{}": '"$FOLDER"', "{name}": '"$NAME"'}.get(piece) or shlex.quote(piece) for piece in PLACES.split(word) if piece]
    return "".join(pieces) or "''"


def _with_variables(text: str) -> str:
    """Quoted for the shell, but ``$VARIABLE`` is expanded on the node."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`") + '"' if "$" in text else shlex.quote(text)
