"""The kinds of answers on the page, in a real browser: a compound, a bulk crystal, a refused file, a failed one."""

import re

import pytest

from deepstruc_hpc.report.page import write_report
from tests.report.browser import CHROMIUM, DRIVER, MISSING, Browser
from tests.report.kinds import NOTE, REASON, TAKEN, write_kinds

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]
ROWS = "Array.from(document.querySelectorAll('#summary tbody tr'), (row) => Array.from(row.cells, (cell) => cell.textContent))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    page = write_report(write_kinds(tmp_path_factory.mktemp("kinds")))
    with Browser(tmp_path_factory.mktemp("profile")) as window:
        window.open(page)
        for section in range(4):
            window.run(f"document.getElementById('section-{section}').open = true;")
        window.wait("document.querySelectorAll('#section-1 canvas').length === 3 && document.querySelectorAll('#section-3 .curve .main-svg').length")
        yield window
        assert window.complaints() == []


def text(browser, section):
    return browser.run(f"return document.getElementById('section-{section}').innerText;")


def test_the_table_shows_phase_size_status_and_flags(browser):
    heads = browser.run("return Array.from(document.querySelectorAll('#summary th'), (cell) => cell.textContent);")
    assert heads == ["file", "phase", "atoms", "diameter (Å)", "Rw", "probability", "status", "flags", "message"]
    rows = {row[0]: row[1:] for row in browser.run(f"return {ROWS};")}
    assert rows["ceria.gr"][:7] == ["CeO2 fluorite", "633", "25.2 (23.9–25.6)", "0.0501", "0.97", "ok", "largest tried"]
    assert rows["pt.gr"][:7] == ["Pt fcc", "bulk", "> 50", "0.1130", "1.00", "ok", "bulklower bound"]
    assert rows["w.gr"] == ["", "", "", "0.6200", "", "not applicable", "", REASON]
    assert rows["bad.dat"][5:] == ["failed", "", "line 24: r goes back from 1.927 to 1.9255 Å."]
    hints = browser.run("return Array.from(document.querySelectorAll('#summary .flag'), (flag) => flag.title);")
    assert len(hints) == 3
    assert all(hint.endswith(".") for hint in hints)


def test_phases_and_sizes_of_a_crystal_are_shown(browser):
    shown = text(browser, 1)
    assert "Phases" in shown
    assert "0.62 ± 0.02" in shown
    assert "> 45" in shown
    assert "support" in shown
    assert "Diameters of the crystal, by volume" in shown
    assert browser.run("return document.querySelectorAll('#section-1 .plot.map .main-svg').length;") > 0


def test_no_cell_and_no_line_shows_a_missing_value(browser):
    shown = browser.run("return document.body.innerText;")
    assert re.findall(r"<NA>|\bnan\b|\bNaN\b|\bnull\b|\bundefined\b|\[object", shown) == []


@pytest.mark.parametrize(
    ("key", "upwards"), [("diameter", ["ceria.gr", "pt.gr"]), ("flags", ["pt.gr", "ceria.gr"]), ("phase", ["ceria.gr", "pt.gr"])]
)
def test_empty_cells_stand_last_in_both_directions(browser, key, upwards):
    for expected in (upwards, upwards[::-1]):
        browser.click(f"#summary th[data-key='{key}'] button")
        names = [row[0] for row in browser.run(f"return {ROWS};")]
        assert names[:2] == expected
        assert set(names[2:]) == {"bad.dat", "w.gr"}


def test_the_filter_finds_the_words_that_are_shown(browser):
    setter = "const box = document.getElementById('filter'); box.value = arguments[0]; box.dispatchEvent(new Event('input'));"
    for searched, found in (("not applicable", "w.gr"), ("lower bound", "pt.gr"), ("ceo2 fluorite", "ceria.gr")):
        browser.run(setter, searched)
        assert [row[0] for row in browser.run(f"return {ROWS};")] == [found]
    browser.run(setter, "")


def test_a_compound_says_what_it_was_taken_for_and_its_notes(browser):
    shown = text(browser, 1)
    assert TAKEN in shown
    assert shown.count(NOTE) == 1
    assert "23.9 to 25.6 Å with 90 %" in shown
    assert "a piece of 2500 atoms is drawn" in shown
    assert "without the one crystal that has no end" in shown


def test_a_bulk_crystal_has_no_number_of_atoms_and_no_picture_of_sizes(browser):
    shown = text(browser, 2)
    assert "more than 50 Å across: the data end before the crystal does" in shown
    assert "a piece of 459 atoms is drawn" in shown
    assert "Pt459" not in shown
    assert browser.run("return document.querySelectorAll('#section-2 .plot.map').length;") == 0


def test_a_refused_file_gives_its_reason_and_claims_no_answer(browser):
    shown = text(browser, 3)
    assert f"not applicable: {REASON}" in shown
    assert "none of which is an answer" in shown
    assert "Probability of each structure type" not in shown
    assert "rank 1" not in shown


def test_the_page_fits_a_narrow_window(browser):
    browser.call("/window/rect", {"width": 500, "height": 900})
    browser.wait("innerWidth < 700")
    outside = "!e.closest('.scroll, svg, .plot') && e.getBoundingClientRect().right > innerWidth + 1"
    wide = f"Array.from(document.querySelectorAll('main *')).filter((e) => {outside})"
    assert browser.run(f"return {wide}.map((e) => e.tagName + e.className);") == []
