"""Cluster profiles: what is accepted, what is refused with which words, and that the packaged ones are right."""

from __future__ import annotations

import pytest
import yaml

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.resources import share_dir
from deepstruc_hpc.runtime.profile import ClusterProfile, load_profile, minutes

PACKAGED = sorted(path for path in share_dir("clusters").glob("*.yaml") if not path.stem.startswith("environment-"))


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_every_packaged_profile_is_valid_for_every_stage_and_found_by_its_name(path):
    profile = load_profile(path.stem)
    for stage in ("build", "train", "sweep", "solve"):
        assert profile.for_stage(stage).stages == {}
    assert profile.description


def test_a_stage_takes_its_own_settings_and_an_option_wins_over_both():
    profile = ClusterProfile.model_validate(
        {"cpus_per_node": 8, "nodes": 2, "stages": {"train": {"partition": "gpu", "gpus_per_node": 4, "nodes": 3}}}
    )
    assert (profile.for_stage("build").nodes, profile.for_stage("build").partition) == (2, None)
    assert (profile.for_stage("train").nodes, profile.for_stage("train").partition) == (3, "gpu")
    assert profile.for_stage("train", {"nodes": 5, "time": None}).nodes == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cpus_pernode": 4}, "cpus_pernode: unknown key. Did you mean 'cpus_per_node'?"),
        ({}, "cpus_per_node is needed"),
        ({"cpus_per_node": 4, "time": 43200}, "in quotes is needed"),
        ({"cpus_per_node": 4, "time": "soon"}, "02:00:00"),
        ({"cpus_per_node": 4, "time": "00:04:00"}, "not longer than warn_seconds"),
        ({"cpus_per_node": 4, "scratch_dir": "/a/very/long/path/on/the/node/s/own/disk"}, "at most 30 characters"),
        ({"cpus_per_node": 4, "port_range": [80, 90]}, "between 1024 and 65535"),
        ({"cpus_per_node": 4, "extra_sbatch": ["--nodes=3"]}, "--nodes is set by the program"),
        ({"cpus_per_node": 4, "gpu_type": "a100"}, "gpu_type without gpus_per_node"),
        ({"cpus_per_node": 4, "memory_gb_per_node": 1, "object_store_gb": 2}, "less than memory_gb_per_node"),
        ({"cpus_per_node": 4, "stages": {"train": {"gpus": 1}}}, "gpus"),
        ({"cpus_per_node": 4, "stages": {"fit": {}}}, "fit"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_file_and_the_reason(settings, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError) as refused:
        load_profile(str(path))
    assert "mine.yaml" in str(refused.value)
    assert message in str(refused.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="laptop"):
        load_profile("hpc-of-dreams")


@pytest.mark.parametrize(
    ("text", "expected"), [("30", 30), ("02:30", 2.5), ("01:00:00", 60), ("1-12", 2160), ("2-00:30:00", 2910), ("1-01:02", 1502)]
)
def test_time_limits_are_read_as_slurm_reads_them(text, expected):
    """MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS (sbatch, --time)."""
    assert minutes(text) == expected


def test_a_training_job_is_requeued_when_a_node_dies_and_a_build_goes_on():
    profile = ClusterProfile(cpus_per_node=1)
    assert [profile.node_failure_policy(stage) for stage in ("build", "train", "sweep", "solve")] == ["continue", "requeue", "requeue", "continue"]
    assert profile.updated(on_node_failure="requeue").node_failure_policy("build") == "requeue"
