"""What the page and the terminal say about a file."""

import json
import re

import pandas as pd
import pytest

from deepstruc_hpc.cli.solve_ending import print_summary
from deepstruc_hpc.report import words
from deepstruc_hpc.report.encode import MOST_DRAWN, pdf_document
from deepstruc_hpc.report.figures import draw_folder
from deepstruc_hpc.report.page import write_report
from deepstruc_hpc.report.results import read_results
from tests.report.kinds import NOTE, REASON, TAKEN, summary_frame, write_kinds

NOTHING = re.compile(r"<NA>|\bnan\b|\bNaN\b|\bnull\b|\bNone\b|\bundefined\b")


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    return write_kinds(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize(
    ("row", "wording"),
    [
        ({"diameter": 25.25, "diameter_low": 23.94, "diameter_high": 25.61}, "25.2 (23.9–25.6)"),
        ({"diameter": 25.25, "diameter_low": 25.24, "diameter_high": 25.22}, "25.2"),
        ({"diameter": 25.25}, "25.2"),
        ({"diameter": None, "diameter_low": 50.0, "diameter_high": None, "flags": "bulk;lower_bound"}, "> 50"),
        ({"diameter": 61.0, "diameter_low": 45.1, "diameter_high": float("nan"), "flags": "lower_bound"}, "> 45"),
        ({"diameter": pd.NA, "diameter_low": float("nan"), "diameter_high": None}, ""),
    ],
)
def test_a_diameter_is_a_number_with_its_range_or_a_lower_bound_or_nothing(row, wording):
    assert words.diameter_words(row) == wording


@pytest.mark.parametrize(
    ("row", "wording"),
    [
        ({"formula": "CeO2", "phase": "CeO2 fluorite"}, "CeO2 fluorite"),
        ({"formula": "Pt", "phase": "fcc"}, "Pt fcc"),
        ({"phase": float("nan"), "structure_type": "stacking_fault", "formula": None}, "stacking fault"),
        ({"phase": "", "formula": ""}, ""),
        ({"formula": "Au", "phase": ""}, ""),
    ],
)
def test_a_phase_names_the_matter_and_its_structure(row, wording):
    assert words.phase_words(row) == wording


@pytest.mark.parametrize(
    "flag",
    ["largest_tried", "poor_fit", "other_elements", "tail", "ligand_term", "support", "bulk", "amorphous", "lower_bound"],
)
def test_every_flag_has_words_and_an_explanation_in_sentences(flag):
    [(wording, meaning)] = words.flag_words({"flags": flag})
    assert "_" not in wording
    assert meaning.endswith(".")


def test_a_flag_of_a_later_version_is_shown_as_it_stands():
    assert words.flag_words({"flags": "bulk; new_word;"})[1] == ("new word", "")
    assert [doubt for *_, doubt in words.words_of({"flags": "bulk;other_elements;poor_fit"}, {})["flags"]] == [False, True, True]


@pytest.mark.parametrize(
    ("message", "wording"),
    [
        ("/a b/x.gr: too short", "too short"),
        ("/a b/x.gr:24: r goes back", "line 24: r goes back"),
        ("x.gr: too short", "too short"),
        ("cannot read /a b/x.gr today", "cannot read x.gr today"),
        ("xXgr: kept", "xXgr: kept"),
        (None, ""),
    ],
)
def test_a_message_does_not_repeat_the_path_that_stands_beside_it(message, wording):
    assert words.message_words({"file": "/a b/x.gr", "message": message}) == wording


def test_notes_are_shown_once_and_not_where_the_message_says_them():
    details = {"details": {"notes": ["one.", "two", "one."]}, "conditions": {"notes": ["two", "three"]}}
    assert words.notes_of(details, "warning: three; more") == ["one.", "two"]


def test_the_terminal_shows_words_and_dashes_and_the_files_keep_their_own(capsys, tmp_path):
    print_summary(tmp_path, summary_frame(), None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert NOTHING.search("\n".join(lines)) is None
    cells = {line.split()[0]: re.split(r"\s{2,}", line) for line in lines[:5]}
    assert cells["ceria.gr"] == ["ceria.gr", "CeO2 fluorite", "633", "25.2 (23.9–25.6)", "0.050", "0.97", "ok", "largest tried"]
    assert cells["pt.gr"] == ["pt.gr", "Pt fcc", "bulk", "> 50", "0.113", "1.00", "ok", "bulk, lower bound"]
    assert cells["w.gr"] == ["w.gr", "-", "-", "-", "0.620", "-", "not applicable", "-"]
    assert cells["bad.dat"] == ["bad.dat", "-", "-", "-", "-", "-", "failed", "-"]
    assert f"w.gr: {REASON}" in lines
    assert "bad.dat: line 24: r goes back from 1.927 to 1.9255 Å." in lines
    assert lines[-1].startswith("2 ok, 1 not applicable, 1 failed. Results: ")
    print_summary(tmp_path, summary_frame(), None, as_json=True)
    assert [row["status"] for row in json.loads(capsys.readouterr().out)["items"]] == ["failed", "ok", "ok", "refused"]


def test_nothing_solved_prints_no_table(capsys, tmp_path):
    print_summary(tmp_path, summary_frame().iloc[:0], None, as_json=False)
    assert capsys.readouterr().out.startswith("nothing solved. Results: ")


def test_a_file_says_what_it_was_taken_for_and_its_notes(solved):
    wording = pdf_document(read_results(solved).pdfs[1])["words"]
    assert (wording["taken_for"], wording["notes"]) == (TAKEN, [NOTE])
    assert wording["size"] == "633 atoms, diameter 25.2 Å; 23.9 to 25.6 Å with 90 %"


def test_crystals_without_an_end_are_left_out_of_rw_against_size(solved):
    _, ceria, bulk, _ = read_results(solved).pdfs
    sizes = pdf_document(ceria)["sizes"]
    assert (sizes["left_out"], sizes["n_atoms"]["lo"]) == (1, 581.0)
    assert pdf_document(bulk)["sizes"] is None


def test_of_a_large_crystal_the_page_draws_the_innermost_atoms(solved):
    atoms = pdf_document(read_results(solved).pdfs[1])["candidates"][2]["atoms"]
    assert (atoms["drawn"], atoms["of"]) == (MOST_DRAWN, 5000)
    assert sum(count for _, count in atoms["symbols"]) == MOST_DRAWN


def test_a_map_without_samples_is_neither_drawn_nor_shown(solved, tmp_path):
    out = write_kinds(tmp_path)
    draw_folder(out / "ceria")
    assert (out / "ceria" / "fit.png").is_file()
    assert not (out / "ceria" / "latent.png").exists()
    assert read_results(out).pdfs[1].latent is None


def test_the_series_holds_the_answers_alone(solved):
    page = write_report(solved, figures=False, chemiscope=False).read_text(encoding="utf-8")
    folder = json.loads(re.search(r'<script type="application/json" id="folder">(.*?)</script>', page, re.DOTALL)[1])
    assert folder["fitted"] == [False, True, True, False]
    assert folder["counts"] == "2 solved, 1 not applicable, 1 failed"
