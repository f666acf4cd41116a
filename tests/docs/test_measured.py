"""A table of measured numbers says by which command it was made, and when."""

import re

import pytest

from tests.docs.pages import DOCS

NUMBER = re.compile(r"[~<≤≥]?[−-]?\d[\d,.]*(e-?\d+)?( ?(%|s|ms|MB|GB|Å|min|h|µs|kB))?( \(.*\))?")
COMMAND = re.compile(r"\b(python|make|pytest|deepstruc-hpc) [\w./-]+|\b\w+\.py\b")
DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")
NOT_MEASURED = {
    ("model.md", "Template lattices"): "how many lattices there are",
    ("solving.md", "How far is searched"): "defaults of settings",
}
"""Tables of numbers that are what they are: page and heading → what they hold."""


def sections(text):
    """Heading and text of each section; code in fences has no headings."""
    heading, lines, fenced = "", [], False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            yield heading, "\n".join(lines)
            heading, lines = line.lstrip("# "), []
        else:
            lines.append(line)
    yield heading, "\n".join(lines)


def is_of_numbers(table):
    """Whether at least three cells, and nearly a third of those beside the first column, are plain numbers."""
    cells = [cell.strip() for row in table.splitlines()[2:] for cell in row.strip("|").split("|")[1:]]
    numbers = sum(bool(NUMBER.fullmatch(cell)) for cell in cells)
    return numbers >= max(3, 0.3 * len(cells))


def tables_of(text):
    return [table for table in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE) if is_of_numbers(table)]


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_a_section_with_a_table_of_numbers_names_command_and_date(page):
    for heading, text in sections((DOCS / page).read_text(encoding="utf-8")):
        if (page, heading) not in NOT_MEASURED and tables_of(text):
            assert COMMAND.search(text), f"{page}, {heading}: which command prints these numbers?"
            assert DATE.search(text), f"{page}, {heading}: when were they measured?"


@pytest.mark.parametrize("page", sorted(path.name for path in (DOCS / "recipes").glob("*.md")))
def test_the_counts_of_a_recipe_name_their_command(page):
    """They are the same on every day."""
    for heading, text in sections((DOCS / "recipes" / page).read_text(encoding="utf-8")):
        assert not tables_of(text) or COMMAND.search(text), f"{page}, {heading}: which command prints these numbers?"


def test_what_is_excused_is_there():
    for page, heading in NOT_MEASURED:
        found = [text for name, text in sections((DOCS / page).read_text(encoding="utf-8")) if name == heading]
        assert found, f"{page} has no section {heading}"
        assert tables_of(found[0]), f"{page}, {heading} has no table of numbers"
