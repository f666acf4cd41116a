"""Files that are whole or not there."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from deepstruc_hpc.core.errors import OutputError

REMEDY = "Free space or check the permissions."


def write_atomically(path: str | os.PathLike[str], content: str | bytes, *, remedy: str = REMEDY) -> Path:
    """Write a file so that a reader finds the old one or the new one, never half of it, and so that two writers do not mix.

    The content goes to a file of its own name in the same directory, which is then given the right name. Nothing of it is left after a failure.

    Args:
        path: of the file; its directory is there.
        content: text, written as UTF-8, or bytes.
        remedy: what the error tells its reader to do.

    Returns:
        The path.

    Raises:
        OutputError: with the path and the system's reason.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(target)
    except OSError as failed:
        raise OutputError(f"{target}: cannot be written ({failed.strerror or failed}). {remedy}") from failed
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return target
