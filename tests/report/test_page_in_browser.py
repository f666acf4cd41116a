import pytest

from deepstruc_hpc.report.page import write_report
from tests.report.browser import CHROMIUM, DRIVER, MISSING, Browser
from tests.report.synthetic import MESSAGE, write_results

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]
NAMES = "Array.from(document.querySelectorAll('#summary tbody tr td:first-child'), (cell) => cell.textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    page = write_report(write_results(tmp_path_factory.mktemp("solved")))
    with Browser(tmp_path_factory.mktemp("profile")) as window:
        window.open(page)
        yield window
        assert window.complaints() == []


def test_the_page_opens_with_no_network_and_shows_every_file(browser):
    assert browser.run(f"return {NAMES};") == ["Au_a.gr", "Au_b10.gr", "Au_b9.gr", "can.gr", "short.gr"]
    assert (
        browser.run("return document.getElementById('counts').textContent;") == "5 pair distribution functions: 3 solved, 1 not applicable, 1 failed"
    )
    reached = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name);")
    assert [name for name in reached if not name.startswith(("data:", "blob:"))] == []


def test_a_message_is_text_and_never_markup(browser):
    assert browser.run("return document.querySelector('#summary tbody td.message').textContent;") == MESSAGE
    assert browser.run("return document.querySelectorAll('b').length;") == 0


def test_the_table_sorts_numbers_as_numbers_with_missing_ones_last(browser):
    browser.click("#summary th[data-key='n_atoms'] button")
    assert browser.run(f"return {NAMES};")[:3] == ["Au_b10.gr", "Au_b9.gr", "Au_a.gr"]
    browser.click("#summary th[data-key='n_atoms'] button")
    assert browser.run(f"return {NAMES};") == ["Au_a.gr", "Au_b9.gr", "Au_b10.gr", "can.gr", "short.gr"]
    browser.click("#summary th[data-key='name'] button")
    assert browser.run(f"return {NAMES};")[:3] == ["Au_a.gr", "Au_b9.gr", "Au_b10.gr"]


def test_the_filter_keeps_the_rows_that_hold_every_word(browser):
    setter = "const box = document.getElementById('filter'); box.value = arguments[0]; box.dispatchEvent(new Event('input'));"
    browser.run(setter, "icosahedral ok")
    assert browser.run(f"return {NAMES};") == ["Au_b9.gr"]
    browser.run(setter, "")
    assert len(browser.run(f"return {NAMES};")) == 5


def test_the_first_answer_is_open_with_its_fit_map_and_ten_structures(browser):
    browser.wait("document.querySelectorAll('#section-0 .plot .main-svg').length >= 6")
    traces = browser.run("return document.querySelector('#section-0 .curve').data.map((trace) => [trace.name, trace.x.length]);")
    assert traces == [["data", 2800], ["fit", 2800], ["difference", 2800]]
    assert browser.run("return document.querySelectorAll('#section-0 canvas').length;") == 10
    ellipses = browser.run("return document.querySelectorAll('#section-0 .plot.map')[1].data.filter((trace) => trace.name.endsWith('σ')).length;")
    assert ellipses == 3


def test_the_curve_on_the_page_is_the_curve_of_the_file(browser, tmp_path):
    drawn = browser.run("const t = document.querySelector('#section-0 .curve').data; return [t[0].x[1234], t[0].y[1234], t[1].y[1234]];")
    import pandas as pd

    row = pd.read_csv(write_results(tmp_path) / "Au_a" / "fit.csv").iloc[1234]
    assert drawn == pytest.approx([row["r"], row["g_obs"], row["g_calc"]], abs=3e-4)


def test_a_structure_turns_under_the_mouse_and_comes_back(browser):
    canvas = "#section-0 .view:first-child canvas"
    picture = f"document.querySelector('{canvas}').toDataURL()"
    before = browser.wait(picture)
    browser.drag(canvas, 60, 25)
    assert browser.run(f"return {picture};") != before
    browser.run(f"document.querySelector('{canvas}').dispatchEvent(new Event('dblclick'));")
    assert browser.run(f"return {picture};") == before
    browser.click("#section-0 input[value='coordination']")
    assert browser.run(f"return {picture};") != before


