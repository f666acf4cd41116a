"""The user's CIF files are read before workers ask for them: once, by many processes where they are many, with a bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepstruc_hpc.runtime.progress import no_bar, progress_bar
from deepstruc_hpc.structures.cif_reading import read_cif
from deepstruc_hpc.structures.user_crystals import UserCrystals

FEW_CIFS = 400
"""So many are read in this process: Ray and the imports of its workers take longer."""
IN_FLIGHT = 16
"""Files handed out at a time to each worker."""
LABEL = "reading CIF files"


class CifReader:
    """Reads one file after the other, in an actor."""

    def __call__(self, item: Path) -> dict[str, Any]:
        """What :func:`read_cif` finds."""
        return read_cif(item)


def read_folder(folder: str | Path, *, workers: int | None = None, progress: bool = True) -> UserCrystals:
    """Read the CIF files of a folder that its index does not know yet. A call that is interrupted has lost nothing: the next one goes on.

    Args:
        folder: where they are (and below); one file is fine too.
        workers: actors; None for one a core where files are many, 0 for this process without Ray.
        progress: show a bar on stderr.

    Returns:
        The folder, with nothing pending.

    Raises:
        StructureError: no such folder, or no CIF file in it.
        EngineError: Ray did not start.
    """
    own = UserCrystals(folder)
    pending = own.pending
    try:
        if workers == 0 or (workers is None and len(pending) <= FEW_CIFS) or not pending:
            with (progress_bar if progress and pending else no_bar)(LABEL, len(pending)) as bar:
                for path in pending:
                    own.add(path, read_cif(path))
                    bar.advance()
        else:
            for path, read in _read_by_actors(pending, workers, progress=progress):
                own.add(path, read)
    finally:
        own.close()
    return own


def _read_by_actors(pending: Sequence[Path], workers: int | None, *, progress: bool) -> Iterator[tuple[Path, dict[str, Any]]]:
    from deepstruc_hpc.runtime.pool import ItemFailure, map_over_actors
    from deepstruc_hpc.runtime.ray_session import ray_session

    with ray_session() as session:
        count = min(workers or max(1, int(session.cpus)), len(pending))
        label = LABEL if progress else ""
        for path, read in map_over_actors(CifReader, pending, workers=count, max_in_flight=IN_FLIGHT * count, retries=1, progress_label=label):
            yield path, {"crystals": [], "notes": [], "failure": str(read)} if isinstance(read, ItemFailure) else read
