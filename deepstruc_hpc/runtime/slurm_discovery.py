"""Ask SLURM what a cluster has, and write a first profile from the answer."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError, EngineError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.runtime.profile import ClusterProfile, minutes
from deepstruc_hpc.runtime.slurm import run_client

SINFO_FORMAT = "%R|%a|%D|%c|%m|%G|%l|%z"
LONGEST_DEFAULT_MINUTES = 240


@dataclass(frozen=True)
class Partition:
    """One partition, as ``sinfo`` describes its smallest node.

    Attributes:
        name: without the star that marks the default.
        up: whether jobs can start there.
        nodes: how many.
        cpus: of a node, as SLURM counts them.
        memory_mb: of a node.
        gpus: of a node.
        gpu_type: for example a100; empty when the site gives none.
        limit: longest time, or nothing when there is no limit.
    """

    name: str
    up: bool
    nodes: int
    cpus: int
    memory_mb: int
    gpus: int
    gpu_type: str
    limit: str


def parse_sinfo(text: str) -> list[Partition]:
    """The partitions from ``sinfo -h -o '%R|%a|%D|%c|%m|%G|%l|%z'``; of several kinds of node the smallest counts, its number is that of all."""
    partitions: dict[str, Partition] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) < 7:
            continue
        name, up, nodes, cpus, memory, gres, limit = fields[:7]
        gpus, gpu_type = parse_gres(gres)
        limit = "" if limit in ("infinite", "n/a", "UNLIMITED") else limit
        found = Partition(name, up == "up", int(nodes), _number(cpus), _number(memory), gpus, gpu_type, limit)
        before = partitions.get(name)
        if before is not None:
            smaller = min(before, found, key=lambda one: (one.cpus, one.memory_mb))
            found = Partition(
                name, found.up, before.nodes + found.nodes, smaller.cpus, min(before.memory_mb, found.memory_mb), *_fewer_gpus(before, found), limit
            )
        partitions[name] = found
    return list(partitions.values())


def parse_gres(text: str) -> tuple[int, str]:
    """Number and type of the GPUs in a list such as ``gpu:a100:4(S:0-1),nvme:1``."""
    match = re.search(r"(?:^|,)gpu(?::(?P<type>[^:,()]+))?:(?P<count>\d+)", text)
    if match is None:
        return 0, ""
    return int(match["count"]), match["type"] or ""


def default_partition() -> str:
    """The partition that a job without ``--partition`` gets; nothing where the site has none."""
    for name in run_client("sinfo", "-h", "-o", "%P").split():
        if name.endswith("*"):
            return name.removesuffix("*")
    return ""


def discover(partition: str | None = None) -> tuple[ClusterProfile, list[str]]:
    """A profile for one partition of the cluster that we are logged in to, and what a person should still look at.

    Raises:
        EngineError: when there is no SLURM here.
        ConfigError: when the partition does not exist; the message names those that do.
    """
    partitions = {one.name: one for one in parse_sinfo(run_client("sinfo", "-h", "-o", SINFO_FORMAT))}
    wanted = partition or default_partition() or next(iter(partitions), "")
    if wanted not in partitions:
        raise ConfigError(f"partition {wanted or '(default)'}: the cluster has no such partition; it has {', '.join(partitions) or 'none'}.")
    found = partitions[wanted]
    config = _controller_settings()
    shared = "EXCLUSIVE" not in run_client("scontrol", "--oneliner", "show", "partition", wanted)
    limit = "04:00:00" if not found.limit or minutes(found.limit) > LONGEST_DEFAULT_MINUTES else found.limit
    account = _account()
    profile = ClusterProfile(
        description=f"{config.get('ClusterName', 'cluster')}, partition {found.name}: {found.nodes} nodes of {found.cpus} CPUs",
        partition=found.name,
        account=account,
        cpus_per_node=max(1, found.cpus),
        gpus_per_node=found.gpus,
        gpu_type=found.gpu_type or None,
        gpu_request="gpus-per-node" if "cons_tres" in config.get("SelectType", "") else "gres",
        memory_gb_per_node=round(found.memory_mb * 0.9 / 1024, 1) if shared and found.memory_mb > 1024 else None,
        exclusive=not shared,
        time=limit,
        warn_seconds=300 if minutes(limit) > 10 else max(30, int(minutes(limit) * 30)),
        setup=_set_up(),
        requeue=config.get("JobRequeue", "1") != "0",
        shared_dirs=(str(Path.cwd()),),
    )
    return profile, _remarks(found, config, account)


def write_profile(out: Path, *, partition: str | None, force: bool) -> list[str]:
    """Write the profile of a partition to a file; returns what to tell the user.

    Raises:
        ConfigError: when the file exists already (without ``force``), or as :func:`discover` does.
        OutputError: it cannot be written.
    """
    if out.exists() and not force:
        raise ConfigError(f"{out}: exists already. Give --force to replace it, or another --out.")
    profile, remarks = discover(partition)
    chosen = profile.model_dump(mode="json", exclude_defaults=True)
    settings = ClusterProfile.model_validate(chosen)
    lines = ["# Written by deepstruc-hpc slurm init from what SLURM says. All keys: docs/hpc.md", *(f"# {remark}" for remark in remarks)]
    kept = {key: value for key, value in settings.model_dump(mode="json").items() if key in chosen}
    write_atomically(out, "\n".join(lines) + "\n" + _as_yaml(kept), remedy="Choose another --out.")
    return [f"{out}: {profile.description}", *(f"look at: {remark}" for remark in remarks)]


def _as_yaml(settings: dict[str, object]) -> str:
    import yaml

    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def _controller_settings() -> dict[str, str]:
    settings = {}
    for line in run_client("scontrol", "show", "config").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            settings[key.strip()] = value.strip()
    return settings


def _account() -> str | None:
    """The user's account where there is accounting, and only one."""
    if shutil.which("sacctmgr") is None:
        return None
    try:
        text = run_client("sacctmgr", "-n", "-P", "show", "associations", f"user={getpass.getuser()}", "format=account")
    except (ConfigError, EngineError):
        return None
    accounts = sorted(set(text.split()))
    return accounts[0] if len(accounts) == 1 else None


