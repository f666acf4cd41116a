"""Names of clients are text; names of files are ours."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc.serve.names import READ_BY_ENDING, curve_name, file_name, folder_name, new_token, stored_ending, stored_name, token_hash
from deepstruc_hpc.solve.run.inputs import LIST_SUFFIXES


@given(st.text(max_size=300), st.integers(1, 99_999))
def test_whatever_a_client_writes_the_stored_name_is_one_of_ours(text, number):
    """Fails when a part of a client's name gets into a path, or a list of files is stored as one: solve would read what it names."""
    stored = stored_name(number, stored_ending(text))
    assert re.fullmatch(r"f\d{5}\.[a-z0-9]+", stored)
    assert not stored.endswith(LIST_SUFFIXES)
    assert "/" not in folder_name(number)


@given(st.text(max_size=300))
def test_a_shown_name_has_no_folders_no_control_characters_and_is_never_empty(text):
    shown = file_name(text)
    assert shown.strip()
    assert len(shown) <= 130
    assert not {"/", "\\", "\0", "\n", "\u202e"} & set(shown)
    assert all(unicodedata.category(character)[0] != "C" for character in shown)
    assert shown[0] not in "=+-@"
    assert file_name(text, {shown}) != shown


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("a.gr", "a.gr"), ("scan/../../etc/passwd", "passwd"), ("C:\\data\\x.gr", "x.gr"), ("..", "file"), ("", "file"), ("/", "file"),
        ("Proben für März.gr", "Proben für März.gr"), ("試料.gr", "試料.gr"), ("a\u202egr.exe", "agr.exe"), ("=cmd|' /C calc'!A0", "C calc'!A0"),
        ("=1+1.gr", "_=1+1.gr"), ("<img src=x onerror=alert(1)>.gr", "<img src=x onerror=alert(1)>.gr"), ("a\x00b.gr", "ab.gr"),
    ],
)  # fmt: skip
def test_names_as_they_are_shown(given_name, shown):
    assert file_name(given_name) == shown


def test_a_second_file_of_a_name_gets_a_number():
    assert file_name("a.gr", {"a.gr", "a.gr (2)"}) == "a.gr (3)"


def test_endings_that_tell_the_reader_something_stay():
    assert [stored_ending(f"X{ending.upper()}") for ending in READ_BY_ENDING] == list(READ_BY_ENDING)
    assert {stored_ending(name) for name in ("a.lst", "a.list", "a.py", "a", ".gr/..", "a.gr\x00")} == {".txt"}


def test_a_curve_of_several_is_named_with_its_place():
    assert curve_name("a.h5", "/entry/pdf[1]") == "a.h5#/entry/pdf[1]"
    assert curve_name("scan", "/entry/pdf[1]") == "scan.h5#/entry/pdf[1]"


def test_a_token_is_long_and_only_its_hash_is_kept():
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) >= 32
    assert token_hash("a") != token_hash("b")
