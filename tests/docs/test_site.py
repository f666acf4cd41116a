"""The site: built without a warning, whole, found by search, and with nothing from the network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.report.browser import CHROMIUM, DRIVER, MISSING, Browser

pytest.importorskip("sphinx", reason="the tools of the site are not installed: pip install '.[docs]' -c constraints.txt")
pytest.importorskip("myst_nb")
pytest.importorskip("furo")
pytestmark = pytest.mark.timeout(1200)  # the first test builds the site
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page loads, where it leads, and the places in it that a link can name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag in LOADS and found.get(LOADS[tag]):
            self.loads.append(found[LOADS[tag]])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        self.ids.update(value for name, value in attributes if name in {"id", "name"} and value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Fails when a page, a docstring, a link or a place in the navigation is broken."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "--fail-on-warning", "--keep-going", "--quiet", "-d", str(out / ".doctrees")]
    done = subprocess.run([*command, str(DOCS), str(out / "html")], capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_docs_is_there(site):
    sources = [path.relative_to(DOCS).with_suffix(".html") for kind in ("*.md", "*.ipynb") for path in DOCS.rglob(kind)]
    assert [path for path in sources if "tutorial-output" not in path.parts and not (site / path).exists()] == []
    assert 'id="deepstruc_hpc.physics.simulate.simulate_pdf"' in (site / "reference/api/physics.html").read_text()


def test_nothing_is_loaded_from_the_network(site, pages):
    away = re.compile(r"^(?:https?:)?//")
    assert {load for page in pages.values() for load in page.loads if away.match(load)} == set()
    for style in site.rglob("*.css"):
        loads = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)", style.read_text(encoding="utf-8"))
        assert [load for load in loads if away.match(load)] == [], style


def test_links_within_the_site_lead_to_a_page_and_a_place_in_it(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            target, _, place = unquote(link).partition("#")
            aim = (path.parent / target).resolve() if target else path
            if not aim.exists() or (place and aim in pages and place not in pages[aim].ids):
                broken.append((str(path.relative_to(site)), link))
    assert broken == []


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_the_search_finds_a_word_from_a_folder_with_no_server_and_no_network(site, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        browser.call("/url", {"url": f"{(site / 'search.html').as_uri()}?q=stacking_fault"})
        browser.wait(
            'document.querySelectorAll(\'#search-results li a[href*="ranking.html"], #search-results li a[href*="solving.html"]\').length > 0'
        )
        reached = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name);")
        assert [name for name in reached if name.startswith("http")] == []
        browser.open(site / "index.html")
        headings = browser.run("return Array.from(document.querySelectorAll('.sidebar-tree .caption'), (one) => one.textContent.trim());")
        assert headings == ["Start", "Tutorials", "How to", "Explanation", "Reference"]
