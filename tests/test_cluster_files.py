"""The files for Ray's other homes: Ray's own validator, KubeRay's schema where it matters, and that commands in them are commands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from deepstruc_hpc.cli.app import build_app
from deepstruc_hpc.core.resources import PACKAGE_DIR, share_dir

ROOT = PACKAGE_DIR.parent
CLUSTERS = share_dir("clusters")
LAUNCHERS = sorted((CLUSTERS / "ray").glob("*.yaml"))
MANIFESTS = sorted((CLUSTERS / "kuberay").glob("*.yaml"))
EVERYTHING = sorted(path for path in CLUSTERS.rglob("*") if path.is_file())

# Keys of KubeRay's custom resource RayJob (ray.io/v1) that these manifests may use, with the type of each.
JOB = {"entrypoint": str, "shutdownAfterJobFinishes": bool, "ttlSecondsAfterFinished": int, "backoffLimit": int, "rayClusterSpec": dict}
CLUSTER = {"rayVersion": str, "headGroupSpec": dict, "workerGroupSpecs": list}
GROUP = {"groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, "rayStartParams": dict, "template": dict}


def check(mapping: dict, keys: dict[str, type]) -> None:
    assert set(mapping) <= set(keys), f"unknown: {set(mapping) - set(keys)}"
    for key, value in mapping.items():
        assert type(value) is keys[key], f"{key}: {value!r}"


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_rays_own_validator_accepts_the_launcher_files(path):
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load(path.read_text())
    validate_config(config)  # raises what does not fit
    if config["provider"]["type"] == "local":
        prepared = prepare_config(config)
        validate_config(prepared)
        assert prepared["cluster_name"] == config["cluster_name"]
    with pytest.raises(Exception, match="unheard_of"):
        validate_config({**config, "unheard_of": 1})


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_keep_to_the_schema_of_a_rayjob(path):
    manifest = yaml.safe_load(path.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    check(manifest["spec"], JOB)
    check(manifest["spec"]["rayClusterSpec"], CLUSTER)
    head, workers = manifest["spec"]["rayClusterSpec"]["headGroupSpec"], manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    for group in (head, *workers):
        check(group, GROUP)
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "ray start's parameters are strings"
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    for group in workers:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_version_of_ray_is_the_one_that_the_package_pins():
    pinned = re.search(r'"ray\[train,tune\]>=(\d+\.\d+)', (ROOT / "pyproject.toml").read_text())
    assert pinned is not None
    for path in MANIFESTS:
        assert yaml.safe_load(path.read_text())["spec"]["rayClusterSpec"]["rayVersion"].startswith(f"{pinned[1]}.")
    assert f'"ray[default]>={pinned[1]},' in (CLUSTERS / "images" / "Dockerfile").read_text()


def test_the_images_hold_all_that_the_package_is_built_from():
    """What pyproject.toml puts into the wheel must be copied, and be let through by what the image leaves out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    let_through = {line[1:] for line in (CLUSTERS / "images" / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    section = (CLUSTERS / "images" / "deepstruc_hpc.def").read_text().partition("%files\n")[2].partition("\n\n")[0]
    copied = dict(line.split() for line in section.splitlines())
    assert let_through == set(copied) == needed | {"constraints.txt"}
    assert all(target == f"/opt/deepstruc_hpc/{source}" and (ROOT / source).exists() for source, target in copied.items())


def known_commands() -> set[str]:
    names = set()
    for name, command in typer.main.get_command(build_app()).commands.items():
        names |= {name, *(f"{name} {inner}" for inner in getattr(command, "commands", {}))}
    return names


@pytest.mark.parametrize("path", [*EVERYTHING, *sorted(share_dir("slurm").iterdir()), ROOT / "docs" / "hpc.md"], ids=lambda path: path.name)
def test_every_command_that_a_file_names_exists(path):
    known = known_commands()
    for one, two in re.findall(r"(?:^|[\s'\"`(])deepstruc-hpc ([a-z]+)(?: ([a-z]+))?", path.read_text(), re.MULTILINE):
        assert one in known or f"{one} {two}" in known, f"deepstruc-hpc {one} {two}"
        if one in ("catalog", "slurm", "sweep") and two:
            assert f"{one} {two}" in known, f"deepstruc-hpc {one} {two}"


def test_the_conda_environment_installs_this_checkout_and_the_engine_that_pip_cannot():
    path = CLUSTERS / "environment-diffpy.yaml"
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    assert any(str(entry).startswith("diffpy.srreal") for entry in dependencies)
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    if (ROOT / "pyproject.toml").is_file():
        assert (path.parent / Path(pip[0]) / "pyproject.toml").is_file()
