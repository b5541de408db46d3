"""ZIP files that are opened in bounded memory, whatever their list of contents says."""

from __future__ import annotations

import io
import zipfile
from typing import IO, cast

MOST_DIRECTORY = 4 << 20


class _SmallReads(io.BufferedReader):
    """A file of which not more than `most` bytes can be read at once, until the limit is taken away."""

    most: int | None = MOST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is None:
            return super().read(size)
        content = super().read(self.most + 1 if size is None or not 0 <= size <= self.most else size)
        if len(content) > self.most:
            raise zipfile.BadZipFile(f"its list of contents has more than {self.most >> 20} MiB")
        return content


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """A ZIP whose list of contents is of a sane size: zipfile makes an object of 0.5 KB of every 46 bytes of it.

    Args:
        file: its content, as raw as can be; it stays open.

    Raises:
        BadZipFile: it is no ZIP, or lists too much.
    """
    small = _SmallReads(cast(io.RawIOBase, file))
    archive = zipfile.ZipFile(small)
    small.most = None
    return archive
