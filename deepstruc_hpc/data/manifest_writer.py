"""The one writer of a manifest: it replaces the file as blocks are finished, but not too often."""

from __future__ import annotations

import time

from deepstruc_hpc.data.manifest import ROOT, BlockEntry, Manifest
from deepstruc_hpc.data.store_files import StoreFiles

SECONDS_BETWEEN_MANIFESTS = 0.5
"""A killed command loses the blocks of this time; a manifest of many blocks takes milliseconds to write."""


class ManifestWriter:
    """Collects finished blocks and replaces the manifest at most twice a second.

    Attributes:
        manifest: the state with all blocks that were added.
    """

    def __init__(self, files: StoreFiles, manifest: Manifest) -> None:
        self._files, self.manifest = files, manifest
        self._written, self._dirty = time.monotonic(), False

    def add(self, entry: BlockEntry) -> None:
        """One more block is there."""
        self.put(self.manifest.with_block(entry))

    def put(self, manifest: Manifest) -> None:
        """The state is another one."""
        self.manifest, self._dirty = manifest, True
        if time.monotonic() - self._written > SECONDS_BETWEEN_MANIFESTS:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._dirty:
            self._files.write({ROOT: self.manifest.to_bytes()})
            self._written, self._dirty = time.monotonic(), False
