"""The shapes of a plan as columns, a few bytes each; names and parameters stay with whoever listed them, or in files that workers read."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.structures.families import Shape, family_named
from deepstruc_hpc.structures.fingerprint import fingerprint

ROWS_A_GROUP = 1024
"""Shapes of a row group of a file: what a worker reads for one block, about; a block of 4,096 structures in 28 elements has 147 shapes."""

GROUPS_IN_MEMORY = 32
"""Row groups that a reader keeps decoded."""

MARK_BYTES = 16


@dataclass(frozen=True, eq=False)
class ListedPart:
    """What the list of one part of a family came to.

    Attributes:
        family: its name.
        marks: (S, 16) uint8, fingerprints.
        n_atoms: (S,) int32.
        types: (S,) int16, places in ``type_names``.
        type_names: structure types.
        digest: hash of names and parameters of all shapes, in order.
        shapes: the shapes; none where they are in a file.
        key: of that file.
    """

    family: str
    marks: NDArray[np.uint8]
    n_atoms: NDArray[np.int32]
    types: NDArray[np.int16]
    type_names: tuple[str, ...]
    digest: str
    shapes: tuple[Shape, ...] | None = None
    key: str = ""

    def __len__(self) -> int:
        return len(self.n_atoms)


@dataclass(frozen=True)
class ShapeFiles:
    """Files of listed shapes in a store, one a part of the list; they are needed until the last block is made.

    Attributes:
        files: the store.
        folder: of the recipe.
    """

    files: StoreFiles
    folder: str

    def write(self, number: int, shapes: Sequence[Shape]) -> str:
        """Write the shapes of one part of the list; returns the key."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            "name": [shape.name for shape in shapes],
            "parameters": [json.dumps(dict(shape.parameters)) for shape in shapes],
            "structure_type": [shape.structure_type for shape in shapes],
            "n_atoms": pa.array([shape.n_atoms for shape in shapes], pa.int32()),
            "fingerprint": [shape.fingerprint for shape in shapes],
        }
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer, compression="zstd", row_group_size=ROWS_A_GROUP, write_page_checksum=True)
        key = f"{self.folder}/{number:05d}.parquet"
        self.files.write({key: buffer.getvalue()})
        return key


