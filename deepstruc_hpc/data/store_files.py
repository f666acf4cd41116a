"""Bytes in and out of a store, be it a directory or a URL that fsspec opens."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from deepstruc_hpc.core.errors import OutputError, StoreError

SYNCS_AT_ONCE = 8
_REMOTE_CLIENTS = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "adlfs", "azure", "s3fs")


class StoreFiles:
    """The files of one store, named by keys such as ``blocks/x/zarr.json``.

    A write of one key is atomic: a reader sees the old bytes or the new ones. On a directory that is a temporary name, fsync and rename; object
    stores do it by themselves.

    Attributes:
        guarded: keys that only this object may write, with the ETag of what is there (None for nothing); see :mod:`deepstruc_hpc.data.store_lock`.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        text = os.fspath(url)
        self.is_local = "://" not in text or text.startswith("file://")
        if self.is_local:
            self.path = Path(text.removeprefix("file://")).expanduser().absolute()
            self.url = str(self.path)
        else:
            self.url = text.rstrip("/")
            self._fs, self._root = _open_url(self.url)
        self.guarded: dict[str, str | None] = {}

    def __reduce__(self) -> tuple[type[StoreFiles], tuple[str]]:
        return StoreFiles, (self.url,)

    def read(self, key: str) -> bytes:
        """The bytes of one key.

        Raises:
            FileNotFoundError: there is no such key.
        """
        if self.is_local:
            return (self.path / key).read_bytes()
        with answering():
            content: bytes = self._fs.cat_file(f"{self._root}/{key}")
        return content

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes of many keys, at once where the store is a remote one.

        Raises:
            FileNotFoundError: one of them is not there.
        """
        if self.is_local or not keys:
            return {key: self.read(key) for key in keys}
        found: dict[str, bytes] = self._fs.cat([f"{self._root}/{key}" for key in keys])
        return {key: found[f"{self._root}/{key}"] for key in keys}

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """The bytes of one key from ``start`` to ``stop``.

        Raises:
            FileNotFoundError: there is no such key.
        """
        if self.is_local:
            with (self.path / key).open("rb") as stream:
                stream.seek(start)
                return stream.read(stop - start)
        with answering():
            content: bytes = self._fs.cat_file(f"{self._root}/{key}", start=start, end=stop)
        return content

    def exists(self, key: str) -> bool:
        """True when the key is there."""
        if self.is_local:
            return (self.path / key).is_file()
        self._fs.invalidate_cache()  # another process may have written it
        return bool(self._fs.isfile(f"{self._root}/{key}"))

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write keys, each atomically, the last one when all others are there.

        Raises:
            OutputError: no space, read-only, or no such place.
            StoreError: a guarded key was written by another command.
        """
        with writing(self.url):
            if self.is_local:
                _write_files({self.path / key: content for key, content in contents.items()})
                return
            *others, last = [(f"{self._root}/{key}", content) for key, content in contents.items()]
            if others:
                self._fs.pipe(dict(others))
            if last[0].removeprefix(f"{self._root}/") not in self.guarded:
                self._fs.pipe_file(*last)
                return
        self._write_guarded(last[0].removeprefix(f"{self._root}/"), last[1])

    def _write_guarded(self, key: str, content: bytes) -> None:
        with writing(self.url):
            etag = self.write_if(key, content, self.guarded[key])
        if etag is None:
            raise StoreError(
                f"{self.url}: another command has taken this store over, because this one did not renew its lock in time. Nothing that the store "
                "names is lost; when the other has ended, the same command goes on."
            )
        self.guarded[key] = etag

    @property
    def is_conditional(self) -> bool:
        """True where a write can be made to depend on what is there: on S3."""
        return not self.is_local and bool({"s3", "s3a"} & {*([self._fs.protocol] if isinstance(self._fs.protocol, str) else self._fs.protocol)})

    def write_if(self, key: str, content: bytes, etag: str | None) -> str | None:
        """Write a key of a store with conditional writes if what is there has an ETag, or, for None, if nothing is there.

        Returns:
            The new ETag; None where something else is there, or, with an ETag given, nothing.
        """
        condition: dict[str, Any] = {"mode": "create"} if etag is None else {"IfMatch": etag}
        try:
            with answering():
                return str(self._fs.pipe_file(f"{self._root}/{key}", content, **condition)["ETag"])
        except OSError as refused:
            if not _is_unmet(refused):
                raise
        there = self.state(key)  # a write that was repeated after a lost answer meets itself
        return there[0] if there is not None and self.read(key) == content else None

    def state(self, key: str) -> tuple[str, float] | None:
        """ETag of a key and its age in seconds by the server's clock; None where there is none."""
        bucket, _, name = f"{self._root}/{key}".partition("/")
        try:
            with answering():
                head = self._fs.call_s3("head_object", Bucket=bucket, Key=name)
        except FileNotFoundError:
            return None
        now = parsedate_to_datetime(head["ResponseMetadata"]["HTTPHeaders"]["date"])
        return str(head["ETag"]), (now - head["LastModified"]).total_seconds()

    def keys(self, prefix: str) -> list[str]:
        """All keys under a prefix, sorted."""
        if self.is_local:
            base = self.path / prefix
            return sorted(path.relative_to(self.path).as_posix() for path in base.rglob("*") if path.is_file())
        self._fs.invalidate_cache()
        found = self._fs.find(f"{self._root}/{prefix}")
        return sorted(str(name).removeprefix(self._root).lstrip("/") for name in found)

    def names(self, prefix: str) -> list[str]:
        """Names of what lies directly under a prefix, files and folders, sorted."""
        if self.is_local:
            base = self.path / prefix
            return sorted(path.name for path in base.iterdir()) if base.is_dir() else []
        depth = len(prefix.split("/"))
        return sorted({key.split("/")[depth] for key in self.keys(prefix) if key.count("/") >= depth})

    def delete(self, key: str) -> None:
        """Remove a key or everything under a prefix; nothing happens where there is none."""
        if self.is_local:
            _delete_tree(self.path / key)
        elif self._fs.exists(f"{self._root}/{key}"):
            self._fs.rm(f"{self._root}/{key}", recursive=True)

    def zarr_store(self) -> Any:
        """A read-only Zarr store over these files."""
        from zarr.storage import FsspecStore, LocalStore

        if self.is_local:
            return LocalStore(self.path, read_only=True)
        return FsspecStore.from_url(self.url, read_only=True)

    def address(self, key: str) -> str:
        """Path or URL of a key, for libraries that open files themselves."""
        return str(self.path / key) if self.is_local else str(self._fs.unstrip_protocol(f"{self._root}/{key}"))

    @property
    def filesystem(self) -> Any:
        """The fsspec file system of a remote store."""
        return self._fs

    def local_copy(self, key: str) -> Any:
        """Something that pyarrow opens: a path, or an open file of the remote store."""
        return str(self.path / key) if self.is_local else self._fs.open(f"{self._root}/{key}", "rb")


