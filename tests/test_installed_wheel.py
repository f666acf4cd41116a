"""The wheel works outside a checkout, with the recipes, cluster profiles and batch scripts inside."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def build_wheel(source, folder):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)], check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An empty virtual environment with the wheel alone; its dependencies come from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def call(installed, *words):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run([str(installed / "bin" / "deepstruc-hpc"), *words], capture_output=True, text=True, cwd=installed, env=environment)


def test_recipes_profiles_and_scripts_travel_in_the_wheel(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("demo.yaml", "monometallic.yaml", "compact.zarr/zarr.json"):
        assert f"deepstruc_hpc/share/catalog/{needed}" in names
    shipped = ROOT / "catalog" / "compact.zarr"
    files = {path.relative_to(ROOT).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert {f"deepstruc_hpc/share/{name}" for name in files} <= set(names)
    assert any(name.startswith("deepstruc_hpc/share/clusters/") for name in names)
    assert any(name.startswith("deepstruc_hpc/share/slurm/") for name in names)
    assert not any(name.startswith(("tests/", "catalog/", "deepstruc_hpc/tests")) for name in names)


def test_a_copy_of_the_sources_builds_the_same_bytes(wheel, tmp_path):
    """Fails when a build writes its time, its place or the order of a folder into the wheel."""
    if not (ROOT / ".git").exists():
        pytest.skip("which files belong to the sources is known in a git checkout alone")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    copy = tmp_path / "elsewhere"
    for name in sorted(filter(None, names), reverse=True):
        needed = "/" not in name or name.startswith(("deepstruc_hpc/", "catalog/", "clusters/", "slurm/"))
        if needed and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    assert build_wheel(copy, tmp_path).read_bytes() == wheel.read_bytes()


def test_the_installed_command_runs_from_the_wheel(installed):
    where = subprocess.run(
        [str(installed / "bin" / "python"), "-c", "import deepstruc_hpc; print(deepstruc_hpc.__file__)"],
        capture_output=True,
        text=True,
        cwd=installed,
    )
    assert str(installed) in where.stdout
    doctor = call(installed, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "share/catalog" in doctor.stdout


def test_a_recipe_is_found_by_name_outside_a_checkout(installed):
    done = call(installed, "catalog", "build", "demo", "--out", "demo.zarr", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "structures" in done.stdout
