"""The command line of the server: users, settings, and what is said of wrong ones."""

import importlib.util

import pytest
import yaml

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.serve.server import open_database
from deepstruc_hpc.serve.settings import ServeSettings, default_workers


def test_users_are_added_listed_and_revoked(tmp_path, capsys):
    data = ["--data", str(tmp_path / "data")]
    assert run(["serve", "tokens", "add", "maria", *data]) == 0
    first = capsys.readouterr().out.strip()
    assert run(["serve", "tokens", "add", "maria", *data]) == 0
    token = capsys.readouterr().out.strip()
    database = open_database(ServeSettings(data=tmp_path / "data"))
    assert database.user_of(token).name == "maria"
    assert database.user_of(first) is None, "a new token ends the one before"
    assert token not in (tmp_path / "data" / "history.sqlite").read_bytes().decode("latin-1")
    assert run(["serve", "tokens", "list", *data]) == 0
    assert capsys.readouterr().out.split() == ["maria", "token", "0", "jobs"]
    assert run(["serve", "tokens", "revoke", "maria", *data]) == 0
    assert database.user_of(token) is None
    assert run(["serve", "tokens", "revoke", "maria", *data]) == 2


@pytest.mark.parametrize("name", ["local", "a b", "", "x" * 65, "../x", "a;b"])
def test_a_user_has_a_plain_name(tmp_path, capsys, name):
    assert run(["serve", "tokens", "add", name, "--data", str(tmp_path)]) == 2
    assert "no name for a user" in capsys.readouterr().err


def test_the_settings_are_printed_as_they_are_used(tmp_path, capsys):
    words = ["serve", "--data", str(tmp_path), "--port", "9000", "--root-path", "/pdf", "--set", "limits.file_bytes=5000", "--print-config"]
    assert run(words) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["port"], printed["root_path"], printed["limits"]["file_bytes"]) == (9000, "/pdf", 5000)
    assert printed["host"] == "127.0.0.1"
    assert printed["workers"] == default_workers() >= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--token", "short"], "16 to 200"),
        (["--root-path", "pdf/"], "root_path"),
        (["--set", "limits.file_byte=1"], "file_bytes"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--host", "192.0.2.1"], "cannot listen"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys, words, message):
    assert run(["serve", "--data", str(tmp_path / "data"), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert message in error


def test_without_the_packages_the_command_says_how_to_install_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert run(["serve", "--data", str(tmp_path)]) == 2
    assert "pip install 'deepstruc_hpc[serve]'" in capsys.readouterr().err
