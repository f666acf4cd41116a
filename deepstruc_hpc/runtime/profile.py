"""Cluster profiles: what a site wants to hear in a batch script, and where a job may write there.

A profile is a YAML file; those in ``clusters/`` travel with the program and are found by name. ``deepstruc-hpc slurm init`` writes a first one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepstruc_hpc.core.config import Config, load_config, validate_config
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.resources import find_resource

STAGES = ("build", "train", "sweep", "solve")
TIME_PATTERN = re.compile(r"^(\d+-\d{1,2}(:\d{2}){0,2}|\d+(:\d{2}){0,2})$")
LONGEST_SCRATCH = 30  # characters: Ray's sockets lie 70 characters below it, and a socket's path ends at 107 bytes
OWN_OPTIONS = ("--job-name", "--nodes", "--array", "--dependency", "--output", "--chdir", "--signal", "--open-mode", "--requeue", "--no-kill")


class ClusterProfile(Config):
    """How to ask one cluster for nodes, and what a job finds there. With SLURM ``cpus_per_node`` is needed; all else has a default."""

    description: str = Field(default="", description="what it is, for people")
    scheduler: Literal["slurm", "local"] = Field(default="slurm", description="local: no SLURM, the work runs on this machine")
    partition: str | None = Field(default=None, description="as sbatch --partition takes it")
    account: str | None = Field(default=None, description="as sbatch --account takes it; many sites need one")
    qos: str | None = Field(default=None, description="as sbatch --qos takes it")
    constraint: str | None = Field(default=None, description="node features, as sbatch --constraint takes them")
    reservation: str | None = Field(default=None, description="as sbatch --reservation takes it")
    nodes: int = Field(default=1, ge=1, description="nodes of a job unless --nodes says otherwise")
    cpus_per_node: int | None = Field(default=None, ge=1, description="cores that a job takes on each node; needed with SLURM")
    gpus_per_node: int = Field(default=0, ge=0, description="GPUs that a job takes on each node")
    gpu_request: Literal["gpus-per-node", "gres"] = Field(default="gpus-per-node", description="the option by which the site hands out GPUs")
    gpu_type: str | None = Field(default=None, description="for example a100")
    memory_gb_per_node: float | None = Field(default=None, gt=0, description="GiB; without it the site's default holds, and all of an exclusive node")
    object_store_gb: float | None = Field(default=None, gt=0, description="GiB of the memory for Ray's object store; a fifth without it")
    time: str = Field(default="01:00:00", description="limit: minutes, HH:MM:SS or D-HH:MM:SS")
    exclusive: bool = Field(default=False, description="true: whole nodes, shared with no other job")
    extra_sbatch: tuple[str, ...] = Field(default=(), description="further options of sbatch, each as --option=value")
    setup: tuple[str, ...] = Field(default=(), description="shell lines before the work: modules, conda activate")
    environment: dict[str, str] = Field(default_factory=dict, description="variables of the job")
    container_image: str | None = Field(default=None, description="an Apptainer image in which every command runs")
    container_command: tuple[str, ...] = Field(default=("apptainer", "exec"), description="add --nv or --rocm for GPUs")
    scratch_dir: str = Field(default="/tmp", description="on each node's own disk; a short path")  # noqa: S108
    shared_dirs: tuple[str, ...] = Field(default=(), description="folders that all nodes see; results must lie below one of them")
    network_interface: str | None = Field(default=None, description="for example ib0; without it the node's name decides")
    port_range: tuple[int, int] = Field(default=(20000, 29999), description="the head's ports are taken from it")
    requeue: bool = Field(default=True, description="go on in a new start of the job after its time limit or a lost node")
    max_requeues: int = Field(default=20, ge=0, description="starts after the first one")
    on_node_failure: Literal["requeue", "continue"] | None = Field(
        default=None, description="without it build and solve go on with the nodes left, train and sweep are requeued"
    )
    warn_seconds: int = Field(default=300, ge=30, description="how long before the limit the work is told to save and stop")
    ray_start_seconds: int = Field(default=300, ge=10, description="s that Ray may take to come up on all nodes")
    stages: dict[Literal["build", "train", "sweep", "solve"], dict[str, Any]] = Field(
        default_factory=dict, description="settings that differ for one stage, for example train: {partition: gpu, gpus_per_node: 4}"
    )

    @field_validator("time", mode="before")
    @classmethod
    def _time_is_readable(cls, value: Any) -> str:
        if not isinstance(value, str) or not TIME_PATTERN.match(value):
            raise ValueError('a limit in quotes is needed (YAML reads a bare 12:00:00 as a number): "30" (minutes), "02:00:00" or "1-12:00:00"')
        return value

    @field_validator("port_range")
    @classmethod
    def _ports_are_ports(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1024 <= value[0] <= value[1] - 29 or value[1] > 65535:
            raise ValueError("two ports between 1024 and 65535 are needed, at least 30 apart")
        return value

    @field_validator("scratch_dir")
    @classmethod
    def _scratch_is_short(cls, value: str) -> str:
        if not value.startswith(("/", "$")) or len(value) > LONGEST_SCRATCH:
            raise ValueError(f"an absolute path (or $VARIABLE) of at most {LONGEST_SCRATCH} characters is needed: Ray's sockets lie below it")
        return value.rstrip("/")

    @field_validator("shared_dirs")
    @classmethod
    def _shared_are_absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(entry.startswith(("/", "$", "~")) for entry in value):
            raise ValueError("absolute paths are needed")
        return value

    @field_validator("extra_sbatch")
    @classmethod
    def _extra_are_options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for option in value:
            if not option.startswith("-") or "\n" in option:
                raise ValueError(f"{option!r} is not an option of sbatch; write for example --mail-type=END")
            if option.split("=")[0] in OWN_OPTIONS:
                raise ValueError(f"{option.split('=')[0]} is set by the program; it cannot be given here")
        return value

    @field_validator("setup")
    @classmethod
    def _setup_is_lines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("\n" in line for line in value):
            raise ValueError("one entry is one shell line; write a list")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.scheduler == "slurm" and self.cpus_per_node is None:
            raise ValueError("cpus_per_node is needed: how many cores a job takes on each node")
        if self.gpu_type and not self.gpus_per_node and not any(settings.get("gpus_per_node") for settings in self.stages.values()):
            raise ValueError("gpu_type without gpus_per_node")
        if self.object_store_gb and self.memory_gb_per_node and self.object_store_gb >= self.memory_gb_per_node:
            raise ValueError("object_store_gb must be less than memory_gb_per_node")
        if minutes(self.time) * 60 <= self.warn_seconds:
            raise ValueError(f"time {self.time} is not longer than warn_seconds = {self.warn_seconds}")
        for stage, settings in self.stages.items():
            if "stages" in settings:
                raise ValueError(f"stages.{stage} cannot hold stages")
            type(self).model_validate({**self.model_dump(exclude={"stages"}), **settings})
        return self

    def for_stage(self, stage: str, changes: Mapping[str, Any] | None = None) -> ClusterProfile:
        """The settings of one stage: the profile's, then the stage's own, then ``changes`` (from options; ``None`` changes nothing)."""
        given = {key: value for key, value in (changes or {}).items() if value is not None}
        own = dict(self.stages).get(stage, {})  # type: ignore[call-overload]
        return validate_config(type(self), {**self.model_dump(), **own, **given, "stages": {}}, source=f"profile for {stage} with the options given")

    def node_failure_policy(self, stage: str) -> str:
        """``requeue`` or ``continue``: a training job needs all its workers, a build or a solve can do without some."""
        return self.on_node_failure or ("requeue" if stage in ("train", "sweep") else "continue")


def minutes(limit: str) -> float:
    """The length of a SLURM time limit in minutes."""
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, mins, seconds = (*parts, 0, 0)[:3]
        return int(days) * 1440 + hours * 60 + mins + seconds / 60
    if len(parts) == 3:
        return parts[0] * 60 + parts[1] + parts[2] / 60
    return parts[0] + (parts[1] / 60 if len(parts) == 2 else 0)


def load_profile(name: str) -> ClusterProfile:
    """A profile by path, or by the name of one that comes with the program.

    Raises:
        ConfigError: naming the file, the key, what was found and what was needed.
    """
    path = find_resource("clusters", name)
    if path.is_dir():
        raise ConfigError(f"{name}: is a folder; a cluster profile (a YAML file) is needed.")
    return load_config(ClusterProfile, path)


def profile_name(name: str) -> str:
    """The name under which a profile is spoken of: ``clusters/gpu.yaml`` is ``gpu``."""
    return Path(name).stem
