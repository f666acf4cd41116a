"""A file is the old one or the new one, whatever happens in between."""

import os
import threading

import pytest

from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.core.files import write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["Å⁻¹\nsecond line\n", b"\x00\xff\r\n"])
def test_text_and_bytes_arrive_as_given_and_nothing_else_is_left(tmp_path, content):
    path = write_atomically(tmp_path / "a.txt", content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    write_atomically(str(path), "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_of_the_new_one(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.txt", "old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written \(No space left on device\)\. Buy a disk\."):
        write_atomically(path, "new", remedy="Buy a disk.")
    assert (path.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_what_the_system_refuses_is_an_output_error_with_the_path(tmp_path):
    (tmp_path / "folder").mkdir()
    for path, reason in ((tmp_path / "none" / "a.txt", "No such file"), (tmp_path / "folder", "directory")):
        with pytest.raises(OutputError, match=reason) as refused:
            write_atomically(path, "x")
        assert str(path) in str(refused.value)
    assert names(tmp_path) == ["folder"]


def test_a_reader_beside_two_writers_never_sees_half_a_file(tmp_path):
    """Fails when writers share one temporary name or write to the file itself."""
    path, sizes, done = tmp_path / "a.txt", set(), threading.Event()
    write_atomically(path, "a" * 400_000)

    def read():
        while not done.is_set():
            text = path.read_text()
            sizes.add((len(text), len(set(text))))

    threads = [threading.Thread(target=lambda letter=letter: [write_atomically(path, letter * 400_000) for _ in range(60)]) for letter in "ab"]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    assert sizes == {(400_000, 1)}
    assert names(tmp_path) == ["a.txt"]


def test_the_file_has_the_usual_permissions(tmp_path):
    """Temporary files of the standard library are closed to others, which would hide results from a group."""
    before = os.umask(0o022)
    try:
        assert write_atomically(tmp_path / "a.txt", "x").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