class ShapeReader:
    """Looks shapes up by part and place in its list.

    Args:
        parts: of the list.
        files: the store that holds the files of those parts that are in files.
    """

    def __init__(self, parts: Sequence[tuple[str, str, tuple[Shape, ...] | None]], files: StoreFiles | None = None) -> None:
        self._parts, self._files = tuple(parts), files
        self._groups: OrderedDict[tuple[int, int], list[Shape]] = OrderedDict()

    @classmethod
    def of(cls, parts: Sequence[ListedPart], files: StoreFiles | None = None) -> ShapeReader:
        """A reader of listed parts."""
        return cls([(part.family, part.key, part.shapes) for part in parts], files)

    def shape(self, part: int, row: int) -> Shape:
        """One shape."""
        shapes = self._parts[part][2]
        if shapes is not None:
            return shapes[row]
        place = (part, row // ROWS_A_GROUP)
        if place not in self._groups:
            self._groups[place] = self._read(*place)
            while len(self._groups) > GROUPS_IN_MEMORY:
                self._groups.popitem(last=False)
        return self._groups[place][row % ROWS_A_GROUP]

    def _read(self, part: int, group: int) -> list[Shape]:
        import pyarrow.parquet as pq

        family, key, _ = self._parts[part]
        if self._files is None:
            raise RuntimeError(f"{key}: no store to read it from")
        with pq.ParquetFile(self._files.local_copy(key), page_checksum_verification=True) as opened:
            rows = opened.read_row_group(group).to_pylist()
        return [Shape(family, row["structure_type"], row["name"], json.loads(row["parameters"]), row["n_atoms"], row["fingerprint"]) for row in rows]


def listed_part(family: str, shapes: Sequence[Shape]) -> ListedPart:
    """The columns of some shapes of one family; a shape without a fingerprint gets it here."""
    marked = [shape if shape.fingerprint else _marked(shape) for shape in shapes]
    names = tuple(dict.fromkeys(shape.structure_type for shape in marked))
    places = {name: place for place, name in enumerate(names)}
    digest = blake2b(digest_size=MARK_BYTES)
    for shape in marked:
        digest.update(shape_words(shape).encode())
    return ListedPart(
        family,
        np.frombuffer(bytes.fromhex("".join(shape.fingerprint for shape in marked)), dtype=np.uint8).reshape(len(marked), MARK_BYTES),
        np.array([shape.n_atoms for shape in marked], dtype=np.int32),
        np.array([places[shape.structure_type] for shape in marked], dtype=np.int16),
        names,
        digest.hexdigest(),
        tuple(marked),
    )


def _marked(shape: Shape) -> Shape:
    family = family_named(shape.family)
    mark = fingerprint(family.build(shape, "Au", 1.0), scale_free=family.takes_metal)
    return Shape(shape.family, shape.structure_type, shape.name, shape.parameters, shape.n_atoms, mark)


def shape_words(shape: Shape) -> str:
    """What a structure's name says of its shape: the open end of a JSON list."""
    return json.dumps([shape.family, shape.name, dict(shape.parameters)], sort_keys=True, default=str)[:-1]


@dataclass(frozen=True)
class PlannedShape:
    """A shape and the elements it comes in; none where the shape brings its own."""

    shape: Shape
    fingerprint: str
    elements: tuple[str, ...]

    @property
    def count(self) -> int:
        """Structures that it makes."""
        return max(1, len(self.elements))


class PlannedShapes:
    """All shapes of a plan, in its order: columns of a few bytes a shape.

    Args:
        parts: of the list.
        part: (K,) which part of the list each shape is from.
        row: (K,) its place there.
        sets: (K,) in which set of elements it comes.
        element_sets: the sets; an empty one for shapes that bring their own elements.
    """

    def __init__(
        self,
        parts: Sequence[ListedPart],
        part: NDArray[np.int32],
        row: NDArray[np.int32],
        sets: NDArray[np.int16],
        element_sets: Sequence[tuple[str, ...]],
    ) -> None:
        self.parts, self.element_sets = tuple(parts), tuple(element_sets)
        self.part, self.row, self.sets = part, row, sets
        self.type_names = tuple(dict.fromkeys(name for one in parts for name in one.type_names))
        self.types = np.empty(len(row), dtype=np.int16)
        self.n_atoms = np.empty(len(row), dtype=np.int32)
        for number, one in enumerate(parts):
            mine = part == number
            rows = row[mine]
            places = np.array([self.type_names.index(name) for name in one.type_names], dtype=np.int16)
            self.types[mine] = places[one.types[rows]] if len(rows) else 0
            self.n_atoms[mine] = one.n_atoms[rows]
        sizes = np.array([max(1, len(elements)) for elements in self.element_sets], dtype=np.int64)
        self.counts: NDArray[np.int64] = sizes[sets] if len(sets) else np.zeros(0, dtype=np.int64)
        self.reader = ShapeReader.of(parts)

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: int) -> PlannedShape:
        part, row = int(self.part[index]), int(self.row[index])
        mark = self.parts[part].marks[row].tobytes().hex()
        return PlannedShape(self.reader.shape(part, row), mark, self.element_sets[int(self.sets[index])])

    def __iter__(self) -> Iterator[PlannedShape]:
        return (self[index] for index in range(len(self)))

    @property
    def n_in_memory(self) -> int:
        """Listed shapes that this process holds."""
        return sum(len(part) for part in self.parts if part.shapes is not None)

    def in_files(self, shelf: ShapeFiles) -> PlannedShapes:
        """The same with all shapes in files of a store, for workers; what is in memory here is written."""
        parts = [part if part.shapes is None else in_file(part, number, shelf) for number, part in enumerate(self.parts)]
        found = PlannedShapes(parts, self.part, self.row, self.sets, self.element_sets)
        found.read_from(shelf.files)
        return found

    def read_from(self, files: StoreFiles) -> None:
        """Look shapes that are in files up there."""
        self.reader = ShapeReader.of(self.parts, files)

    def digest(self, *more: object) -> str:
        """Hash of everything that decides which structures these are, and of what else is given as plain values."""
        digest = blake2b(
            json.dumps([[part.digest for part in self.parts], self.element_sets, *more], sort_keys=True).encode(), digest_size=MARK_BYTES
        )
        for values in (self.part, self.row, self.sets):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def in_file(part: ListedPart, number: int, shelf: ShapeFiles) -> ListedPart:
    """The part with its shapes in a file.

    Args:
        part: of the list.
        number: of the part.
        shelf: where to write.
    """
    return replace(part, shapes=None, key=shelf.write(number, part.shapes or ()))
