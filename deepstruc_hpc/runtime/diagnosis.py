"""What this machine and this installation can do, part by part."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from deepstruc_hpc.core.resources import cache_dir, share_dir
from deepstruc_hpc.core.version import __version__

State = Literal["ok", "missing", "broken"]

REQUIRED_PACKAGES = (
    "torch", "torch-geometric", "ray", "zarr", "mlflow", "numpy", "scipy", "numba", "pymatgen", "diffpy.srfit", "periodictable", "pydantic", "typer",
    "pandas", "pyarrow", "plotly", "matplotlib", "optuna", "safetensors",
)  # fmt: skip
MIN_FREE_GB = 5.0
MIN_MEMORY_GB = 4.0


@dataclass(frozen=True)
class Finding:
    """One part: its state, what was found, what its absence costs, how to mend it."""

    name: str
    state: State
    found: str
    cost: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings; ``broken`` parts stop the program, ``missing`` ones only narrow it.

    Attributes:
        findings: part by part.
        next_step: what to do now, in a sentence.
    """

    findings: tuple[Finding, ...]
    next_step: str = ""

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Parts that are needed and do not work."""
        return tuple(finding for finding in self.findings if finding.state == "broken")

    @property
    def missing(self) -> tuple[Finding, ...]:
        """Optional parts that are not there."""
        return tuple(finding for finding in self.findings if finding.state == "missing")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ready": not self.broken, "findings": [asdict(finding) for finding in self.findings], "next": self.next_step}


def diagnose() -> Diagnosis:
    """Look at everything; nothing is started and nothing is changed (a test file is written to the cache folder and removed)."""
    checks: tuple[Callable[[], list[Finding]], ...] = (_machine, _packages, _packaged_data, _folders, _gpu, _ray_address, _optional_programs)
    findings = tuple(finding for check in checks for finding in check())
    return Diagnosis(findings, next_step(findings, Path.cwd()))


def next_step(findings: Sequence[Finding], here: Path) -> str:
    """What to do now: mend what is broken, else solve the PDFs that lie here, else some of one's own.

    Args:
        findings: of all parts.
        here: folder in which the command was called; its ``.gr`` files and those of ``examples/compounds`` are looked for.
    """
    broken = next((finding for finding in findings if finding.state == "broken"), None)
    if broken is not None:
        return f"mend {broken.name} first: {broken.remedy}."
    curves = len(list(here.glob("*.gr")))
    if curves:
        return f"solve the {curves} .gr file{'s' if curves > 1 else ''} in this folder: deepstruc-hpc solve . --out solved"
    if any((here / "examples" / "compounds").glob("*.gr")):
        return "solve two example curves: deepstruc-hpc solve examples/compounds --out solved"
    return "solve a folder of your PDFs: deepstruc-hpc solve FOLDER --out solved"


def _machine() -> list[Finding]:
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory().total / 1e9
    python_state: State = "ok" if sys.version_info >= (3, 11) else "broken"
    return [
        Finding("deepstruc-hpc", "ok", __version__),
        Finding("Python", python_state, platform.python_version(), "the program does not start", "install Python 3.11 or newer"),
        Finding("CPU cores", "ok", str(cores)),
        Finding(
            "memory", "ok" if memory >= MIN_MEMORY_GB else "broken", f"{memory:.1f} GB", "Ray's workers are killed", f"{MIN_MEMORY_GB:g} GB or more"
        ),
    ]


def _packages() -> list[Finding]:
    findings = []
    for name in REQUIRED_PACKAGES:
        try:
            findings.append(Finding(name, "ok", version(name)))
        except PackageNotFoundError:
            findings.append(Finding(name, "broken", "not installed", "commands that need it fail", f"pip install {name}"))
    return findings


def _packaged_data() -> list[Finding]:
    findings = []
    for kind in ("catalog", "clusters", "slurm"):
        folder = share_dir(kind)
        count = sum(1 for path in folder.glob("*") if path.is_file()) if folder.is_dir() else 0
        state: State = "ok" if count else "broken"
        findings.append(
            Finding(f"{kind} files", state, f"{count} in {folder}", "recipes and profiles cannot be found by name", "install the package again")
        )
    models = sorted(path.parent.name for path in (Path(__file__).parent.parent / "model" / "pretrained").glob("*/config.json"))
    found = ", ".join(models) or "none"
    findings.append(
        Finding("pretrained models", "ok" if models else "missing", found, "solve needs --model or uses the catalog alone", "deepstruc-hpc train")
    )
    return findings


def _folders() -> list[Finding]:
    findings = []
    for name, folder, variable in (("cache folder", cache_dir(), "DEEPSTRUC_HPC_CACHE"), ("temporary folder", Path(tempfile.gettempdir()), "TMPDIR")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free / 1e9
        except OSError as error:
            findings.append(
                Finding(
                    name, "broken", f"{folder}: {error.strerror}", "built catalogs cannot be kept", f"set {variable} to a folder you can write to"
                )
            )
            continue
        enough: State = "ok" if free >= MIN_FREE_GB else "missing"
        findings.append(Finding(name, enough, f"{folder}, {free:.0f} GB free", "large catalogs do not fit", f"set {variable} to a larger disk"))
    return findings


def _gpu() -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        return [Finding("GPU", "missing", "none", "training runs on the CPU, which is slower", "a CUDA build of torch on a machine with a GPU")]
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
    return [Finding("GPU", "ok", f"{count}: {names}")]


def _ray_address() -> list[Finding]:
    address = os.environ.get("RAY_ADDRESS")
    return [Finding("Ray cluster", "ok", f"joins RAY_ADDRESS={address}" if address else "a local session is started for each command")]


def _optional_programs() -> list[Finding]:
    srreal = importlib.util.find_spec("diffpy.srreal") is not None if importlib.util.find_spec("diffpy") else False
    sbatch = shutil.which("sbatch")
    return [
        Finding(
            "diffpy.srreal", "ok" if srreal else "missing", "importable" if srreal else "not installed",
            "no recipe with engine: diffpy; the own engine computes the same curves", "conda env create -f clusters/environment-diffpy.yaml",
        ),
        Finding("SLURM", "ok" if sbatch else "missing", sbatch or "no sbatch on PATH", "deepstruc-hpc slurm submit", "log in to a SLURM submit host"),
    ]  # fmt: skip
