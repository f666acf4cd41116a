"""The index of a folder of CIF files: nothing is read twice, a kill loses nothing, damage and changes are noticed, other elements stay packed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepstruc_hpc.structures import crystal_index, user_crystals
from deepstruc_hpc.structures.cif_reading import read_cif
from deepstruc_hpc.structures.crystal_listing import export_cifs
from deepstruc_hpc.structures.prototypes import candidate_crystals
from deepstruc_hpc.structures.user_crystals import UserCrystals


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder; the table of prototypes is made already."""
    candidate_crystals(["Na", "Cl"])
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    """CIF files of NaCl and of MgO, and two that are broken."""
    place = tmp_path / "cifs"
    export_cifs(candidate_crystals(["Na", "Cl"], amounts={"Na": 1, "Cl": 1})[:6], place)
    export_cifs(candidate_crystals(["Mg", "O"], amounts={"Mg": 1, "O": 1})[:5], place / "below")
    (place / "broken.cif").write_text("nothing")
    (place / "empty.cif").write_text("")
    return place


class Reader:
    """Stands in the place of ``read_cif`` and counts."""

    def __init__(self):
        self.names = []

    def __call__(self, path):
        self.names.append(path.name)
        return read_cif(path)


@pytest.fixture
def reader(monkeypatch):
    made = Reader()
    monkeypatch.setattr(user_crystals, "read_cif", made)
    return made


def opened(place):
    found = UserCrystals(place)
    found.read_rest()
    return found


def parts(cache):
    return sorted(cache.glob("user-crystals-*/*.lines"))


def same(one, other):
    assert [candidate.origin for candidate in one] == [candidate.origin for candidate in other]
    for a, b in zip(one, other, strict=True):
        assert (a.formula, a.group, a.space_group, a.notes) == (b.formula, b.group, b.space_group, b.notes)
        np.testing.assert_array_equal(a.crystal.fractions, b.crystal.fractions)
        np.testing.assert_array_equal(a.crystal.lattice, b.crystal.lattice)


@pytest.mark.usefixtures("cache")
def test_what_is_found_again_is_what_was_read(folder, reader):
    first = opened(folder)
    assert len(reader.names) == len(first) == 13
    second = opened(folder)
    assert len(reader.names) == 13
    same(first.candidates(), second.candidates())
    assert first.failures() == second.failures() != []


@pytest.mark.usefixtures("cache")
def test_a_file_that_changed_came_or_went_is_noticed_and_no_other_is_read_again(folder, reader):
    before = opened(folder)
    names = sorted(path.name for path in folder.glob("*.cif"))
    (folder / names[0]).unlink()
    (folder / names[1]).write_text((folder / names[1]).read_text() + "\n# changed\n")
    (folder / "new.cif").write_text((folder / names[2]).read_text())
    reader.names.clear()
    after = opened(folder)
    assert sorted(reader.names) == sorted([names[1], "new.cif"])
    assert len(after.candidates()) == len(before.candidates())
    assert not any(names[0] in candidate.origin for candidate in after.candidates())


@pytest.mark.usefixtures("cache")
def test_crystals_of_other_elements_are_never_unpacked(folder, monkeypatch):
    opened(folder)
    found = UserCrystals(folder)
    texts = []

    def unpack(text):
        texts.append(text)
        return json.loads(text)

    monkeypatch.setattr(crystal_index, "json", SimpleNamespace(loads=unpack))
    assert len(found.candidates(["Mg", "O", "H"])) == len(texts) == 5
    assert found.candidates(["Mg", "Na"]) == []
    assert len(texts) == 5


BUILD = """
import sys
from pathlib import Path
from deepstruc_hpc.structures import user_crystals
found = user_crystals.UserCrystals(Path(sys.argv[1]))
for number, path in enumerate(found.pending):
    found.add(path, user_crystals.read_cif(path))
    print(number, flush=True)
    if number == 6:
        sys.stdin.read()
"""