def _set_up() -> tuple[str, ...]:
    """The lines that bring this very Python into a job."""
    if os.environ.get("CONDA_PREFIX") and Path(sys.prefix) == Path(os.environ["CONDA_PREFIX"]):
        return ('eval "$(conda shell.bash hook)"', f"conda activate {shlex.quote(sys.prefix)}")
    if (Path(sys.prefix) / "bin" / "activate").is_file():
        return (f"source {shlex.quote(str(Path(sys.prefix) / 'bin' / 'activate'))}",)
    return (f'export PATH={shlex.quote(str(Path(sys.prefix) / "bin"))}:"$PATH"',)


def _remarks(found: Partition, config: dict[str, str], account: str | None) -> list[str]:
    remarks = ["shared_dirs: name the folders that all nodes see; this one is taken to be one of them"]
    if account is None:
        remarks.append("account: none was found; add it if the site needs one")
    if not found.up:
        remarks.append(f"partition {found.name} is not up now")
    if config.get("JobRequeue") == "0":
        remarks.append("the site does not requeue jobs (JobRequeue=0): at the time limit submit again, the work resumes")
    if found.limit and minutes(found.limit) > LONGEST_DEFAULT_MINUTES:
        remarks.append(f"time: up to {found.limit} is allowed; short jobs start sooner, and a job goes on after its limit")
    return remarks


def _fewer_gpus(one: Partition, other: Partition) -> tuple[int, str]:
    fewer = min(one, other, key=lambda partition: partition.gpus)
    return fewer.gpus, fewer.gpu_type if one.gpu_type == other.gpu_type else ""


def _number(text: str) -> int:
    digits: Sequence[str] = re.findall(r"\d+", text)
    return int(digits[0]) if digits else 0
