"""The catalog as its readers see it."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc import Catalog
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.block_file import pack
from deepstruc_hpc.data.catalog_block import BlockContent, encode_block
from deepstruc_hpc.data.catalog_index import write_index
from deepstruc_hpc.data.catalog_verify import invariants
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import ROOT, Manifest, create_store, write_block
from deepstruc_hpc.data.schema import COLUMN_ARRAYS, COLUMN_NAMES, schema_table
from deepstruc_hpc.data.store_files import StoreFiles

CONDITIONS = PdfConditions(rmin=1.0, rmax=4.0, rstep=0.5)
KINDS = ("fcc", "hcp", "sc")


def content(first, rows, parameters=None, points=7):
    rng = np.random.default_rng(first)
    structures = [
        Structure(("Au",) * size + ("O",), rng.normal(size=(size + 1, 3)), KINDS[size % 3], f"s{first + row}")
        for row, size in enumerate(range(1, rows + 1))
    ]
    texts = {
        "id": [f"{first + row:016x}" for row in range(rows)],
        "structure_type": [structure.structure_type for structure in structures],
        "label": [structure.label for structure in structures],
        "formula": [structure.formula for structure in structures],
        "elements": ["Au-O"] * rows,
    }
    columns = {}
    for spec in COLUMN_ARRAYS:
        if spec.dtype == "str":
            columns[spec.name] = np.array(texts.get(spec.name, ["é ü"] * rows), dtype=object)
        elif spec.name == "n_atoms":
            columns[spec.name] = np.array([len(structure) for structure in structures], dtype=np.int32)
        else:
            columns[spec.name] = rng.random(rows)
    for name, value in (parameters or {}).items():
        columns[name] = np.array([value] * rows, dtype=object if isinstance(value, str) else np.float64)
    return structures, BlockContent.of_structures(structures, rng.normal(size=(rows, points)).astype(np.float32), columns)


def store_of(path, blocks):
    files = StoreFiles(path)
    manifest = Manifest(({"name": "made"},), "hash", CONDITIONS, "0", sum(len(block) for block in blocks), len(blocks))
    create_store(files, manifest)
    for number, block in enumerate(blocks):
        kinds = {name: "str" if values.dtype == object else "float64" for name, values in block.columns.items() if name not in COLUMN_NAMES}
        manifest = manifest.with_block(write_block(files, f"00-{number:06d}", block, nonce="n", parameters=kinds))
    files.write({ROOT: manifest.to_bytes()})
    return files, manifest


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    parts = [
        content(0, 4, {"h": 2.0}),
        content(100, 3, {"sequence": "ABCB"}),
        content(200, 5, {"h": 3.0, "mixed": 1.0}),
        content(300, 2, {"mixed": "two"}),
    ]
    store = tmp_path_factory.mktemp("stored") / "store"
    store_of(store, [block for _, block in parts])
    catalog = Catalog.open(store)
    return catalog, [structure for structures, _ in parts for structure in structures], np.concatenate([block.pdf for _, block in parts])


def same(one, other):
    return (
        one.symbols == other.symbols
        and np.allclose(one.positions, other.positions, atol=1e-6)
        and (one.structure_type, one.label) == (other.structure_type, other.label)
    )


def test_what_is_written_is_read_back(stored):
    catalog, structures, pdf = stored
    assert len(catalog) == len(structures) == 14
    assert all(same(catalog[number], structure) for number, structure in enumerate(structures))
    assert all(same(one, other) for one, other in zip(catalog, structures, strict=True))
    assert np.array_equal(np.asarray(catalog.pdf), pdf)
    assert np.array_equal(catalog.r, 1.0 + 0.5 * np.arange(7))
    assert catalog.pdf.shape == pdf.shape


@given(index=st.one_of(st.integers(-14, 13), st.slices(14), st.lists(st.integers(-14, 13), max_size=20)))
def test_the_pdfs_are_indexed_like_an_array(stored, index):
    catalog, _, pdf = stored
    expected = pdf[index] if index != [] else pdf[:0]
    found = catalog.pdf[index] if index != [] else catalog.pdf[0:0]
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


def test_structures_come_in_the_order_asked_for_with_repeats(stored):
    catalog, structures, _ = stored
    chosen = [13, 0, 5, 5, -1, 7]
    assert all(same(one, structures[number]) for one, number in zip(catalog.structures(chosen), chosen, strict=True))
    with pytest.raises(IndexError):
        catalog.structures([14])


def test_a_parameter_that_a_block_lacks_is_missing_there_and_one_of_two_kinds_is_text(stored):
    catalog, _, _ = stored
    columns = catalog.columns
    assert columns["h"].isna().tolist() == [False] * 4 + [True] * 3 + [False] * 5 + [True] * 2
    assert columns["sequence"].tolist() == [""] * 4 + ["ABCB"] * 3 + [""] * 7
    assert columns["mixed"].tolist()[-7:] == ["1.0"] * 5 + ["two"] * 2


def test_the_index_says_the_same_as_the_blocks(stored):
    catalog, _, _ = stored
    from_blocks = Catalog.open(catalog.files.url).columns
    write_index(catalog.files, catalog.manifest)
    assert len(list((catalog.files.path / "index").iterdir())) == 1
    assert Catalog.open(catalog.files.url).columns.equals(from_blocks)


def test_a_query_gives_the_rows_and_columns_asked_for(stored):
    catalog, structures, _ = stored
    rows = catalog.query('structure_type == "fcc" and n_atoms > 3', ["label"])
    assert rows.columns.tolist() == ["label"]
    assert rows.index.tolist() == [number for number, structure in enumerate(structures) if structure.structure_type == "fcc" and len(structure) > 3]
    assert catalog.query("h == 3")["n_atoms"].tolist() == [2, 3, 4, 5, 6]
    assert len(catalog.query("")) == 14
    with pytest.raises(ConfigError, match="n_atoms"):
        catalog.query("n_atom > 3")


def test_a_catalog_travels_to_another_process(stored):
    catalog, structures, _ = stored
    assert same(pickle.loads(pickle.dumps(catalog))[3], structures[3])  # noqa: S301


def test_any_zarr_reader_finds_the_documented_arrays(stored):
    import zarr

    catalog, _, _ = stored
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        root = zarr.open_group(catalog.files.url, mode="r")
        block = zarr.open_group(zarr.storage.ZipStore(catalog.files.path / catalog.blocks[0].path, mode="r"), mode="r")
        assert root["r"].attrs["unit"] == "Å"
        assert block["positions"].metadata.dimension_names == ("atom", "axis")
        assert set(COLUMN_NAMES) <= set(block["columns"].array_keys())
        assert np.array_equal(block["pdf"][:], catalog.block_pdf(0))
    assert root.attrs["content_hash"] == catalog.content_hash
    assert all(f"`blocks/*/columns/{name}`" in schema_table() for name in COLUMN_NAMES)


def test_equal_content_has_equal_hashes_and_any_other_value_another():
    _, first = content(0, 4)
    _, again = content(0, 4)
    assert first.content_hash() == again.content_hash()
    assert pack(encode_block(first, {})) == pack(encode_block(again, {}))
    for change in ("pdf", "positions"):
        altered = np.array(getattr(first, change))
        altered.flat[0] = np.nextafter(altered.flat[0], np.float32(9))
        assert BlockContent(**{**vars(first), change: altered}).content_hash() != first.content_hash()


def test_what_must_hold_of_a_block_is_checked():
    _, sound = content(0, 4)
    assert list(invariants(sound, 7)) == []
    broken = {
        "offsets": sound.offsets[::-1].copy(),
        "species": np.zeros_like(sound.species),
        "pdf": np.full_like(sound.pdf, np.nan),
        "columns": {name: values[:2] for name, values in sound.columns.items()},
    }
    for name, values in broken.items():
        assert list(invariants(BlockContent(**{**vars(sound), name: values}), 7)), name
    assert list(invariants(sound, 8))
