"""Append, merge and diff: no structure twice, what was there stays where it was, the same result after an interruption."""

from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc.catalog import held
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.combine import append_recipe, merge_catalogs
from deepstruc_hpc.catalog.delete import delete_structures
from deepstruc_hpc.catalog.difference import difference
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data import catalog_index
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.data.manifest import ROOT
from tests.catalog.recipes import COARSE, small_recipe

MORE = small_recipe(name="more", families=("fcc", "bcc"), elements=("Au", "Ag"))


def built(store, recipe):
    build_catalog(recipe, store, workers=0, progress=False)
    return Catalog.open(store)


def ids(catalog):
    return catalog.columns["id"].tolist()


def made_of(catalog):
    """The same cluster may be an octahedron in one recipe and a facetted cube in another: then it has two ids, but one fingerprint."""
    return set(catalog.columns[["fingerprint", "elements"]].itertuples(index=False, name=None))


def test_append_adds_what_is_new_and_moves_nothing(tmp_path):
    before = built(tmp_path / "store", small_recipe())
    alone = built(tmp_path / "alone", MORE)
    append_recipe(MORE, tmp_path / "store", workers=0, progress=False)
    after = Catalog.open(tmp_path / "store")
    assert verify(after) == []
    assert after.complete
    assert ids(after)[: len(before)] == ids(before)
    assert made_of(after) == made_of(before) | made_of(alone)
    assert len(set(ids(after))) == len(after) < len(before) + len(alone)
    assert after.id not in (before.id, alone.id)


def test_an_interrupted_append_goes_on_to_the_same_content(tmp_path):
    built(tmp_path / "store", small_recipe())
    whole = append_recipe(MORE, tmp_path / "store", workers=0, progress=False)
    manifest = Catalog.open(tmp_path / "store").manifest
    last = [block for block in manifest.blocks if block.startswith("01-")][-1]
    (tmp_path / "store" / ROOT).write_bytes(manifest.without({last}).to_bytes())
    again = append_recipe(MORE, tmp_path / "store", workers=0, progress=False)
    assert (again.n_built, again.content_hash) == (1, whole.content_hash)
    assert append_recipe(MORE, tmp_path / "store", workers=0, progress=False).n_built == 0


def test_append_under_other_conditions_or_to_a_part_of_a_catalog_is_refused(tmp_path):
    catalog = built(tmp_path / "store", small_recipe())
    with pytest.raises(StoreError, match=r"qmax: 18.0 there, 20.0 in the recipe"):
        append_recipe(MORE.updated(pdf=COARSE.updated(qmax=20.0)), tmp_path / "store", workers=0, progress=False)
    manifest = catalog.manifest
    (tmp_path / "store" / ROOT).write_bytes(manifest.without({manifest.ordered[0].id}).to_bytes())
    with pytest.raises(StoreError, match="not complete"):
        append_recipe(MORE, tmp_path / "store", workers=0, progress=False)


def test_merge_holds_each_structure_once_with_its_pdf(tmp_path):
    first, second = built(tmp_path / "first", small_recipe()), built(tmp_path / "second", MORE)
    merge_catalogs([tmp_path / "first", tmp_path / "second"], tmp_path / "merged")
    merged = Catalog.open(tmp_path / "merged")
    assert verify(merged) == []
    assert merged.complete
    assert made_of(merged) == made_of(first) | made_of(second)
    assert len(made_of(merged)) == len(merged) == len(set(ids(merged)))
    for source in (first, second):
        for number in (0, 3):
            if ids(source)[number] not in ids(merged):
                continue
            place = ids(merged).index(ids(source)[number])
            assert np.allclose(merged.pdf[place], source.pdf[number], atol=1e-5)
            assert np.allclose(merged[place].positions, source[number].positions, atol=1e-6)
            assert merged[place].symbols == source[number].symbols
    assert merge_catalogs([tmp_path / "first", tmp_path / "second"], tmp_path / "merged").n_built == 0


def test_merge_refuses_other_conditions_and_another_target(tmp_path):
    built(tmp_path / "first", small_recipe())
    built(tmp_path / "second", MORE.updated(pdf=COARSE.updated(qmax=20.0)))
    with pytest.raises(StoreError, match="conditions"):
        merge_catalogs([tmp_path / "first", tmp_path / "second"], tmp_path / "merged")
    with pytest.raises(StoreError, match="another catalog"):
        merge_catalogs([tmp_path / "first"], tmp_path / "second")


def test_diff_counts_both_sides(tmp_path):
    first, second = built(tmp_path / "first", small_recipe()), built(tmp_path / "second", MORE)
    found = difference(first, second)
    common = set(ids(first)) & set(ids(second))
    assert found["in_both"] == len(common) > 0
    assert found["only_in_first"] == len(first) - len(common)
    assert found["only_in_second"] == sum(found["only_in_second_by_type"].values()) == len(second) - len(common)
    assert not found["same_content"]
    same = difference(first, Catalog(first.files, replace(first.manifest)))
    assert (same["same_content"], same["only_in_first"], same["only_in_second"]) == (True, 0, 0)


def test_names_compared_part_by_part_and_in_ranges_give_the_same_append(tmp_path, monkeypatch):
    """Fails if a part's names or a range's answers come to another place, or if a deleted row no longer counts as held."""
    for name in ("at once", "in parts"):
        built(tmp_path / name, small_recipe())
        delete_structures(tmp_path / name, 'n_atoms == 13 and structure_type == "fcc" and elements == "Au"')
    before = len(Catalog.open(tmp_path / "at once"))
    at_once = append_recipe(MORE, tmp_path / "at once", workers=0, progress=False)
    monkeypatch.setattr(catalog_index, "BLOCKS_A_PART", 1)
    monkeypatch.setattr(held, "LOOKED_UP_AT_ONCE", 3)
    in_parts = append_recipe(MORE, tmp_path / "in parts", workers=0, progress=False)
    assert in_parts.content_hash == at_once.content_hash
    assert in_parts.n_structures == at_once.n_structures > before
    found = Catalog.open(tmp_path / "in parts").query('family == "fcc" and n_atoms < 20')
    assert sorted(zip(found["n_atoms"], found["elements"], strict=True)) == [(13, "Ag"), (13, "Pt"), (19, "Ag")]  # 19 Au: the octahedron
