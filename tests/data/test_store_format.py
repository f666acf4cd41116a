"""A store of format 1 (version 0.1.0, a folder a block) is read where it lies, checked, appended to and mended."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.combine import append_recipe, merge_catalogs
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import SUFFIX
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import ROOT
from deepstruc_hpc.data.schema import BLOCK_ARRAYS, COLUMN_ARRAYS, COLUMN_NAMES, ROOT_ARRAYS, SCHEMA_VERSION
from tests.catalog.recipes import SEVEN, small_recipe

STORED = Path(__file__).parents[1] / "catalog" / "stores" / "format-1.zip"
"""Made by version 0.1.0: FIRST built, then MORE appended; blocks of 140, 57 and 5 structures."""
COARSE = PdfConditions(rmin=1.0, rmax=8.0, rstep=0.2, qmax=18.0)
FIRST = small_recipe(max_atoms=200, families=SEVEN, block_size=140, elements=("Au",), pdf=COARSE)
MORE = small_recipe(name="more", families=("fcc", "bcc"), elements=("Fe",), pdf=COARSE, block_size=140)
CONTENT = "5cbeded5bbe4050ff6891c91b8c18c14"
"""Content hash that version 0.1.0 gave."""
PAGE = Path(__file__).parents[2] / "docs" / "store-format.md"


@pytest.fixture
def old(tmp_path):
    with zipfile.ZipFile(STORED) as archive:
        archive.extractall(tmp_path / "old.zarr")
    return tmp_path / "old.zarr"


def test_a_store_of_version_0_1_is_read_where_it_lies(old):
    catalog = Catalog.open(old)
    assert (len(catalog), catalog.content_hash, catalog.complete) == (202, CONTENT, True)
    assert not any(block.path.endswith(SUFFIX) for block in catalog.blocks)
    assert verify(catalog) == []
    assert np.abs(catalog.pdf[:]).sum() == pytest.approx(8985.974609375, rel=1e-5)
    assert sum(structure.n_atoms for structure in catalog) == catalog.columns["n_atoms"].sum() == 17665
    assert all(isinstance(catalog.block_pdf(number), np.memmap) for number in range(3))


def test_the_same_recipe_has_the_same_content_in_a_folder_and_in_a_file_a_block(old, tmp_path):
    """To the bit on the processor that made the old store; elsewhere all but the last bits of computed lengths."""
    build_catalog(FIRST, tmp_path / "new.zarr", workers=0, progress=False)
    fresh, stored = Catalog.open(tmp_path / "new.zarr"), Catalog.open(old)
    for number, block in enumerate(fresh.blocks):
        assert block.path.endswith(SUFFIX)
        assert block.id == stored.blocks[number].id
        made, there = fresh.read_block(number), stored.read_block(number)
        assert made.columns["id"].tolist() == there.columns["id"].tolist()
        assert np.allclose(made.pdf, there.pdf, atol=1e-5)
        assert np.allclose(made.positions, there.positions, atol=1e-6)
        if np.array_equal(made.pdf, there.pdf) and np.array_equal(made.positions, there.positions):
            assert made.content_hash() == block.content == stored.blocks[number].content


def test_a_repair_and_an_append_write_the_new_format_beside_the_old(old):
    last = Catalog.open(old).blocks[-1]
    victim = next((old / last.path / "pdf" / "c").rglob("0"))
    victim = victim if victim.is_file() else victim / "0"
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x07")
    assert {fault.block for fault in verify(Catalog.open(old))} == {last.id}
    manifest = Catalog.open(old).manifest
    (old / ROOT).write_bytes(manifest.without({last.id}).to_bytes())
    report = append_recipe(MORE, old, workers=0, progress=False)
    catalog = Catalog.open(old)
    assert (report.n_built, len(catalog), verify(catalog)) == (1, 202, [])
    assert [block.path.endswith(SUFFIX) for block in catalog.blocks] == [False, False, True]
    assert f'"schema_version":{SCHEMA_VERSION}' in (old / ROOT).read_text()
    assert not (old / last.path).exists()


def test_a_merge_of_old_stores_is_a_new_one(old, tmp_path):
    merge_catalogs([old], tmp_path / "merged.zarr")
    merged, stored = Catalog.open(tmp_path / "merged.zarr"), Catalog.open(old)
    assert all(block.path.endswith(SUFFIX) for block in merged.blocks)
    assert [block.content for block in merged.blocks] == [block.content for block in stored.blocks]
    assert sum(path.is_file() for path in (tmp_path / "merged.zarr" / "blocks").rglob("*")) == len(merged.blocks) + 1


def test_a_store_of_a_later_format_is_refused(old):
    text = (old / ROOT).read_text()
    (old / ROOT).write_text(text.replace('"schema_version":1', '"schema_version":99'))
    with pytest.raises(StoreError, match="format 99"):
        Catalog.open(old)


def test_the_written_format_names_every_array(old):
    page = PAGE.read_text(encoding="utf-8")
    for spec in (*ROOT_ARRAYS, *BLOCK_ARRAYS, *COLUMN_ARRAYS):
        row = next(line for line in page.splitlines() if line.startswith(f"| `{spec.name}` |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1:5] == [", ".join(spec.dims), spec.dtype, spec.unit, spec.chunk]
    assert f"format {SCHEMA_VERSION}" in page
    assert set(COLUMN_NAMES) <= set(Catalog.open(old).column_names)
