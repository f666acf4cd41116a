"""Doctor names what is there, what is missing and what that costs."""

import json

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.runtime import diagnosis


def test_doctor_finds_this_installation_ready(capsys):
    assert run(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    states = {finding["name"]: finding["state"] for finding in report["findings"]}
    assert report["ready"]
    assert states["torch"] == "ok"
    assert states["catalog files"] == "ok"
    assert all(finding["cost"] and finding["remedy"] for finding in report["findings"] if finding["state"] == "missing")


def test_a_missing_package_is_broken_and_the_remedy_names_it(capsys, monkeypatch):
    monkeypatch.setattr(diagnosis, "REQUIRED_PACKAGES", ("no-such-package",))
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "BROKEN" in out
    assert "pip install no-such-package" in out


def test_an_unwritable_cache_folder_is_named(capsys, monkeypatch, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(blocker / "cache"))
    assert run(["doctor"]) == 1
    assert str(blocker) in capsys.readouterr().out


def test_the_next_step_is_what_stands_in_the_way_then_what_lies_here(tmp_path):
    broken = diagnosis.Finding("memory", "broken", "1 GB", "workers are killed", "4 GB or more")
    assert "mend memory first: 4 GB or more" in diagnosis.next_step([broken], tmp_path)
    assert "solve FOLDER" in diagnosis.next_step([], tmp_path)
    (tmp_path / "examples" / "compounds").mkdir(parents=True)
    (tmp_path / "examples" / "compounds" / "ceria.gr").touch()
    assert "solve examples/compounds" in diagnosis.next_step([], tmp_path)
    (tmp_path / "mine.gr").touch()
    assert "the 1 .gr file in this folder: deepstruc-hpc solve ." in diagnosis.next_step([], tmp_path)