@contextmanager
def answering() -> Iterator[None]:
    """Turns what the client of a remote store raises (no credentials, no connection, no permission) into an OSError."""
    try:
        yield
    except Exception as failed:
        if type(failed).__module__.partition(".")[0] in _REMOTE_CLIENTS and not isinstance(failed, OSError):
            raise OSError(f"{type(failed).__name__}: {failed}") from failed
        raise


@contextmanager
def writing(place: str) -> Iterator[None]:
    """Turns what the system says of a failed write into an error that tells what to do."""
    try:
        with answering():
            yield
    except OSError as failed:
        reason = failed.strerror or str(failed)
        raise OutputError(
            f"{place}: cannot be written ({reason}). Free space or choose another --out; what the manifest names is whole, the same command goes on."
        ) from failed


def _is_unmet(refused: OSError) -> bool:
    """True for a conditional write that was refused because of its condition."""
    answer = getattr(refused.__cause__, "response", None) or {}
    return answer.get("Error", {}).get("Code") in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey"}


def _open_url(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as unusable:
        raise StoreError(
            f"{url}: cannot be opened ({unusable}). Use a directory, or a URL whose fsspec package is installed (s3:// needs s3fs)."
        ) from unusable
    return filesystem, str(root).rstrip("/")


def _write_files(contents: Mapping[Path, bytes]) -> None:
    """All bytes reach the disk under temporary names first; then they get their names, in order."""
    temporary = {path: path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp") for path in contents}
    try:
        for folder in dict.fromkeys(path.parent for path in contents):
            folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            temporary[path].write_bytes(content)
        if len(contents) == 1:
            _sync(*temporary.values())
        else:
            with ThreadPoolExecutor(SYNCS_AT_ONCE) as pool:
                list(pool.map(_sync, temporary.values()))
        for path, written in temporary.items():
            written.replace(path)
    except OSError:
        for written in temporary.values():
            _discard(written)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _delete_tree(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _delete_tree(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
