"""What ``--help`` prints: short, whole, by purpose."""

import re

import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.cli.help import name_of
from deepstruc_hpc.training.config import preset_names
from tests.cli.test_app import commands

COMMANDS = {" ".join(words): command for words, command in commands()}
LONGEST, LONGEST_OF_SOLVE = 60, 80
"""Lines of a help on a terminal of 80 characters; solve has 45 options."""


@pytest.fixture(params=COMMANDS)
def shown(request, monkeypatch, capsys):
    """A command's words, the command, and the lines of its help on a terminal of 80 characters."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*request.param.split(), "--help"]) == 0
    return request.param, COMMANDS[request.param], [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_help_is_short_and_leaves_no_option_out(shown):
    words, command, lines = shown
    assert len(lines) <= (LONGEST_OF_SOLVE if words == "solve" else LONGEST)
    assert max(map(len, lines)) <= 80
    named = [line[2:] for line in lines if re.match(r"  [-A-Z]", line)]
    for param in command.params:
        assert any(line.startswith(name_of(param)) for line in named) != getattr(param, "hidden", False), param.name
    assert next(line for line in lines[lines.index("  Example:") :] if line.startswith(("    deepstruc-hpc ", "    source ")))


def test_an_option_of_solve_has_one_line_and_the_ten_of_most_calls_come_first(monkeypatch, capsys):
    """Fails when a text of an option grows longer than its line: what does not fit belongs behind an empty line, for the reference."""
    monkeypatch.setenv("COLUMNS", "80")
    run(["solve", "--help"])
    _, panels = capsys.readouterr().out.split("\nArguments\n")
    lines = [line.rstrip() for line in panels.splitlines()]
    assert [line for line in lines if line.startswith("   ")] == []
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert titles[0] == "What most calls need"
    first = [re.split(r"[ ,]", line.strip())[0] for line in lines[lines.index(titles[0]) + 1 : lines.index(titles[1]) - 1]]
    assert first == ["--out", "--composition", "--elements", "--instrument", "--qdamp", "--qmax", "--rmax", "--crystals", "--workers", "--force"]


def test_the_help_of_train_names_every_preset(capsys):
    run(["train", "--help"])
    shown = re.split(r"[\s,.:]+", capsys.readouterr().out)
    assert set(preset_names()) <= set(shown)
