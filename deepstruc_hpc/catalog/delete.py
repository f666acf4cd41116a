"""Delete structures of a catalog: their rows are marked in the manifest and count no longer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np

from deepstruc_hpc.catalog.build import finish
from deepstruc_hpc.catalog.copying import require_complete
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.manifest import Manifest
from deepstruc_hpc.data.manifest_writer import ManifestWriter
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import building


@dataclass(frozen=True)
class DeleteReport:
    """What a deletion did, or would do.

    Attributes:
        store: path or URL.
        dry_run: True when nothing was changed.
        n_deleted: structures that the expression fits.
        by_type: of these, by structure type.
        n_blocks: blocks in which they lie.
        n_structures: structures that are left.
        n_marked: structures that are marked as deleted now, those of earlier calls among them; ``compact`` drops them.
        content_hash: of the catalog now.
    """

    store: str
    dry_run: bool
    n_deleted: int
    by_type: dict[str, int]
    n_blocks: int
    n_structures: int
    n_marked: int
    content_hash: str

    def facts(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def delete_structures(store: str | PathLike[str], where: str, *, dry_run: bool = False) -> DeleteReport:
    """Mark the structures for which an expression holds as deleted. All of them are, or after a kill none.

    Args:
        store: path or URL.
        where: expression over the columns.
        dry_run: only say what it would be.

    Raises:
        ConfigError: no expression, or one that fits every structure.
        StoreError: the catalog is not complete, or another command writes it.
    """
    if not where.strip():
        raise ConfigError("catalog delete: --where is empty. Say which structures, e.g. --where 'n_atoms > 500'.")
    files = StoreFiles(store)
    if dry_run:
        return _deleted(Catalog.open(store), where, write=False)
    Catalog.open(store)
    with building(files):
        return _deleted(Catalog(files, Manifest.read(files)), where, write=True)


def _deleted(catalog: Catalog, where: str, *, write: bool) -> DeleteReport:
    require_complete(catalog)
    rows = catalog.query(where, ["n_atoms", "structure_type"])
    if len(rows) == len(catalog) > 0:
        raise ConfigError(f"--where {where}: fits all {len(catalog)} structures of {catalog.files.url}. Remove the store if that is meant.")
    chosen, atoms = rows.index.to_numpy(dtype=np.int64), rows["n_atoms"].to_numpy()
    manifest, touched = catalog.manifest, 0
    for number, places in catalog.by_block(chosen):
        stored = catalog.stored_rows(number, chosen[places] - catalog.starts[number])
        manifest = manifest.with_block(catalog.blocks[number].without_rows(stored, int(atoms[places].sum())))
        touched += 1
    if write:
        writer = ManifestWriter(catalog.files, catalog.manifest)
        if touched:
            writer.put(manifest)
        writer.close()
        finish(catalog.files, manifest)
    by_type = {str(name): int(count) for name, count in rows["structure_type"].value_counts().items()}
    marked = sum(block.n_deleted for block in manifest.blocks.values())
    return DeleteReport(catalog.files.url, not write, len(rows), by_type, touched, len(catalog) - len(rows), marked, manifest.content_hash)
