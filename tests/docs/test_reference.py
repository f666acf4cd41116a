"""What the site writes from the program is whole: every command and option, every setting with a meaning, every stored array."""

import pytest

from deepstruc_hpc.data.schema import BLOCK_ARRAYS, COLUMN_ARRAYS
from deepstruc_hpc.solve.config import SolveSettings
from tests.cli.test_app import commands
from tests.docs.pages import command_lines, documents, generated, text_of, words_of

PAGES = generated()
COMMANDS = {tuple(words): command for words, command in commands()}


def test_every_command_and_each_of_its_options_has_a_place():
    overview = PAGES["reference/generated/cli/index.md"]
    for words, command in COMMANDS.items():
        assert f"`deepstruc-hpc {' '.join(words)}`" in overview
        page = PAGES[f"reference/generated/cli/{words[0]}.md"]
        section = page.split(f"## deepstruc-hpc {' '.join(words)}\n")[1].split("\n## ")[0]
        assert "```bash\ndeepstruc-hpc" in section, f"no example of {words}"
        for param in command.params:
            if param.param_type_name == "option" and not param.hidden:
                assert all(f"`{option}`" in section for option in param.opts), (words, param.opts)


@pytest.mark.parametrize("name", [name for name in PAGES if "/settings/" in name and not name.endswith("index.md")])
def test_every_setting_has_a_meaning(name):
    rows = [line for line in PAGES[name].splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if not row.rstrip(" |").split("|")[-1].strip() or row.rstrip().endswith("|  |")] == []


def test_a_default_and_its_bounds_are_those_of_the_code():
    assert f"| `rank.model_error` | number, ≥ 0 | `{SolveSettings().rank.model_error}` |" in PAGES["reference/generated/settings/solve.md"]
    assert "| `pdf.qmax` | number, > 1, ≤ 100 | `25.0` | Å⁻¹ |" in PAGES["reference/generated/settings/recipe.md"]


def test_every_stored_array_is_listed():
    assert [spec.name for spec in (*BLOCK_ARRAYS, *COLUMN_ARRAYS) if f"{spec.name}`" not in PAGES["reference/generated/stored-arrays.md"]] == []


@pytest.mark.parametrize("document", documents())
def test_every_command_line_of_a_document_names_real_options(document):
    """Fails when a page shows an option that the command does not have."""
    for line in command_lines(text_of(document)):
        words = words_of(line)
        name = max((name for name in COMMANDS if tuple(words[: len(name)]) == name), key=len, default=None)
        assert name is not None or words in ([], ["--version"]), f"unknown command: {line}"
        known = {option for param in COMMANDS[name].params for option in (*param.opts, *param.secondary_opts)} | {"--help", "--debug"}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line
