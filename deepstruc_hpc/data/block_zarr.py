"""A block's file as Zarr sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from deepstruc_hpc.data.block_file import BlockFile


class BlockStore(Store):  # type: ignore[misc]
    """A block's file as a read-only Zarr store, at any place that the store's files can be read from in ranges."""

    supports_writes = supports_deletes = False
    supports_listing = True

    def __init__(self, block: BlockFile) -> None:
        super().__init__(read_only=True)
        self._block = block

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockStore) and (self._block.files.url, self._block.key) == (other._block.files.url, other._block.key)

    __hash__ = Store.__hash__

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:
        """Zarr's way to read a member or a part of it."""
        member = self._block.members.get(key)
        if member is None:
            return None
        start, stop = member.start, member.start + member.size
        if isinstance(byte_range, RangeByteRequest):
            start, stop = start + byte_range.start, min(stop, start + byte_range.end)
        elif isinstance(byte_range, OffsetByteRequest):
            start += byte_range.offset
        elif isinstance(byte_range, SuffixByteRequest):
            start = max(start, stop - byte_range.suffix)
        return prototype.buffer.from_bytes(self._block.read(start, stop))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, ByteRequest | None]]) -> list[Any]:
        """Zarr's way to read parts of several members."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """True for a member."""
        return key in self._block.members

    async def set(self, key: str, value: Any) -> None:  # noqa: ARG002 - zarr's signature
        """Refused: a block is written once.

        Raises:
            ValueError: always.
        """
        self._check_writable()

    async def delete(self, key: str) -> None:  # noqa: ARG002 - zarr's signature
        """Refused: a block is written once.

        Raises:
            ValueError: always.
        """
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """Names of all members."""
        for name in self._block.members:
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the members under a prefix."""
        for name in self._block.members:
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly under a prefix."""
        base = f"{prefix.rstrip('/')}/" if prefix else ""
        for name in dict.fromkeys(name.removeprefix(base).split("/")[0] for name in self._block.members if name.startswith(base)):
            yield name
