"""The catalog commands: what they print, where, and with which exit code."""

import csv
import io
import json
import re

import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.cli.catalog_formats import NEXT, FileFormat
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.structure_files import read_structure

RECIPE = """
name: tiny
elements: [Au, Pt]
max_atoms: 30
block_size: 8
families: [icosahedral, fcc, sc]
pdf: {rmax: 12.0, rstep: 0.1, qmax: 18.0}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory, recipe):
    path = str(tmp_path_factory.mktemp("store") / "tiny.zarr")
    assert run(["catalog", "build", recipe, "--out", path, "--workers", "0", "--json"]) == 0
    return path


def test_build_prints_one_json_document_and_the_bar_elsewhere(recipe, tmp_path, capsys):
    assert run(["catalog", "build", recipe, "--out", str(tmp_path / "s"), "--workers", "0", "--json"]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["complete"] is True
    assert facts["n_structures"] == facts["n_planned"] == len(Catalog.open(tmp_path / "s"))
    assert "building blocks" in printed.err


def test_a_dry_run_writes_nothing_and_its_counts_come_true(recipe, store, tmp_path, capsys):
    assert run(["catalog", "build", recipe, "--out", str(tmp_path / "s"), "--dry-run", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert not (tmp_path / "s").exists()
    catalog = Catalog.open(store)
    assert (facts["n_structures"], facts["n_blocks"], facts["recipe_hash"]) == (len(catalog), len(catalog.blocks), catalog.id)
    assert facts["n_atoms"] == catalog.columns["n_atoms"].sum()
    assert facts["seconds"] > 0
    assert facts["bytes"] > 1000


def test_info_counts_what_is_there(store, capsys):
    assert run(["catalog", "info", store, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    frame = Catalog.open(store).columns
    assert sum(facts["by_type"].values()) == sum(facts["by_element"].values()) == sum(facts["by_size"].values()) == len(frame)
    assert facts["r"] == {"min": 2.0, "max": 12.0, "points": 101}
    assert run(["catalog", "info", store]) == 0
    assert facts["content_hash"] in capsys.readouterr().out


def test_list_in_its_three_formats_says_the_same(store, capsys):
    words = ["catalog", "list", store, "--where", 'structure_type == "fcc" and elements == "Au"', "--columns", "formula,n_atoms"]
    expected = Catalog.open(store).query('structure_type == "fcc" and elements == "Au"', ["formula", "n_atoms"])
    assert len(expected) > 1
    assert run([*words, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["formula"], int(row["n_atoms"])) for row in rows] == list(expected.itertuples(index=False, name=None))
    assert run([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected.to_dict("records")
    assert run([*words, "--limit", "1"]) == 0
    printed = capsys.readouterr()
    assert expected["formula"].iloc[0] in printed.out
    assert "1 of" in printed.err


def test_sql_prints_a_table_json_and_csv_of_the_same_rows(store, capsys):
    statement = "select structure_type, count(*) as n, max(nn_distance) as d from catalog group by all order by n desc, structure_type"
    expected = Catalog.open(store).columns.groupby("structure_type").agg(n=("id", "size"), d=("nn_distance", "max")).reset_index()
    expected = expected.sort_values(["n", "structure_type"], ascending=[False, True])
    assert run(["catalog", "sql", store, statement, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected.to_dict("records")
    assert run(["catalog", "sql", store, statement, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["structure_type"], int(row["n"])) for row in rows] == list(zip(expected["structure_type"], expected["n"], strict=True))
    assert run(["catalog", "sql", store, statement]) == 0
    assert "icosahedral" in capsys.readouterr().out
    assert run(["catalog", "sql", store, "select range as n, 'nan'::double as x from range(60)"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 51
    assert "50 of 60 rows" in printed.err
    assert run(["catalog", "sql", store, "select 'nan'::double as x, [1.5, 'inf'::double] as y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"x": None, "y": [1.5, None]}]


@pytest.fixture
def places(store, recipe, tmp_path):
    return {"STORE": store, "RECIPE": recipe, "DIR": str(tmp_path / "dir")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "STORE", "--where", "n_atom > 3"], "n_atoms"),
        (["list", "STORE", "--where", "n_atoms.max() > 3"], "not allowed"),
        (["list", "STORE", "--where", "n_atoms >"], "not an expression"),
        (["list", "STORE", "--columns", "size"], "no such column"),
        (["sql", "STORE", "select size from catalog"], "n_atoms"),
        (["sql", "STORE", "drop view catalog"], "DROP is not allowed"),
        (["sql", "STORE", "select 1", "--json", "--csv"], "name one of them"),
        (["export", "STORE", "DIR", "--where", "n_atoms > 10000"], "no structure"),
        (["info", "DIR"], "no catalog there"),
        (["build", "RECIPE", "--out", "STORE", "--workers", "0", "--limit", "3"], "another recipe"),
        (["build", "RECIPE", "--out", "/proc/none", "--workers", "0"], "cannot be written"),
        (["build", "RECIPE"], "--out"),
        (["build", "RECIPE"], "Example: deepstruc-hpc catalog build demo --out demo.zarr"),
        (["info"], "Example: deepstruc-hpc catalog info demo.zarr"),
        (["export", "STORE"], "example: deepstruc-hpc catalog export"),
        (["export", "STORE", "DIR", "--out", "DIR"], "example: deepstruc-hpc catalog export"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(words, message, places, capsys):
    assert run(["catalog", *(places.get(word, word) for word in words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith("error: ")
    assert message in printed.err


def test_build_says_in_words_what_failed_and_what_is_next(recipe, store, capsys):
    assert run(["catalog", "build", recipe, "--out", store, "--workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^failed +0$", printed, flags=re.MULTILINE)
    last = printed.splitlines()[-1]
    assert last.startswith("Next: ")
    for command in ("catalog info", "train", f"--catalog {store}"):
        assert command in last


def test_export_takes_out_as_option_and_says_what_is_next(store, tmp_path, capsys):
    out = tmp_path / "pt.extxyz"
    assert run(["catalog", "export", store, "--out", str(out), "--format", "extxyz", "--where", 'elements == "Pt" and n_atoms < 14']) == 0
    assert out.is_file()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Next: ")
    assert f"catalog import {out}" in last


def test_every_export_format_has_a_next_line():
    assert set(NEXT) == set(FileFormat)


@pytest.mark.parametrize("kind", ["xyz", "cif"])
def test_exported_files_are_the_structures(store, tmp_path, kind, capsys):
    assert run(["catalog", "export", store, str(tmp_path / "out"), "--where", 'elements == "Pt" and n_atoms < 14', "--format", kind]) == 0
    with (tmp_path / "out" / "index.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    catalog = Catalog.open(store)
    assert [row["id"] for row in rows] == catalog.query('elements == "Pt" and n_atoms < 14')["id"].tolist()
    for row in rows:
        structure = read_structure(tmp_path / "out" / row["file"])
        assert structure.formula == row["formula"]


def test_verify_is_silent_about_a_sound_store_and_names_a_damaged_block(recipe, tmp_path, capsys):
    place = str(tmp_path / "s")
    assert run(["catalog", "build", recipe, "--out", place, "--workers", "0"]) == 0
    assert run(["catalog", "verify", place]) == 0
    block = Catalog.open(place).blocks[1]
    victim = tmp_path / "s" / block.path
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x01")
    capsys.readouterr()
    assert run(["catalog", "verify", place]) == 1
    assert block.id in capsys.readouterr().out
    assert run(["catalog", "verify", place, "--json"]) == 1
    assert {fault["block"] for fault in json.loads(capsys.readouterr().out)["faults"]} == {block.id}
    assert run(["catalog", "build", recipe, "--out", place, "--workers", "0", "--repair", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_built"] == 1
    assert run(["catalog", "verify", place]) == 0


def test_append_merge_diff_and_card_work_from_the_command_line(store, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE.replace("tiny", "other").replace("[icosahedral, fcc, sc]", "[bcc]"))
    grown, merged = str(tmp_path / "grown"), str(tmp_path / "merged")
    assert run(["catalog", "build", str(other), "--out", grown, "--workers", "0"]) == 0
    assert run(["catalog", "merge", store, grown, "--out", merged, "--json"]) == 0
    capsys.readouterr()
    assert run(["catalog", "diff", store, merged, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["only_in_first"] == 0
    assert facts["only_in_second_by_type"] == {"bcc": len(Catalog.open(grown))}
    assert run(["catalog", "card", merged]) == 0
    card = (tmp_path / "merged" / "README.md").read_text()
    assert Catalog.open(merged).content_hash in card
    assert "tiny + other" in card
    assert (tmp_path / "merged" / "structures.png").stat().st_size > 5000
