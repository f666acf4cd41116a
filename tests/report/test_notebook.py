"""The views of the report as a notebook shows them."""

import html
import re

import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.report.notebook import show
from deepstruc_hpc.solve.run.frame import SolvedFrame
from tests.report.browser import CHROMIUM, DRIVER, MISSING, Browser
from tests.report.kinds import summary_frame, write_kinds


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    out = write_kinds(tmp_path_factory.mktemp("results") / "a <b>folder")
    return SolvedFrame.of(summary_frame(), out)


def test_the_table_is_the_summary_and_a_part_of_it_is_a_plain_table(frame):
    pd.testing.assert_frame_equal(pd.DataFrame(frame), summary_frame())
    assert type(frame[frame["status"] == "ok"]) is pd.DataFrame
    assert type(frame.copy()) is pd.DataFrame


def test_show_gives_the_page_that_solve_writes_in_a_closed_frame(frame):
    view = frame.show(height=700)
    shown = view._repr_html_()
    (page,) = re.findall(r'srcdoc="([^"]*)"', shown)
    written = (frame.directory / "index.html").read_text()
    assert re.sub(r"<style>\.links.*?</style>", "", html.unescape(page)) == written
    assert 'sandbox="allow-scripts allow-popups"' in shown, "no allow-same-origin: the page cannot reach the notebook"
    assert "height:700px" in shown
    assert "<b>folder" not in shown.replace(page, "")
    assert "index.html" in repr(view)


def test_another_directory_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"summary\.csv"):
        show(tmp_path)


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_the_views_are_drawn_within_the_frame(frame, tmp_path):
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset='utf-8'><p>In[1]</p>{frame.show()._repr_html_()}")
    with Browser(tmp_path / "profile") as browser:
        browser.open(notebook)
        browser.call("/frame", {"id": 0})
        browser.wait(
            "document.querySelectorAll('#summary tbody tr').length === 4 && document.querySelectorAll('details.pdf[open] .plot .main-svg').length"
        )
        assert browser.run("return document.querySelectorAll('details.pdf[open] canvas').length;") == 3
        assert browser.run("return getComputedStyle(document.querySelector('.links')).display;") == "none"
        assert browser.complaints() == []
