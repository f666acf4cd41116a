"""Random numbers belong to items; packaged data is found by name."""

import subprocess
import sys

import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.resources import cache_dir, find_resource, share_dir
from deepstruc_hpc.core.seeds import item_rng, item_seed


def test_an_item_has_the_same_random_numbers_in_any_process():
    """Fails when Python's salted hash() is used."""
    code = "from deepstruc_hpc.core.seeds import item_rng; print(item_rng(7, 'Au-12').integers(10**9))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(other) == item_rng(7, "Au-12").integers(10**9)


def test_seeds_differ_by_run_and_by_item():
    seeds = {item_seed(run, item) for run in range(20) for item in ("a", "b", "ab", "")}
    assert len(seeds) == 80
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_recipe_is_found_by_name_and_by_path():
    by_name = find_resource("catalog", "demo")
    assert by_name == share_dir("catalog") / "demo.yaml"
    assert find_resource("catalog", str(by_name)) == by_name


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no-such.*demo.*monometallic"):
        find_resource("catalog", "no-such")


def test_the_cache_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    monkeypatch.delenv("DEEPSTRUC_HPC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "deepstruc_hpc"
