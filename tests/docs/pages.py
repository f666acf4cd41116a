"""The documents of the project, as text: pages, notebooks, and the pages that the site generates."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference" / "generated"


def documents() -> list[str]:
    """README, pages and notebooks that are written by hand, relative to the root."""
    found = [ROOT / "README.md", *DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found if GENERATED not in path.parents and "tutorial-output" not in path.parts)


def text_of(document: str) -> str:
    """Markdown of a page; of a notebook that of its cells, code in fences."""
    path = ROOT / document
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) if cell["cell_type"] == "markdown" else f"```\n{''.join(cell['source'])}\n```" for cell in cells)


def generated() -> dict[str, str]:
    """What the site writes from the program: path below docs → Markdown."""
    if str(DOCS / "_ext") not in sys.path:
        sys.path.insert(0, str(DOCS / "_ext"))
    module = importlib.import_module("generated_pages")
    return {(module.FOLDER / name).as_posix(): text for name, text in module.pages().items()}


def command_lines(text: str) -> list[str]:
    """Lines of code that call the program, with the lines that they go on in."""
    lines, kind = [], None
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip().startswith("```"):
            kind = line.strip().removeprefix("```") if kind is None else None
        elif kind in {"", "bash"}:
            lines.append(line.strip())
    return sorted({line for line in lines if re.match(r"(while )?deepstruc-hpc [a-z]", line)})


def words_of(line: str) -> list[str]:
    """The words of a call, up to a comment, a pipe or what is handed on after ``--``."""
    words = shlex.split(line.removeprefix("while ").replace("…", ""), comments=True)[1:]
    ends = [words.index(end) for end in ("|", "||", "--", "&", ";") if end in words]
    return words[: min(ends)] if ends else words
