"""The documents stay true: every command is in the README, and what the README tells to run exists."""

import re
from pathlib import Path

import pytest

from deepstruc_hpc.cli.app import run
from tests.cli.test_app import commands

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_is_in_the_readme(words):
    assert f"deepstruc-hpc {' '.join(words)}" in README


def readme_commands():
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    return sorted({line.strip() for block in blocks for line in block.splitlines() if line.startswith("deepstruc-hpc ")})


@pytest.mark.parametrize("line", readme_commands())
def test_every_command_line_of_the_readme_names_real_options(line, capsys):
    """Fails when the README shows an option that the command does not have."""
    words = line.split("#")[0].split()[1:]
    known = [words[: len(names)] for names, _ in commands() if words[: len(names)] == names]
    assert known, f"unknown command: {line}"
    run([*known[0], "--help"])
    text = capsys.readouterr().out
    for option in [word.split("=")[0] for word in words if word.startswith("--") and word != "--"]:
        assert option in text, f"{option} of '{line}' is not in the help"


@pytest.mark.parametrize("document", sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]))
def test_links_to_files_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / document).parent / target).exists(), f"{document}: {target} does not exist"


def test_the_python_of_the_readme_runs(tmp_path, capsys, monkeypatch):
    """On the catalog ``smoke`` in place of the demo's."""
    monkeypatch.chdir(ROOT)
    store = tmp_path / "catalog.zarr"
    assert run(["catalog", "build", "smoke", "--out", str(store), "--workers", "0"]) == 0
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    capsys.readouterr()
    exec(compile(block.replace("demo-output/catalog.zarr", str(store)), "README.md", "exec"), {})  # noqa: S102  (our own document)
    assert "rw" in capsys.readouterr().out