def build_in_a_process(folder, cache):
    environment = {**os.environ, "DEEPSTRUC_HPC_CACHE": str(cache), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", BUILD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)


def test_a_build_that_is_killed_goes_on_where_it_was(folder, cache, reader):
    with build_in_a_process(folder, cache) as build:
        assert build.stdout is not None
        assert [build.stdout.readline() for _ in range(7)][-1] == "6\n"
        build.send_signal(signal.SIGKILL)
        build.wait()
    (part,) = parts(cache)
    part.write_bytes(part.read_bytes()[:-40])  # the line that was being written
    resumed = opened(folder)
    assert len(reader.names) == 13 - 6
    assert not resumed.damage
    same(resumed.candidates(), [one for path in user_crystals.crystal_files(folder) for one in opened(path).candidates()])


def test_two_builds_at_once_do_no_harm(folder, cache, reader):
    with build_in_a_process(folder, cache) as build:
        assert build.stdout is not None
        build.stdout.readline()
        here = UserCrystals(folder)
        for path in here.pending:
            here.add(path, user_crystals.read_cif(path))
        here.close()
        assert build.communicate(timeout=60)[0].endswith("12\n")
    reader.names.clear()
    after = opened(folder)
    assert reader.names == []
    same(after.candidates(), here.candidates())


@pytest.mark.parametrize("how", ["a byte", "a line", "all"])
def test_a_damaged_index_is_rebuilt_with_a_word(folder, cache, reader, how):
    before = opened(folder)
    (part,) = parts(cache)
    content = bytearray(part.read_bytes())
    if how == "a byte":
        content[len(content) // 2] ^= 1
    elif how == "a line":
        content[:0] = b"no checksum\tno head\n"
    else:
        content = bytearray(b"\x00\x01binary" * 300)
    part.write_bytes(content)
    reader.names.clear()
    damaged = UserCrystals(folder)
    assert f"index of {folder} was damaged" in damaged.damage
    damaged.read_rest()
    assert len(reader.names) == {"a byte": 1, "a line": 0, "all": 13}[how]
    again = opened(folder)
    assert len(reader.names) == {"a byte": 1, "a line": 0, "all": 13}[how]
    assert not again.damage
    same(again.candidates(), before.candidates())


def test_parts_at_rest_are_put_together_and_what_is_gone_is_forgotten(folder, cache, reader):
    first = sorted(path.name for path in folder.glob("*.cif"))[0]
    for number in range(6):
        (folder / first).write_text((folder / first).read_text() + f"# {number}\n")
        opened(folder)
        for part in parts(cache):
            long_ago = time.time() - 2 * crystal_index.AT_REST_S
            os.utime(part, (long_ago, long_ago))
    assert len(parts(cache)) <= crystal_index.MOST_PARTS
    (folder / first).unlink()
    (folder / "new.cif").write_text("nothing")
    reader.names.clear()
    opened(folder)
    opened(folder)
    assert reader.names == ["new.cif"]


def test_a_part_that_another_process_may_be_writing_to_is_left_alone(folder, cache):
    first = sorted(path.name for path in folder.glob("*.cif"))[0]
    for number in range(6):
        (folder / first).write_text((folder / first).read_text() + f"# {number}\n")
        opened(folder)
    assert len(parts(cache)) >= 6


def test_an_index_that_was_put_together_meanwhile_is_read_on(folder, cache):
    found = opened(folder)
    for part in parts(cache):
        part.unlink()
    assert len(found.candidates()) == 11


def test_where_nothing_can_be_kept_all_is_read_all_the_same(folder, cache, monkeypatch):
    blocked = cache.parent / "blocked"
    blocked.write_text("")
    monkeypatch.setattr(crystal_index, "cache_dir", lambda: blocked)
    found = opened(folder)
    assert len(found.candidates()) == 11
    assert len(found.failures()) == 2
