"""A link of a page leads to a file that is in the repository: pages are read on a forge and in editors, where no site is built."""

import re

import pytest

from tests.docs.pages import GENERATED, ROOT, documents, text_of

LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|<(?:img|a) [^>]*(?:src|href)=\"([^\"]+)\"|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
PAGES = [*documents(), "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]


def links_of(text):
    """Addresses of links and images, without those in fenced code."""
    plain = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    return [next(filter(None, found)) for found in LINK.findall(plain)]


@pytest.mark.parametrize("page", PAGES)
def test_a_relative_link_leads_to_a_file_of_the_repository(page):
    """Fails for a page that only the site has: link the page of docs/reference that names the command which prints the same."""
    dead = []
    for link in links_of(text_of(page)):
        if re.match(r"[a-z]+:|#", link):
            continue
        target = (ROOT / page).parent.joinpath(link.partition("#")[0]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT) or GENERATED in [target, *target.parents] or "tutorial-output" in target.parts:
            dead.append(link)
    assert dead == []


def test_links_of_each_kind_are_seen():
    text = 'a [b](c.md#d), ![e](f.png "g"), <img alt="" src="h.svg">\n\n```\n[not](i.md)\n```\n\n[j]: k.md\n'
    assert links_of(text) == ["c.md#d", "f.png", "h.svg", "k.md"]
