"""A build makes what the recipe says, once, wherever the work runs, and never harms what is stored."""

import json
import resource
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc.catalog.blocks import make_block
from deepstruc_hpc.catalog.build import LOCK, build_catalog
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.core.errors import OutputError, RecipeError, StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import orphans, verify
from deepstruc_hpc.data.manifest import ROOT
from deepstruc_hpc.physics.simulate import simulate_pdf
from tests.catalog.recipes import COARSE, small_recipe


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The small recipe built in this process."""
    store = tmp_path_factory.mktemp("reference") / "small.zarr"
    report = build_catalog(small_recipe(), store, workers=0, progress=False)
    assert report.complete
    return Catalog.open(store)


def test_every_planned_structure_is_there_once_in_the_order_of_the_plan(reference):
    plan = make_plan(small_recipe())
    assert reference.columns["id"].tolist() == [plan.structure(number).id for number in range(len(plan))]
    assert verify(reference) == []


def test_distances_are_those_of_the_recipe(reference):
    for number in (0, 7, len(reference) - 1):
        structure = reference[number]
        distances = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=-1)
        smallest = distances[np.triu_indices(len(structure), 1)].min()
        assert smallest == pytest.approx(small_recipe().distance_of(structure.symbols[0]), abs=1e-5)
        assert reference.columns["diameter"][number] == pytest.approx(2 * np.linalg.norm(structure.positions, axis=1).max(), abs=1e-5)


def test_the_stored_pdf_is_that_of_the_stored_structure_on_absolute_scale(reference):
    for number in (0, 11, len(reference) - 1):
        structure = reference[number]
        exact = simulate_pdf(
            structure.symbols, structure.positions, reference.r, qmin=0.7, qmax=COARSE.qmax, qdamp=0.04, uiso=COARSE.uiso, delta2=COARSE.delta2
        )
        assert np.abs(reference.pdf[number] - exact).max() < 3e-5 * np.abs(exact).max()


@pytest.mark.ray
def test_the_content_is_the_same_with_1_2_and_5_workers(reference, ray_session_2cpu, tmp_path):
    for workers in (1, 2, 5):
        report = build_catalog(small_recipe(), tmp_path / str(workers), workers=workers, progress=False)
        assert report.complete
        assert report.content_hash == reference.content_hash
        assert report.recipe_hash == reference.id


def test_a_second_call_builds_nothing(tmp_path):
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file() and path.name != LOCK}
    again = build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    assert (again.n_built, again.n_new, again.complete) == (0, 0, True)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*") if path.is_file() and path.name != LOCK}


def test_a_store_with_blocks_of_another_plan_is_refused(reference, tmp_path):
    """Another version of the program may list other shapes for the same recipe. With the digest of its plan in the store, sizes and the ids of the
    first and the last block are compared; without it, as in a store of version 0.1, all ids."""
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    manifest = Catalog.open(tmp_path / "store").manifest
    plan_file = tmp_path / "store" / "plan" / "00.json"
    second, last = manifest.ordered[1], manifest.ordered[-1]

    def changed(**changes):
        block = replace(second, **changes)
        rest = {name: entry for name, entry in manifest.blocks.items() if name != second.id}
        (tmp_path / "store" / ROOT).write_bytes(replace(manifest, blocks={**rest, block.id: block}).to_bytes())
        with pytest.raises(StoreError, match="not in the plan of this recipe"):
            build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)

    changed(n_structures=4)
    changed(id="01-000001-0123456789ab")
    changed(id="00-000009-0123456789ab")
    plan_file.unlink()
    changed(id="00-000001-0123456789ab")
    (tmp_path / "store" / ROOT).write_bytes(manifest.without({last.id}).to_bytes())
    report = build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    assert (report.n_built, report.content_hash) == (1, reference.content_hash)
    assert plan_file.exists()


def test_another_recipe_is_refused_and_the_difference_named(tmp_path):
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    with pytest.raises(StoreError, match=r"another recipe.*max_atoms: 30 there, 20 asked for"):
        build_catalog(small_recipe(max_atoms=20), tmp_path / "store", workers=0, progress=False)
    with pytest.raises(StoreError, match="limit"):
        build_catalog(small_recipe(), tmp_path / "store", workers=0, limit=3, progress=False)


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        build_catalog(small_recipe(), tmp_path, workers=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_way_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        build_catalog(small_recipe(), tmp_path / "file" / "store", workers=0, progress=False)


def test_a_place_that_cannot_be_written_is_an_output_error():
    with pytest.raises(OutputError, match="/proc/catalog"):
        build_catalog(small_recipe(), "/proc/catalog", workers=0, progress=False)


def test_a_limited_build_takes_from_every_family(tmp_path):
    report = build_catalog(small_recipe(), tmp_path / "store", workers=0, limit=6, progress=False)
    assert report.n_structures == 6
    assert set(Catalog.open(tmp_path / "store").columns["family"]) == {"octahedral", "icosahedral", "sc", "fcc"}


def test_no_structures_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(RecipeError, match="no structures"):
        build_catalog(small_recipe(families=("icosahedral",), min_atoms=14), tmp_path / "store", workers=0, progress=False)
    assert not (tmp_path / "store").exists()


def test_two_builds_of_one_store_at_the_same_time_are_refused(tmp_path):
    import fcntl

    (tmp_path / "store").mkdir()
    with (tmp_path / "store" / LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another build"):
            build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    assert build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False).complete


def test_what_no_manifest_names_is_removed_by_the_next_build(tmp_path):
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    stray = tmp_path / "store" / "blocks" / "00-000000-deadbeef-0123"
    stray.mkdir()
    (stray / "zarr.json").write_text("{}")
    index = ["index/.half.parquet.tmp", "index/00-00000-0123456789abcdef.parquet", "index/00-000000-deadbeef-0123.parquet"]
    others = [*index, "plan/01.json", "plan/0123456789abcdef"]
    for name in others[:-1]:
        (tmp_path / "store" / name).write_text("")
    (tmp_path / "store" / others[-1]).mkdir()
    assert orphans(Catalog.open(tmp_path / "store")) == [f"blocks/{stray.name}", *others]
    assert len(Catalog.open(tmp_path / "store")) == len(make_plan(small_recipe()))
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    assert orphans(Catalog.open(tmp_path / "store")) == []


def test_a_store_of_a_build_that_stopped_early_is_completed_to_the_same_content(reference, tmp_path):
    """As if the process had ended after three blocks: the manifest names those, and a half-written group lies about."""
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    whole = Catalog.open(tmp_path / "store").manifest
    kept = dict(list(whole.blocks.items())[:3])
    (tmp_path / "store" / ROOT).write_bytes(replace(whole, blocks=kept).to_bytes())
    partial = Catalog.open(tmp_path / "store")
    assert not partial.complete
    assert len(partial.columns) == len(partial) == 15
    report = build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    assert (report.n_found, report.n_built) == (3, len(whole.blocks) - 3)
    assert report.content_hash == reference.content_hash


def test_a_full_disk_stops_the_build_with_a_clear_error_and_the_store_goes_on(reference, tmp_path):
    """A real refusal of the system: the process may not write files larger than 1.5 kB; the PDFs of a block are larger."""
    script = textwrap.dedent(
        """
        import resource, signal, sys
        from deepstruc_hpc.catalog.build import build_catalog
        from deepstruc_hpc.core.errors import OutputError
        from tests.catalog.recipes import small_recipe
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        try:
            build_catalog(small_recipe(), sys.argv[1], workers=0, progress=False)
        except OutputError as error:
            print(error)
        """
    )
    assert resource.RLIMIT_FSIZE is not None
    assert signal.SIGXFSZ is not None
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "store")], capture_output=True, text=True, check=False)
    assert "cannot be written" in done.stdout, done.stderr
    report = build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    assert report.content_hash == reference.content_hash


def test_a_block_is_a_pure_function_of_its_plan():
    block = make_plan(small_recipe()).block(1)
    first, second = make_block(block, COARSE), make_block(block, COARSE)
    assert first.content_hash() == second.content_hash()
    assert isinstance(first.structure(0), Structure)


def test_a_pdf_does_not_depend_on_what_else_is_in_its_block():
    """Else the content would change with the size of blocks by more than the last bits."""
    plan = make_plan(small_recipe())
    together = make_block(plan.block(0), COARSE).pdf
    alone = make_block(type(plan.block(0))("one", plan.block(0).structures[2:3]), COARSE).pdf
    assert np.abs(together[2] - alone[0]).max() < 1e-5 * np.abs(alone).max()


def test_the_stored_recipe_is_read_back(reference):
    from deepstruc_hpc.catalog.recipe import Recipe

    assert Recipe(**json.loads(json.dumps(reference.recipe))) == small_recipe()


def test_a_store_may_be_a_url_that_fsspec_opens(reference):
    """Object stores go this way: no rename, no lock, listing by prefix."""
    url = "memory://catalogs/small"
    assert build_catalog(small_recipe(), url, workers=0, progress=False).content_hash == reference.content_hash
    catalog = Catalog.open(url)
    assert verify(catalog) == []
    assert np.array_equal(catalog.pdf[3], reference.pdf[3])
    assert catalog.columns.equals(reference.columns)
    catalog.files.delete(catalog.blocks[0].path)
    assert {fault.block for fault in verify(Catalog.open(url))} == {catalog.blocks[0].id}
    assert build_catalog(small_recipe(), url, workers=0, progress=False, repair=True).n_built == 1
    assert verify(Catalog.open(url)) == []
