"""Uploaded HDF5 files must not reach beyond themselves.

The format can name other files: external links, datasets whose numbers lie in another file, virtual datasets. A reader that follows them would read
whatever the server may read, so a file that holds one is refused before it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.hdf5_tree import MOST_OBJECTS, is_hdf5, opened

REMEDY = "Copy the data into one file (h5repack, or h5py's copy) and upload that."


def refuse_other_files(path: Path) -> None:
    """Look at every link and dataset of an HDF5 file; other files are left alone.

    Raises:
        PdfFileError: naming the first object that lies in another file, or where the file cannot be read.
    """
    if not is_hdf5(path):
        return
    with opened(path) as handle:
        seen = {_address(handle)}
        waiting: list[tuple[str, Any]] = [("", handle)]
        while waiting:
            place, group = waiting.pop()
            for name, item in _members(path, place, group):
                address = _address(item)
                if address in seen:
                    continue
                seen.add(address)
                if len(seen) > MOST_OBJECTS:
                    raise PdfFileError(f"{path}: holds more than {MOST_OBJECTS} objects.")
                if hasattr(item, "keys"):
                    waiting.append((name, item))
                elif hasattr(item, "shape") and (item.external or item.is_virtual):
                    raise PdfFileError(f"{path}: {name}: its numbers lie in another file. {REMEDY}")


def _members(path: Path, place: str, group: Any) -> list[tuple[str, Any]]:
    """Name and object of each hard link; a soft link leads to something that has a hard one, or into an external link."""
    import h5py

    found = []
    for key in group:
        name = f"{place}/{key}"
        try:
            link = group.get(key, getlink=True)
        except TypeError as unknown:  # a kind of link that some program has defined
            raise PdfFileError(f"{path}: {name}: a link of an unknown kind. {REMEDY}") from unknown
        if isinstance(link, h5py.ExternalLink):
            raise PdfFileError(f"{path}: {name}: is a link into another file. {REMEDY}")
        if isinstance(link, h5py.HardLink):
            found.append((name, group[key]))
    return found


def _address(item: Any) -> tuple[int, int]:
    import h5py

    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr
