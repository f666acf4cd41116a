"""What to cite is complete, real, and the same in every form."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.references import ALL, BY_SOURCE, citation_file
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.solve.candidates.source import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]


def test_the_citation_file_is_that_of_this_version():
    assert (ROOT / "CITATION.cff").read_text() == citation_file()
    known = yaml.safe_load(citation_file())
    assert known["cff-version"] == "1.2.0"
    assert known["version"] == __version__
    assert known["authors"] and known["references"][0]["doi"] == "10.1039/D2DD00086E"  # noqa: PT018


def test_every_reference_leads_somewhere_and_has_a_key_of_its_own():
    assert len({one.key for one in ALL}) == len(ALL)
    for one in ALL[1:]:
        assert re.fullmatch(r"10\.\d{4,}/\S+", one.doi) or one.url.startswith("https://")
    assert set(BY_SOURCE) <= set(BUILT_IN)


def _results(folder, sources, verify=None):
    rows = [{"status": "ok", "details": {"sources": {name: {"candidates": count} for name, count in sources.items()}}}, {"status": "failed"}]
    (folder / "summary.json").write_text(json.dumps({"run": {"settings": {"verify": verify}}, "items": rows}))


def test_results_cite_what_they_came_through(tmp_path, capsys):
    _results(tmp_path, {"crystals": 12, "cvae": 0})
    assert run(["cite", str(tmp_path), "--json"]) == 0
    keys = {one["key"] for one in json.loads(capsys.readouterr().out)}
    assert {"deepstruc_hpc", "kjaer2023deepstruc", "mehl2017"} <= keys
    assert not keys & {"paszke2019", "juhas2015"}
    _results(tmp_path, {"cvae": 3}, verify="srfit")
    assert run(["cite", str(tmp_path), "--format", "bibtex"]) == 0
    entries = re.findall(r"@misc\{(\w+),", capsys.readouterr().out)
    assert {"paszke2019", "juhas2015"} <= set(entries)


def test_a_directory_without_results_is_named(tmp_path, capsys):
    assert run(["cite", str(tmp_path)]) == 2
    assert f"{tmp_path}: holds no results of solve" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "bibtex", "cff"])
def test_every_form_names_program_and_paper(form, capsys):
    assert run(["cite", "--format", form]) == 0
    printed = capsys.readouterr().out
    assert "deepstruc_hpc" in printed
    assert "10.1039/D2DD00086E" in printed
