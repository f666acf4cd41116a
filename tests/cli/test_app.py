"""The command line's promises: light start, one-line errors, exit codes, examples in every help."""

import json
import os
import subprocess
import sys

import pytest
from typer.main import get_command

from deepstruc_hpc.cli.app import build_app, run
from deepstruc_hpc.cli.document import print_document, stdout_for_the_document


def commands():
    """Every command as a list of words."""

    def walk(command, words):
        children = getattr(command, "commands", None)
        if children:
            if words and command.invoke_without_command:
                yield words, command
            for name, child in children.items():
                yield from walk(child, [*words, name])
        else:
            yield words, command

    return list(walk(get_command(build_app()), []))


def test_help_imports_nothing_heavy():
    """Fails when a command group imports torch, ray, mlflow or pandas at its top: --help would take seconds."""
    code = (
        "import sys; from deepstruc_hpc.cli.app import run; run(['--help']); "
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'numba', 'zarr', 'scipy', 'matplotlib', 'pymatgen'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "catalog" in done.stdout
    assert "solve" in done.stdout


def test_solve_with_nothing_at_all_says_in_five_lines_what_it_takes(capsys):
    assert run(["solve"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("error: no input")
    assert all(word in " ".join(lines) for word in ("--out", "--composition", "--qdamp", "index.html", "--help"))


def test_importing_the_package_imports_neither_torch_nor_ray():
    code = "import sys, deepstruc_hpc; print(sorted({'torch', 'ray', 'mlflow', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_commands_draw_in_a_notebook_whose_backend_is_not_installed_here():
    """Fails when ``MPLBACKEND``, which Jupyter sets for everything that a cell starts, reaches matplotlib."""
    code = "from deepstruc_hpc.cli.app import main\ntry:\n    main(['--version'])\nexcept SystemExit:\n    import matplotlib.figure"
    environment = {**os.environ, "MPLBACKEND": "module://not_installed.backend"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("words", "command"), commands(), ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_every_command_shows_an_example(words, command):
    assert "deepstruc-hpc" in (command.help or ""), f"{' '.join(words)} has no example in its help"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["solv"], "solv"),
        (["catalog", "build", "demo"], "--out"),
        (["catalog", "info", "no-such-store.zarr"], "no-such-store.zarr"),
        (["catalog", "build", "no-such-recipe", "--out", "x.zarr"], "no-such-recipe"),
        (["solve", "no-such-directory", "--out", "x"], "no-such-directory"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_exit_code_2(words, part, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert part in lines[-1]
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["solve", "one.gr", "--out", "out", "--catalog", "one.gr"],
        ["catalog", "info", "one.gr"],
        ["catalog", "list", "one.gr"],
        ["catalog", "sql", "one.gr", "select 1"],
        ["catalog", "verify", "one.gr"],
        ["train", "one.gr", "--out", "out"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_file_in_place_of_a_catalog_is_refused_before_any_work(words, tmp_path, monkeypatch, capsys):
    """The curve is no curve either: what is said of the catalog comes first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.gr").write_text("no curve")
    assert run(words) == 2
    assert capsys.readouterr().err.startswith("error: one.gr is a file and no catalog: needed is a directory")


def test_a_wrong_catalog_is_refused_before_anything_slow_is_imported(tmp_path):
    code = (
        "import sys; from deepstruc_hpc.cli.app import run; code = run(['solve', 'x.gr', '--out', 'out', '--catalog', 'smok']); "
        "heavy = {'torch', 'ray', 'pandas', 'numba', 'numpy', 'zarr'} & set(sys.modules); sys.exit(str(heavy) if heavy or code != 2 else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Did you mean --catalog smoke" in done.stderr


def test_a_setting_under_its_earlier_name_is_a_note_once_and_not_on_stdout(capsys):
    assert run(["solve", "--print-config", "--set", "neighbours=60", "--set", "rank.tell_apart=0.2", "--rmax", "20"]) == 0
    printed = capsys.readouterr()
    assert "local_shapes: 60" in printed.out
    assert "note" not in printed.out
    assert sorted(printed.err.splitlines()) == [
        "note: neighbours is called local_shapes now; the earlier name ends with the next release",
        "note: tell_apart is called indistinguishable now; the earlier name ends with the next release",
    ]


def test_debug_may_stand_anywhere_and_shows_the_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "deepstruc_hpc.cli", "catalog", "info", "nothing.zarr", "--debug"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_version_is_printed(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("deepstruc-hpc 0.")


def test_json_is_alone_on_stdout_whatever_libraries_print(capsys):
    with stdout_for_the_document(True):
        print("a library's chatter")
        print_document('{"a": 1}')
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    assert "chatter" in captured.err
