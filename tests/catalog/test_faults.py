"""Kill anything at any time: what the manifest names is whole, and the next call completes the same catalog."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from tests.catalog.recipes import small_recipe

RECIPE = small_recipe(block_size=2)
MANY = small_recipe(block_size=1, max_atoms=90, families=("octahedral", "icosahedral", "decahedral", "sc", "bcc", "fcc", "hcp"))


@pytest.fixture(scope="module")
def content_hash(tmp_path_factory):
    """Of the recipe, built without any trouble."""
    return build_catalog(RECIPE, tmp_path_factory.mktemp("reference") / "store", workers=0, progress=False).content_hash


def build_here(store):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests in the background has its children ignore Ctrl-C
    build_catalog(RECIPE, store, workers=0, progress=False)


def named_blocks(store, *, check=True):
    """Blocks that the manifest names, each of them checked; 0 before there is a catalog."""
    try:
        catalog = Catalog.open(store)
    except StoreError:
        return 0
    if not check:
        return len(catalog.blocks)
    assert verify(catalog) == []
    assert len(catalog.columns) == len(catalog)
    return len(catalog.blocks)


def groups(store):
    """Groups of blocks, named by the manifest or not."""
    return len(list((store / "blocks").glob("0*"))) if (store / "blocks").is_dir() else 0


def test_a_driver_killed_ten_times_at_random_loses_nothing_that_the_manifest_names(content_hash, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalog.test_faults", "zarr", "pyarrow.parquet", "pandas"])
    store, rng = tmp_path / "store", random.Random(0)
    before, interrupted = 0, 0
    for attempt in range(10):
        goal = groups(store) + attempt % 3
        process = context.Process(target=build_here, args=(store,))
        process.start()
        _wait_for(lambda process=process, goal=goal: not process.is_alive() or groups(store) >= goal, 300)
        time.sleep(rng.uniform(0.0, 0.05))
        interrupted += process.is_alive()
        process.kill()  # SIGKILL; nothing where the build has already ended
        process.join()
        after = named_blocks(store)
        assert after >= before
        before = after
    assert interrupted >= 1
    report = build_catalog(RECIPE, store, workers=0, progress=False)
    assert report.complete
    assert report.content_hash == content_hash
    assert verify(Catalog.open(store)) == []


def build_many(store):
    build_catalog(MANY.updated(block_size=3), store, workers=0, progress=False)


def test_a_reader_sees_whole_states_that_only_grow_while_a_build_runs(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalog.test_faults", "zarr", "pyarrow.parquet", "pandas"])
    store = tmp_path / "store"
    process = context.Process(target=build_many, args=(store,))
    process.start()
    seen, reader = [], None
    while process.is_alive():
        if (blocks := named_blocks(store, check=False)) and blocks not in seen:
            catalog = Catalog.open(store)
            assert len(catalog.columns) == len(catalog) == 3 * len(catalog.blocks) >= 3 * blocks
            assert catalog[len(catalog) - 1].n_atoms == catalog.columns["n_atoms"].iloc[-1]
            assert catalog.pdf[[0, len(catalog) - 1]].shape == (2, len(catalog.r))
            seen.append(blocks)
            reader = reader or catalog
        time.sleep(0.02)
    process.join()
    assert process.exitcode == 0
    assert seen == sorted(seen)
    assert len(seen) >= 2
    whole = Catalog.open(store)
    assert whole.complete
    assert len(reader) == len(list(reader)) < len(whole)  # opened early, it still shows what was there then


@pytest.mark.ray
def test_actors_killed_during_a_build_do_not_show_in_the_catalog(content_hash, ray_session_2cpu, tmp_path):
    killed = []
    over = threading.Event()

    def kill_actors():
        rng = random.Random(1)
        while not over.is_set() and len(killed) < 3:
            time.sleep(rng.uniform(0.1, 0.6))
            for child in psutil.Process().children(recursive=True):
                if "_Host" in child.name() or any("_Host" in part for part in _command(child)):
                    child.send_signal(signal.SIGKILL)
                    killed.append(child.pid)
                    break

    killer = threading.Thread(target=kill_actors)
    killer.start()
    try:
        report = build_catalog(RECIPE, tmp_path / "store", workers=2, progress=False)
    finally:
        over.set()
        killer.join()
    assert killed
    assert report.failed == {}
    assert report.content_hash == content_hash
    assert verify(Catalog.open(tmp_path / "store")) == []


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.ray
def test_a_driver_with_actors_that_is_killed_leaves_no_process_and_a_store_that_goes_on(content_hash, tmp_path):
    script = textwrap.dedent(
        """
        import sys
        from deepstruc_hpc.catalog.build import build_catalog
        from tests.catalog.recipes import small_recipe
        build_catalog(small_recipe(block_size=2), sys.argv[1], workers=2, progress=False)
        """
    )
    store = tmp_path / "store"
    driver = subprocess.Popen([sys.executable, "-c", script, str(store)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: driver.poll() is not None or named_blocks(store) >= 1, 240)
    children = psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []
    driver.kill()
    driver.wait()
    named_blocks(store)
    _, alive = psutil.wait_procs(children, timeout=15)
    names = [child.name() for child in alive if child.is_running()]
    for child in alive:  # Ray's own agents notice only after a minute that their node is gone
        child.kill()
    assert not [name for name in names if "_Host" in name or "raylet" in name or "gcs" in name]
    report = build_catalog(RECIPE, store, workers=0, progress=False)
    assert report.content_hash == content_hash


def test_ctrl_c_leaves_a_store_that_the_next_call_completes(content_hash, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalog.test_faults"])
    store = tmp_path / "store"
    process = context.Process(target=build_here, args=(store,))
    process.start()
    _wait_for(lambda: (store / "blocks").is_dir() and any((store / "blocks").iterdir()), 120)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode != 0
    named_blocks(store)
    report = build_catalog(RECIPE, store, workers=0, progress=False)
    assert report.content_hash == content_hash


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_removed_in_mid_run_is_made_good_by_the_others(tmp_path):
    """Three nodes of one core, one actor each; one node goes, without a word, when the manifest names some blocks of many."""
    script = textwrap.dedent(
        """
        import sys, threading, time
        import ray
        from ray.cluster_utils import Cluster
        from deepstruc_hpc.catalog.build import build_catalog
        from tests.catalog.test_faults import MANY, be_patient_with_ray, named_blocks
        be_patient_with_ray()
        small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        nodes = [cluster.add_node(**small), cluster.add_node(**small)]
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        there = []
        def lose():
            while not named_blocks(sys.argv[1], check=False):
                time.sleep(0.02)
            there.append(named_blocks(sys.argv[1], check=False))
            cluster.remove_node(nodes[0], allow_graceful=False)
        thread = threading.Thread(target=lose)
        thread.start()
        report = build_catalog(MANY, sys.argv[1], workers=3, progress=False)
        thread.join()
        end = time.monotonic() + 60
        while (alive := sum(node["Alive"] for node in ray.nodes())) > 2 and time.monotonic() < end:
            time.sleep(0.5)  # Ray notices a lost node after some seconds
        print("RESULT", report.content_hash, len(report.failed), there[0], report.n_blocks, alive)
        ray.shutdown()
        cluster.shutdown()
        """
    )
    expected = build_catalog(MANY, tmp_path / "reference", workers=0, progress=False)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "store")], capture_output=True, text=True, check=False, timeout=500)
    result = next((line.split() for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    assert result is not None, done.stdout + done.stderr[-2000:]
    assert result[1:3] == [expected.content_hash, "0"]
    assert 0 < int(result[3]) < int(result[4]) == expected.n_blocks
    assert int(result[5]) == 2
    assert verify(Catalog.open(tmp_path / "store")) == []


def be_patient_with_ray():
    """Ray gives the nodes of a test cluster 30 s to start, which a busy machine does not keep."""
    from ray._private import services

    ask = services.get_node

    def get_node(*arguments):
        end = time.monotonic() + 150
        while True:
            try:
                return ask(*arguments)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    services.get_node = get_node


def _wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
