"""Verify a catalog, block by block over actors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from deepstruc_hpc.catalog.over_blocks import over_blocks
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import BlockChecker, CheckedBlock, Fault, faults_of, orphans


@dataclass(frozen=True)
class VerifyReport:
    """What a check of a catalog found.

    Attributes:
        store: path or URL.
        n_blocks: that were checked.
        n_structures: in these.
        n_bytes: of these.
        faults: all that is wrong.
        left_over: paths that this state does not need.
        seconds: of this call.
    """

    store: str
    n_blocks: int
    n_structures: int
    n_bytes: int
    faults: tuple[Fault, ...]
    left_over: tuple[str, ...]
    seconds: float

    def facts(self) -> dict[str, Any]:
        """The report as plain values."""
        found = [{"block": fault.block, "message": fault.message} for fault in self.faults]
        counts: Mapping[str, Any] = {"structures": self.n_structures, "bytes": self.n_bytes, "seconds": self.seconds}
        return {"store": self.store, "blocks": self.n_blocks, **counts, "faults": found, "left_over": list(self.left_over)}


def verify_catalog(catalog: Catalog, *, workers: int | None = None, progress: bool = True) -> VerifyReport:
    """Check every checksum and invariant.

    Args:
        catalog: an open catalog.
        workers: see :func:`deepstruc_hpc.catalog.over_blocks.over_blocks`.
        progress: show a bar on stderr.
    """
    started = time.perf_counter()
    numbers = range(len(catalog.blocks))
    checks = over_blocks(partial(BlockChecker, catalog), numbers, workers=workers, label="checking blocks", progress=progress)
    checked: dict[int, CheckedBlock] = dict(checks)
    faults, n_bytes = faults_of(catalog, checked), sum(block.n_bytes for block in catalog.blocks)
    seconds = round(time.perf_counter() - started, 3)
    return VerifyReport(catalog.files.url, len(catalog.blocks), len(catalog), n_bytes, tuple(faults), tuple(orphans(catalog)), seconds)
