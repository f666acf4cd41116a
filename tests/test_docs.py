"""The documents stay true: links lead somewhere, code that they show runs, what they name exists."""

import ast
import inspect
import os
import re
from pathlib import Path

import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.solve.candidates.source import BUILT_IN, Budget, Source
from deepstruc_hpc.solve.config import RankSettings, RefusalSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.pipeline import solve_curve
from deepstruc_hpc.solve.run.output import SUMMARY_COLUMNS
from tests.docs.pages import documents, generated, text_of

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_readme_is_short():
    assert len(README.splitlines()) < 120


def test_the_folder_that_the_readme_solves_is_that_of_the_first_steps():
    (table,) = re.findall(r"```\n(file .*?)```", README, flags=re.DOTALL)
    assert table in (ROOT / "docs" / "first-steps.md").read_text()


@pytest.mark.parametrize("document", documents())
def test_links_to_files_lead_somewhere(document):
    """To a file, or to a page that the site generates; that places in pages exist is a test of the site."""
    written = set(generated())
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(document)):
        aim = (ROOT / document).parent / target
        assert aim.exists() or Path(os.path.relpath(aim, ROOT / "docs")).as_posix() in written, f"{document}: {target} does not exist"


def test_the_python_of_the_readme_runs(tmp_path, capsys, monkeypatch):
    """On the catalog ``smoke`` in place of the demo's."""
    monkeypatch.chdir(ROOT)
    store = tmp_path / "catalog.zarr"
    assert run(["catalog", "build", "smoke", "--out", str(store), "--workers", "0"]) == 0
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    capsys.readouterr()
    exec(compile(block.replace("demo-output/catalog.zarr", str(store)), "README.md", "exec"), {})  # noqa: S102  (our own document)
    assert "rw" in capsys.readouterr().out


def _code(document, word):
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL) if word in block)
    return block


def test_the_line_that_the_page_shows_is_the_line_that_runs():
    shown = ast.parse(_code("docs/solving.md", "def solve_curve")).body[0]
    real = ast.parse(inspect.getsource(solve_curve)).body[0]
    real.body = [line for line in real.body[1:] if "steps" not in ast.dump(line)]  # without the docstring, and without what takes the time
    assert ast.dump(shown) == ast.dump(real)


def test_the_source_that_the_page_shows_proposes_candidates():
    names = {}
    exec(compile(_code("docs/solving.md", "class HollowSpheres"), "docs/solving.md", "exec"), names)  # noqa: S102  (our own document)
    source = names["HollowSpheres"]()
    curve = read_pdf(ROOT / "examples" / "pdfs" / "sample-02-Pt.gr")
    assert isinstance(source, Source)
    found = source.candidates(describe(curve, SolveSettings()), Budget(1, (3.0,), 500))
    assert [set(one.structure.elements) for one in found] == [{"Pt"}] * 5
    assert len(source.candidates(describe(curve, SolveSettings(composition="CeO2")), Budget(1, (3.0,), 500))) == 0


def test_every_column_of_the_summary_and_every_source_is_explained():
    page = (ROOT / "docs" / "solving.md").read_text()
    assert [name for name in (*SUMMARY_COLUMNS, *BUILT_IN) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("document", ["solving", "ranking", "crystals"])
def test_settings_that_the_pages_name_exist(document):
    page = (ROOT / "docs" / f"{document}.md").read_text()
    named = set(re.findall(r"`((?:rank|refusal)\.\w+)`", page))
    known = {f"{group}.{name}" for group, model in (("rank", RankSettings), ("refusal", RefusalSettings)) for name in model.model_fields}
    assert named <= known
