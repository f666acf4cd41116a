"""One command at a time writes a store: a lock of the system in a directory, a lease with conditional writes on S3.

On S3 the lock is an object that is created only where there is none (``If-None-Match: *``), renewed by its owner, and taken over from an owner that
has not renewed it for a while (``If-Match``), by the server's clock. A lease alone cannot stop an owner that was only asleep. So the manifest is
guarded, too: a command that gets the lock stamps it, and replaces it from then on only where it is as the command left it. An owner that lost its
lock cannot name blocks that the next one may have removed.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.manifest import ROOT, stamped
from deepstruc_hpc.data.store_files import StoreFiles, writing

LOCK = ".build.lock"
LEASE_SECONDS = 60.0
"""s. An owner that has not renewed its lock for so long has ended. Long enough for a server that is slow or away for some renewals; so long waits who
goes on with a build that was killed on another machine."""
RENEWALS_A_LEASE = 6
"""An owner renews its lock so often in a lease."""
_ATTEMPTS = 5


@contextmanager
def building(files: StoreFiles) -> Iterator[None]:
    """Keeps a second command that writes out of a store while this one runs.

    A directory's lock is lifted by the system when the process ends, however it ends. On an object store other than S3 there is none.

    Raises:
        StoreError: another command is at work there.
    """
    if files.is_local:
        with _locked_directory(files):
            yield
    elif files.is_conditional:
        lease = Lease(files)
        lease.acquire()
        try:
            yield
        finally:
            lease.release()
    else:
        yield


@contextmanager
def _locked_directory(files: StoreFiles) -> Iterator[None]:
    import fcntl

    with writing(files.url):
        files.path.mkdir(parents=True, exist_ok=True)
        stream = (files.path / LOCK).open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise StoreError(f"{files.url}: another build is writing this store. Wait for it, or choose another --out.") from busy
        except OSError:  # a file system without locks: go on as on an object store without
            pass
        try:
            yield
        finally:
            if [path.name for path in files.path.iterdir()] == [LOCK]:  # nothing was made: leave nothing
                (files.path / LOCK).unlink()
                files.path.rmdir()


class Lease:
    """The lock of a store on S3, held by this process.

    Args:
        files: the store; its manifest is guarded while the lock is held.
    """

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._owner: dict[str, Any] = {"owner": uuid.uuid4().hex, "host": platform.node(), "system": _system(), "process": os.getpid()}
        self._etag = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lock, and the manifest under guard.

        Raises:
            StoreError: another command holds the lock.
            OutputError: the store cannot be written.
        """
        with writing(self._files.url):
            etag = self._files.write_if(LOCK, self._content(0), None)
            etag = self._taken_over() if etag is None else etag
        if etag is None:
            raise StoreError(f"{self._files.url}: another build is writing this store ({self._holder()}). Wait for it, or choose another --out.")
        self._etag = etag
        self._thread.start()
        try:
            with writing(self._files.url):
                self._guard()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back, if it is still this command's."""
        self._ended.set()
        self._thread.join()
        self._files.guarded.clear()
        with suppress(OSError):  # it then ends by itself
            state = self._files.state(LOCK)
            if state is not None and state[0] == self._etag:
                self._files.delete(LOCK)

    def _taken_over(self) -> str | None:
        state = self._files.state(LOCK)
        if state is None:
            return self._files.write_if(LOCK, self._content(0), None)
        if state[1] > LEASE_SECONDS or _ended_here(self._read()):
            return self._files.write_if(LOCK, self._content(0), state[0])
        return None

    def _guard(self) -> None:
        """Stamp the manifest. From then on another's write of it fails that relies on what was there before."""
        for _ in range(_ATTEMPTS):
            state = self._files.state(ROOT)
            if state is None:
                self._files.guarded[ROOT] = None
                return
            etag = self._files.write_if(ROOT, stamped(self._files.read(ROOT), self._owner["owner"]), state[0])
            if etag is not None:
                self._files.guarded[ROOT] = etag
                return
        raise StoreError(f"{self._files.url}: another build is writing this store. Wait for it, or choose another --out.")

    def _renew(self) -> None:
        count = 0
        while not self._ended.wait(LEASE_SECONDS / RENEWALS_A_LEASE):
            count += 1
            with suppress(OSError):  # the next renewal may reach the server again
                etag = self._files.write_if(LOCK, self._content(count), self._etag)
                if etag is None:
                    return
                self._etag = etag

    def _content(self, renewals: int) -> bytes:
        return json.dumps({**self._owner, "renewals": renewals}).encode()

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._files.read(LOCK))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _holder(self) -> str:
        holder = self._read()
        state = self._files.state(LOCK)
        left = "" if state is None else f"; if it was killed, its lock ends in {max(0.0, LEASE_SECONDS - state[1]):.0f} s"
        return f"process {holder.get('process', '?')} on {holder.get('host', '?')}{left}"


def _ended_here(holder: dict[str, Any]) -> bool:
    """True for an owner that was a process of this system and is no more."""
    if not _system() or holder.get("system") != _system() or not isinstance(holder.get("process"), int):
        return False
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _system() -> str:
    """Names the running system and its table of processes, equal for two processes exactly where they see each other; empty where it is not known."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text(encoding='ascii').strip()} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
