"""From paths to items."""

import os
import time

import pytest

from deepstruc_hpc.core.errors import ConfigError, PdfFileError
from deepstruc_hpc.solve.run.inputs import find_pdfs, is_whole, make_items, other_tables_in_words, read_values


def _touch(path, text="0 0\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_directory_gives_its_pdf_files_in_order_and_nothing_else(tmp_path):
    for name in ("b.gr", "a.GR", "c.cgr", "notes.txt", ".hidden.gr", "below/d.gr"):
        _touch(tmp_path / name)
    assert [path.name for path in find_pdfs([tmp_path])] == ["a.GR", "b.gr", "c.cgr"]
    assert [path.name for path in find_pdfs([tmp_path], recursive=True)] == ["a.GR", "b.gr", "d.gr", "c.cgr"]


def test_file_glob_and_list_name_each_file_once(tmp_path):
    a, b = _touch(tmp_path / "a.gr"), _touch(tmp_path / "b.txt")
    listing = _touch(tmp_path / "day.lst", "# first day\na.gr\n\nb.txt\n")
    assert find_pdfs([a, str(tmp_path / "*.txt"), f"@{listing}", listing]) == [a, b]


@pytest.mark.parametrize("name", ["missing.gr", "nothing*.gr", "empty", "@missing.lst"])
def test_what_is_not_there_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / "empty").mkdir()
    given = f"@{tmp_path / name[1:]}" if name.startswith("@") else str(tmp_path / name)
    with pytest.raises(PdfFileError, match=name.removeprefix("@").replace("*", r"\*")):
        find_pdfs([given])


def test_no_path_at_all_is_an_error():
    with pytest.raises(PdfFileError, match="no input"):
        find_pdfs([])


def test_files_of_one_stem_get_folders_of_their_own_and_keep_them(tmp_path):
    paths = [_touch(tmp_path / "x/run 1.gr"), _touch(tmp_path / "y/run 1.gr"), _touch(tmp_path / "z.gr")]
    first = {str(item.path): item.folder for item in make_items(paths)}
    assert len(set(first.values())) == 3
    assert first[str(paths[2])] == "z"
    assert all("/" not in folder and " " not in folder for folder in first.values())
    again = make_items([paths[1]], taken=first)
    assert again[0].folder == first[str(paths[1])]


def test_a_file_that_arrives_later_never_takes_the_folder_of_another(tmp_path):
    old, new = _touch(tmp_path / "x/run.gr"), _touch(tmp_path / "y/run.gr")
    taken = {str(old): "run"}
    assert make_items([new], taken=taken)[0].folder != "run"


def test_values_of_single_files_are_found_by_name_stem_or_path(tmp_path):
    table = _touch(tmp_path / "values.csv", "file, qmax, elements\na.gr, 20,\nb, , Pt\n")
    items = make_items([_touch(tmp_path / "a.gr"), _touch(tmp_path / "b.gr"), _touch(tmp_path / "c.gr")], values=read_values(table))
    assert [dict(item.values) for item in items] == [{"qmax": "20"}, {"elements": "Pt"}, {}]


def test_a_table_of_values_without_a_file_column_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="column 'file'"):
        read_values(_touch(tmp_path / "values.csv", "name,qmax\na,20\n"))


def test_a_file_is_whole_only_when_it_stopped_growing_a_second_ago(tmp_path):
    path, sizes = _touch(tmp_path / "a.gr"), {}
    later = time.time() + 5
    assert not is_whole(path, sizes, now=later)  # first look: nothing to compare with
    assert is_whole(path, sizes, now=later)
    path.write_text("0 0\n1 1\n")
    assert not is_whole(path, sizes, now=later)  # it grew
    os.utime(path, (later, later))
    assert not is_whole(path, sizes, now=later + 0.5)  # written to half a second ago
    assert is_whole(path, sizes, now=later + 1.5)
    path.write_text("")
    is_whole(path, sizes, now=later)
    assert not is_whole(path, sizes, now=later + 60)  # empty is not whole


def test_tables_of_a_directory_under_other_endings_are_said_and_not_read(tmp_path):
    """Fails when a folder of .xy files beside one .gr is solved without a word on them."""
    for name in ("a.gr", "b.xy", "c.dat", "values.csv", "log.json", ".hidden.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_pdfs(tmp_path)] == ["a.gr"]
    (sentence,) = other_tables_in_words([tmp_path, tmp_path / "a.gr"], apart=tmp_path / "values.csv")
    assert (
        sentence
        == f"2 files of {tmp_path} have another ending than a curve, so not read: b.xy, c.dat. To read what holds G(r) there, name '{tmp_path}/*.xy'."
    )
    assert other_tables_in_words([tmp_path / "a.gr", str(tmp_path / "*.xy")]) == []
    (tmp_path / "a.gr").unlink()
    with pytest.raises(PdfFileError, match=r"no \.gr.*Name others by a glob: '.*/\*\.xy'"):
        find_pdfs(tmp_path)
