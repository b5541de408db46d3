"""A TIFF that is written as its rows come: deflate strips, the head last; BigTIFF where it may grow beyond 4 GB."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

_STRIP_BYTES = 2**18
_CLASSIC_BYTES = 2**32 - 2**24  # room for the head, and for strips that do not compress
_SHORT, _LONG, _LONG8 = 3, 4, 16
_FORMATS = {1: "B", 2: "s", _SHORT: "H", _LONG: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", _LONG8: "Q"}
_DEFLATE, _LEVEL = 8, 4
_UNSIGNED, _FLOAT = 1, 3


class StripWriter:
    """Write a picture from top to bottom without holding it; a context manager.

    tifffile pulls its data out of one iterator; here labels and probabilities come together, and are pushed.

    Args:
        path: file to write; give a temporary one from `atomic_path`.
        height, width: in pixels.
        channels: values of a pixel.
        dtype: uint8, uint16 or float32.
        tags: further tags as (code, kind, count, value), such as those of a GeoTIFF.

    Raises:
        ValueError: the dtype is none of these.
    """

    def __init__(
        self,
        path: Path,
        height: int,
        width: int,
        channels: int = 1,
        dtype: Any = np.uint8,
        tags: Sequence[tuple[int, int, int, Any]] = (),
    ) -> None:
        self.shape, self.dtype, self.tags = (height, width, channels), np.dtype(dtype), list(tags)
        if self.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(f"a TIFF of {self.dtype} is not written here; give uint8, uint16 or float32")
        self._is_big = height * width * channels * self.dtype.itemsize > _CLASSIC_BYTES
        self._rows_per_strip = max(1, min(height, _STRIP_BYTES // (width * channels * self.dtype.itemsize)))
        self._waiting: list[np.ndarray] = []
        self._written = self._waiting_rows = 0
        self._offsets: list[int] = []
        self._counts: list[int] = []
        self._file = path.open("wb")
        self._file.write(b"II+\0\x08\0\0\0" + bytes(8) if self._is_big else b"II*\0" + bytes(4))

    def write(self, rows: np.ndarray) -> None:
        """Append rows.

        Shape:
            rows ``(n, W)`` or ``(n, W, C)``.

        Raises:
            ValueError: the rows are of another width, or more than the height.
        """
        height, width, channels = self.shape
        rows = rows.reshape(len(rows), -1)
        if rows.shape[1] != width * channels or self._written + self._waiting_rows + len(rows) > height:
            raise ValueError(f"rows of shape {rows.shape} do not go into a picture of {height} x {width} x {channels}")
        self._waiting.append(rows.astype(self.dtype.newbyteorder("<")))
        self._waiting_rows += len(rows)
        if self._waiting_rows >= self._rows_per_strip:
            self._write_strips(self._rows_per_strip)

    def close(self) -> None:
        """Write the last strip and the head.

        Raises:
            ValueError: rows are missing.
        """
        self._write_strips(1)
        if self._written != self.shape[0]:
            self._file.close()
            raise ValueError(f"{self._written} of {self.shape[0]} rows were written")
        self._write_head()
        self._file.close()

    def __enter__(self) -> StripWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def _write_strips(self, fewest: int) -> None:
        if self._waiting_rows < fewest:
            return
        rows = np.concatenate(self._waiting)
        while len(rows) >= fewest:
            strip, rows = rows[: self._rows_per_strip], rows[self._rows_per_strip :]
            content = zlib.compress(strip.tobytes(), _LEVEL)
            self._offsets.append(self._file.tell())
            self._counts.append(self._file.write(content))
            self._written += len(strip)
        self._waiting, self._waiting_rows = ([rows] if len(rows) else []), len(rows)

    def _write_head(self) -> None:
        """The directory: every tag with its values, or with the place where they lie."""
        height, width, channels = self.shape
        place = _LONG8 if self._is_big else _LONG
        kind = _FLOAT if self.dtype.kind == "f" else _UNSIGNED
        tags: list[tuple[int, int, int, Any]] = [
            (256, _LONG, 1, width),
            (257, _LONG, 1, height),
            (258, _SHORT, channels, [self.dtype.itemsize * 8] * channels),
            (259, _SHORT, 1, _DEFLATE),
            (262, _SHORT, 1, 1),  # black is zero
            (273, place, len(self._offsets), self._offsets),
            (277, _SHORT, 1, channels),
            (278, _LONG, 1, self._rows_per_strip),
            (279, place, len(self._counts), self._counts),
            (284, _SHORT, 1, 1),  # the channels of a pixel lie together
            (339, _SHORT, channels, [kind] * channels),
            *self.tags,
        ]
        if channels > 1:
            tags.append((338, _SHORT, channels - 1, [0] * (channels - 1)))
        entry, count, inline = ("<HHQ", "<Q", 8) if self._is_big else ("<HHI", "<H", 4)
        entries = b""
        for code, kind_of, number, value in sorted(tags, key=lambda tag: tag[0]):
            content = _packed(kind_of, number, value)
            if len(content) > inline:
                self._file.write(bytes(self._file.tell() % 2))
                content, outside = struct.pack("<Q", self._file.tell())[:inline], content
                self._file.write(outside)
            entries += struct.pack(entry, code, kind_of, number) + content.ljust(inline, b"\0")
        self._file.write(bytes(self._file.tell() % 2))
        start = self._file.tell()
        self._file.write(struct.pack(count, len(tags)) + entries + bytes(inline))
        self._file.seek(8 if self._is_big else 4)
        self._file.write(struct.pack("<Q", start)[:inline])


def _packed(kind: int, count: int, value: Any) -> bytes:
    if isinstance(value, str):
        value = value.encode("latin-1", "replace")
    if isinstance(value, bytes):
        return value[: count - 1].ljust(count, b"\0")
    values = value if isinstance(value, (list, tuple)) else [value]
    return struct.pack(f"<{count}{_FORMATS[kind]}", *values)