def test_sections_open_from_the_table_and_are_emptied_when_closed(browser):
    browser.run("document.querySelectorAll('#summary tbody tr')[1].click();")
    browser.wait("document.querySelectorAll('details.pdf[open] .plot .main-svg').length >= 8")
    for section in (0, 1, 2):
        browser.run(f"document.getElementById('section-{section}').open = false;")
    browser.wait("document.querySelectorAll('details.pdf .plot').length === 0")
    assert browser.run("return document.querySelectorAll('details.pdf[open]').length;") == 0


def test_the_series_stands_curve_above_curve_and_refused_files_are_left_out(browser):
    browser.run("document.getElementById('series').open = true;")
    browser.wait("document.querySelector('#series .main-svg')")
    names = browser.run("return document.querySelector('#series .plot').layout.yaxis.ticktext;")
    assert names == ["Au_a.gr", "Au_b10.gr", "Au_b9.gr"]
    spans = browser.run("return document.querySelector('#series .plot').data.map((trace) => Math.max(...trace.y) - Math.min(...trace.y));")
    assert all(1.0 <= span <= 2.0 for span in spans[::2])  # fails if a curve is not brought to one height
    browser.run("document.getElementById('series').open = false;")


def test_every_candidate_stands_in_the_picture_of_rw_against_size(browser):
    browser.run("document.getElementById('section-0').open = true;")
    browser.wait("document.querySelectorAll('#section-0 .map .plot .main-svg').length >= 2")
    drawn = browser.run("return document.querySelectorAll('#section-0 .plot.map')[0].data.filter((t) => t.name !== 'rank 1').map((t) => t.x.length);")
    assert sum(drawn) == 12
    first = browser.run("return document.querySelectorAll('#section-0 .plot.map')[0].data.find((t) => t.name === 'rank 1').x[0];")
    assert first == 105


def test_refused_and_failed_files_tell_why(browser):
    for section, words in ((3, "no cluster of this world"), (4, "50 points")):
        browser.run(f"document.getElementById('section-{section}').open = true;")
        shown = browser.wait(f"document.querySelector('#section-{section} .message-line')?.textContent")
        assert words in shown


def test_every_link_leads_to_a_file_that_is_there(browser):
    browser.run("document.getElementById('section-0').open = true;")
    browser.wait("document.querySelectorAll('#section-0 canvas').length === 10")
    links = browser.run("return Array.from(document.querySelectorAll('a[href]:not([hidden])'), (link) => link.getAttribute('href'));")
    folder = browser.run("return decodeURIComponent(new URL('.', document.location).pathname);")
    from pathlib import Path

    assert {"summary.csv", "waterfall.png", "Au_a/rank-001.xyz", "Au_a/rank-010.cif", "Au_a/fit.csv", "Au_a/latent.png"} <= set(links)
    assert [link for link in links if not (Path(folder) / link).is_file()] == []


def test_two_hundred_curves_stay_light(tmp_path_factory, browser):
    out = write_results(tmp_path_factory.mktemp("many"))
    import pandas as pd

    summary = pd.read_csv(out / "summary.csv")
    rows = [summary.assign(file=[f"{name}{i}" for name in summary["file"]]) for i in range(40)]
    pd.concat(rows).to_csv(out / "summary.csv", index=False)
    page = write_report(out, figures=False)
    assert page.stat().st_size < 25e6
    browser.open(page)
    browser.wait("document.querySelectorAll('#summary tbody tr').length === 200", seconds=60)
    browser.wait("document.querySelectorAll('details.pdf').length === 200")
    assert browser.run("return document.querySelectorAll('.plot').length;") == 3, "only the open section may be drawn"
