"""Files that are there whole or not at all, also when the process is killed while it writes."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".tmp-"
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path`` and move it there once the block ends well.

    The temporary name ends like the final one, so that writers that go by the extension work. Where the block fails,
    the temporary file is removed and the old file stays as it was.

    Args:
        path: where the file is to be; missing folders are made.

    Raises:
        OSError: the disk is full or read-only; the text names the final path.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=f"-{target.name}", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private to the user; others may read what open() would have made.
        os.chmod(temporary, target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in _NO_ROOM:
            raise
        remedy = f"{error.strerror}, nothing was changed: free some space or write to another folder"
        raise OSError(error.errno, remedy, str(target)) from error
    except BaseException:  # also an interrupt must not leave the temporary file behind
        temporary.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # Windows cannot open a folder
        _sync(target.parent, os.O_RDONLY)


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes so that ``path`` holds either all of them or what it held before."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text so that ``path`` holds either all of it or what it held before."""
    write_bytes_atomic(path, text.encode("utf-8"))


def remove_leftovers(path: str | os.PathLike[str]) -> list[Path]:
    """Remove what a killed process left of its attempts to write ``path``.

    Call this only where no other process may be writing ``path``, for instance when a run is resumed.

    Returns:
        The files that were removed.
    """
    target = Path(path)
    ending = f"-{target.name}"
    leftovers = [p for p in target.parent.glob(f"{_PREFIX}*") if p.name.endswith(ending)]
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
