"""The one writer of a manifest: it replaces the file as blocks are finished, but not too often."""

from __future__ import annotations

import time

from deepstruc_hpc.data.manifest import ROOT, BlockEntry, Manifest
from deepstruc_hpc.data.store_files import StoreFiles

SECONDS_BETWEEN_MANIFESTS = 0.5
"""Least time between two writes of the manifest: a command that is killed loses the blocks of so long."""
SHARE_OF_MANIFESTS = 0.05
"""Most of its time that a command writes manifests: with many blocks one takes long, and is written more seldom."""


class ManifestWriter:
    """Collects finished blocks and replaces the manifest at most twice a second, and so seldom that this takes a small share of the time."""

    def __init__(self, files: StoreFiles, manifest: Manifest) -> None:
        self._files, self._manifest = files, manifest
        self._added: list[BlockEntry] = []
        self._written, self._dirty, self._pause = time.monotonic(), False, SECONDS_BETWEEN_MANIFESTS

    @property
    def manifest(self) -> Manifest:
        """The state with all blocks so far."""
        self._manifest, self._added = self._manifest.with_blocks(self._added), []
        return self._manifest

    def add(self, entry: BlockEntry) -> None:
        """Take up a finished block."""
        self._added.append(entry)
        self._changed()

    def put(self, manifest: Manifest) -> None:
        """The state is another one."""
        self._manifest, self._added = manifest, []
        self._changed()

    def close(self) -> None:
        """Write what is not written yet."""
        if self._dirty:
            began = time.monotonic()
            self._files.write({ROOT: self.manifest.to_bytes()})
            self._written, self._dirty = time.monotonic(), False
            self._pause = max(SECONDS_BETWEEN_MANIFESTS, (self._written - began) / SHARE_OF_MANIFESTS)

    def _changed(self) -> None:
        self._dirty = True
        if time.monotonic() - self._written > self._pause:
            self.close()
