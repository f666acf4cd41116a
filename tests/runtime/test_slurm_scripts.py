"""The rendered batch scripts are those that were read and approved: tests/runtime/recorded_scripts.

After a change that is meant, write them anew with ``python -m tests.runtime.test_slurm_scripts`` and read the difference.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deepstruc_hpc import __version__
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.resources import PACKAGE_DIR, share_dir
from deepstruc_hpc.runtime.batch_script import Job, render_script
from deepstruc_hpc.runtime.profile import ClusterProfile, load_profile

RECORDED = Path(__file__).with_name("recorded_scripts")
HOME = Path("/shared/me")
ARGUMENTS = {
    "build": ("demo", "--out", "au.zarr"),
    "train": ("au.zarr", "--out", "runs/au", "--set", "optimizer.learning_rate=1e-3"),
    "sweep": ("train", "au.zarr", "--config", "sweep.yaml", "--out", "sweeps/au"),
    "solve": ("measured data/", "--out", "results", "--catalog", "au.zarr"),
}
CASES = [(profile, stage) for profile in ("cpu", "gpu", "perlmutter", "juwels") for stage in ("build", "train")] + [
    ("laptop", "solve"),
    ("cpu", "solve"),
    ("cpu", "array"),
    ("gpu", "sweep"),
]


def rendered(profile: str, case: str) -> str:
    stage = "solve" if case == "array" else case
    settings = load_profile(profile).for_stage(stage, {"nodes": 2 if profile != "laptop" else None})
    job = Job(stage, ARGUMENTS[stage], HOME, HOME / "job.slurm")
    if case == "array":
        folders = tuple(HOME / "beamtime" / day for day in ("day1", "day 2", "day3"))
        job = Job(stage, ("{}", "--out", "results/{name}"), HOME, HOME / "results.slurm", folders, at_once=2)
    return render_script(job, settings, profile).replace(__version__, "VERSION")


@pytest.mark.parametrize(("profile", "case"), CASES)
def test_the_script_is_the_recorded_one(profile, case):
    assert rendered(profile, case) == (RECORDED / f"{profile}-{case}.sbatch").read_text()


@pytest.mark.parametrize("name", ["cpu-build", "gpu-train"])
def test_the_page_on_clusters_shows_scripts_as_they_are_written_now(name):
    page = PACKAGE_DIR.parent / "docs" / "hpc.md"
    assert f"```bash\n{(RECORDED / f'{name}.sbatch').read_text()}```\n" in page.read_text()


@pytest.mark.parametrize(("profile", "case"), CASES)
def test_every_script_is_valid_shell_and_its_directives_come_before_the_first_command(profile, case, tmp_path):
    """sbatch ignores a directive after the first command, silently."""
    script = tmp_path / "job.sbatch"
    script.write_text(rendered(profile, case))
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False).stderr == ""
    lines = script.read_text().splitlines()
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])


@pytest.mark.parametrize("path", sorted(share_dir("slurm").glob("*.s*")), ids=lambda path: path.name)
def test_the_scripts_by_hand_are_valid_shell_and_never_stop_the_ray_of_others(path):
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False).stderr == ""
    commands = "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())
    assert "ray stop" not in commands
    assert "symmetric-run" not in commands
    if path.suffix == ".sbatch":
        assert commands.count("run_on_ray deepstruc-hpc ") == 1


def a_job(*arguments: str, stage: str = "solve", folders: tuple[Path, ...] = ()) -> Job:
    return Job(stage, arguments, HOME, HOME / "job.slurm", folders)


def plain(**settings: object) -> ClusterProfile:
    return ClusterProfile.model_validate({"cpus_per_node": 4, **settings})


def test_arguments_reach_the_command_as_they_were_given(tmp_path):
    """Blanks, quotes, dollars and stars are the user's, not the shell's."""
    hard = ["it's", "a b", "$HOME", "*", "x;y", '"q"', ""]
    script = render_script(a_job(*hard, "--out", "r"), plain(), "p")
    line = next(line for line in script.splitlines() if line.startswith("run_on_ray"))
    done = subprocess.run(["bash", "-c", 'run_on_ray() { printf "%s\\n" "$@"; }\n' + line], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["deepstruc-hpc", "solve", *hard, "--out", "r"]


def test_a_task_of_an_array_takes_its_own_folder_and_name(tmp_path):
    folders = tuple(tmp_path / name for name in ("a", "b c"))
    job = Job("solve", ("{}", "--out", "r/{name}"), tmp_path, tmp_path, folders)
    job.folders_path.write_text("".join(f"{folder}\n" for folder in folders))
    script = render_script(job, plain(), "p")
    tail = script[script.index("FOLDER=") :]
    shown = subprocess.run(
        ["bash", "-c", 'run_on_ray() { printf "%s\\n" "$@"; }\n' + tail], capture_output=True, text=True, check=True, env={"SLURM_ARRAY_TASK_ID": "1"}
    )
    assert shown.stdout.splitlines() == ["deepstruc-hpc", "solve", str(folders[1]), "--out", "r/b c"]
    assert "#SBATCH --array=0-1\n" in script


def test_a_training_gets_a_worker_for_every_gpu_unless_the_user_says_otherwise():
    on_gpus = plain(nodes=2, gpus_per_node=4)
    assert "--gpus-per-worker 1 $RESUME" in render_script(a_job("s", "--out", "r", stage="train"), on_gpus, "p")
    assert "--out r --gpus-per-worker 0.5 $RESUME" in render_script(a_job("s", "--out", "r", "--gpus-per-worker", "0.5", stage="train"), on_gpus, "p")
    assert "--gpus-per-worker" not in render_script(a_job("s", "--out", "r", stage="train"), plain(), "p")


def test_a_set_up_line_that_fails_ends_the_job_before_the_work(tmp_path):
    script = render_script(a_job("x", "--out", "r"), plain(scheduler="local", setup=("false",)), "p").replace(str(HOME), str(tmp_path))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert "failed: the set-up line: false" in done.stdout


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (a_job("x"), "no --out"),
        (a_job("nothing", "--out", "r", stage="sweep"), "must begin with train or solve"),
        (a_job("x", "--out", "r", folders=(HOME,)), "no argument holds {}"),
        (a_job("{}", "--out", "r", folders=(HOME,)), "--out is the same for all tasks"),
    ],
)
def test_arguments_that_cannot_work_are_refused_before_anything_is_submitted(job, message):
    with pytest.raises(ConfigError, match=message.replace("{", r"\{").replace("}", r"\}")):
        render_script(job, plain(), "p")


def main() -> None:
    RECORDED.mkdir(exist_ok=True)
    for profile, case in CASES:
        (RECORDED / f"{profile}-{case}.sbatch").write_text(rendered(profile, case))


if __name__ == "__main__":
    main()
