"""In a real browser: open the link, drop and choose files, watch, open the report, cancel, share, on a wide screen and on a phone's."""

import itertools

import pytest

from tests.report.browser import CHROMIUM, DRIVER, MISSING, Browser
from tests.serve.conftest import PDFS

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]
CARD = "document.querySelector('.job')"
PT = PDFS / "sample-02-Pt.gr"
ODD = "<img src=x onerror=alert(1)>.gr"
DROP = """
const data = new DataTransfer();
data.items.add(new File([arguments[0]], arguments[1], {type: 'text/plain'}));
document.getElementById('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory, real_server):
    with Browser(tmp_path_factory.mktemp("profile"), local=True) as window:
        window.go(real_server.link)
        window.wait("!document.getElementById('new').hidden")
        yield window
        assert window.complaints() == []


def state(browser):
    return browser.run(f"return {CARD}.querySelector('.head .state').textContent;")


def test_the_link_opens_the_application_and_leaves_no_token_in_the_address(browser, real_server):
    assert browser.run("return location.href;") == real_server.link.split("#")[0]
    assert browser.run("return document.cookie;") == "", "scripts cannot read the token"
    assert browser.run("return document.getElementById('who').textContent;") == "local"
    reached = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name);")
    assert [name for name in reached if not name.startswith(real_server.link.split("#")[0])] == []


def test_files_are_solved_watched_and_opened(browser):
    browser.run("document.getElementById('title').value = 'Platinum & <b>co</b>';")
    browser.choose("#files", PT)
    browser.run(DROP, "this is no table", ODD)
    browser.wait("document.getElementById('chosen').textContent.includes('2 files')")
    browser.run("for (const [id, value] of [['samples', 0], ['rmax', 16], ['qdamp', 0.03]]) document.getElementById(id).value = value;")
    browser.type("#composition", "Pt")
    browser.click("#solve")
    browser.wait(f"{CARD}?.querySelector('h3').textContent === 'Platinum & <b>co</b>'", 120)
    browser.wait(f"{CARD}.querySelector('.head .state').textContent === 'done'", 300)
    rows = browser.wait(f"Array.from({CARD}.querySelectorAll('.curves tbody tr'), (row) => Array.from(row.cells, (cell) => cell.textContent))")
    assert [(row[0], row[1]) for row in rows] == [(ODD, "failed"), (PT.name, "solved")]
    assert rows[1][2].startswith("Pt ")
    assert browser.run("return document.querySelectorAll('img, b').length;") == 0
    assert "qdamp 0.03" in browser.run(f"return {CARD}.textContent;")
    browser.click(".job a.button")
    browser.wait("document.querySelectorAll('details.pdf[open] .plot .main-svg').length >= 3", 90)
    assert browser.run("return document.getElementById('title').textContent;") == "Platinum & <b>co</b>"
    assert browser.run("return document.querySelectorAll('details.pdf[open] canvas').length;") >= 5
    assert browser.run("return document.querySelectorAll('img').length;") == 0
    injected = (
        "const s = document.createElement('script'); s.textContent = 'window.injected = 1'; document.body.append(s); return window.injected || 0;"
    )
    assert browser.run(injected) == 0, "a script that is not the page's own does not run"
    assert any("Content Security Policy" in message for message in browser.complaints())
    browser.call("/back", {})
    browser.wait(f"{CARD}?.querySelector('h3').textContent.startsWith('Platinum')")


def test_a_shared_link_opens_without_a_token_until_it_is_withdrawn(browser):
    browser.run(f"Array.from({CARD}.querySelectorAll('button')).find((b) => b.textContent === 'Share').click();")
    link = browser.wait(f"{CARD}.querySelector('.shared input')?.value")
    here = browser.run("return location.href;")
    opened = f"return fetch('{link}', {{credentials: 'omit'}}).then((answer) => answer.status);"
    assert browser.run(opened) == 200
    browser.run(f"{CARD}.querySelector('.shared button').click();")
    browser.wait(f"!{CARD}.querySelector('.shared')")
    assert browser.run(opened) == 404
    assert any("404" in message for message in browser.complaints())
    assert browser.run("return location.href;") == here


def test_a_job_is_cancelled(browser):
    browser.run("for (const [id, value] of [['samples', 5000], ['rmax', '']]) document.getElementById(id).value = value;")
    browser.run("document.getElementById('title').value = 'too long';")
    browser.choose("#files", PT)
    browser.click("#solve")
    browser.wait(f"{CARD}.querySelector('h3').textContent === 'too long' && {CARD}.querySelector('progress')", 120)
    browser.run(f"Array.from({CARD}.querySelectorAll('button')).find((b) => b.textContent === 'Cancel').click();")
    browser.wait(f"{CARD}.querySelector('.head .state').textContent === 'cancelled'", 60)
    buttons = browser.run(f"return Array.from({CARD}.querySelectorAll('button')).map((b) => b.textContent);")
    assert "Cancel" not in buttons
    assert not browser.run(f"return Boolean({CARD}.querySelector('progress'));")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(browser, width):
    browser.width(width)
    for path in ("", "api"):
        if path:
            browser.go(browser.run("return new URL('api', location.href).href;"))
            browser.wait("document.querySelectorAll('.operation').length > 10")
        outside = "!e.closest('.scroll, pre, .unseen, .skip, .hidden-input') && e.getBoundingClientRect().right > innerWidth + 1"
        wide = f"Array.from(document.querySelectorAll('body *')).filter((e) => {outside})"
        assert browser.run(f"return {wide}.map((e) => e.tagName + '.' + e.className);") == []
        if path:
            browser.call("/back", {})
            browser.wait(f"{CARD}")


def test_every_control_has_a_name_and_can_be_reached_by_keys(browser):
    """Fails when a field has no label, a button no words, or a control is taken out of the order of the Tab key."""
    controls = "main input, main select, main button, main a, main progress"
    named = "e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()"
    shown = f"Array.from(document.querySelectorAll('{controls}')).filter((e) => e.offsetParent)"
    nameless = f"return {shown}.filter((e) => !({named})).map((e) => e.outerHTML);"
    assert browser.run(nameless) == []
    assert browser.run("return Array.from(document.querySelectorAll('main [tabindex]')).filter((e) => e.tabIndex > 0).length;") == 0
    levels = browser.run("return Array.from(document.querySelectorAll('h1, h2, h3'), (e) => Number(e.tagName[1]));")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), "no level of heading is left out"
    assert browser.run("return document.documentElement.lang && document.title.length > 0;")
    assert browser.run("return ['problem', 'told', 'sending'].map((id) => document.getElementById(id).getAttribute('role'));") == [
        "alert",
        "status",
        "status",
    ]
