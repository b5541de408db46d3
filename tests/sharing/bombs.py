"""Archives that are small and ask for a lot: of disk, of memory, or of time."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from safe_bundle import files, zipped

Builder = Callable[[Path], Path]
ZEROS = b"\0" * (1 << 20)


def bombs() -> Iterator[tuple[str, Builder]]:
    """Name and maker of every bomb; each makes a ZIP and gives its path."""
    usual = list(files().items())

    def archive(*members: tuple[str, bytes]) -> Builder:
        return lambda path: zipped(path, [*usual, *members])

    def stored(name: str, content: bytes) -> Builder:
        return lambda path: _compressed(path, zipfile.ZIP_STORED, name, content)

    yield "one member", archive(("docs/a.txt", ZEROS * 64))
    yield "many members, each too small to be one", archive(*((f"docs/{n}.txt", ZEROS) for n in range(300)))
    yield "members that share their bytes", _overlapping
    yield "a list of 300,000 files", _long_list
    yield "a member that is larger than it was said to be", _larger_than_told
    yield "bzip2", lambda path: _compressed(path, zipfile.ZIP_BZIP2, "docs/a.txt", ZEROS * 32)
    yield "lzma", lambda path: _compressed(path, zipfile.ZIP_LZMA, "docs/a.txt", ZEROS * 32)
    yield "a bomb in a checkpoint", archive(("models/a.pt", _inner(ZEROS * 60)))
    yield "a checkpoint of many pickles", archive(("models/a.pt", _inner(*[b"(" * 60_000] * 200)))
    yield "a pickle of many instructions", stored("models/a.pkl", b"(0" * (5 << 20))
    yield "many pickles of many instructions", archive(*((f"models/{n}.pkl", b"N0" * (1 << 19)) for n in range(60)))
    yield "configurations of many values", archive(*((f"configs/{n}.yaml", b"[a,a,\n" * 4000) for n in range(60)))
    yield "configurations that end well", archive(*((f"configs/{n}.yaml", b"- [a,a]\n" * 30_000) for n in range(60)))
    yield "a long configuration of logging", stored("configs/logging.conf", b"[a]\na=1\n" * (1 << 20))
    yield "a header of many tensors", archive(("models/a.safetensors", _long_header()))
    yield "a network of many places", stored("models/a.onnx", b"\x0a\x08location\x12\x01x" * (4 << 20))
    yield (
        "attributes of attributes",
        archive(*((f"configs/{n}.json", json.dumps("$" + "a" + ".a" * 1900).encode()) for n in range(60))),
    )


def _inner(*pickles: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(pickles):
            archive.writestr(f"archive/{number}.pkl", content)
    return buffer.getvalue()


def _compressed(path: Path, method: int, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for member in [*files().items(), (name, content)]:
            archive.writestr(*member)
    return path


def _overlapping(path: Path) -> Path:
    """One compressed megabyte that the list of contents names 2,000 times."""
    zipped(path, [("docs/0.txt", b"0123456789abcdef" * (1 << 16))])
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    start = content.index(b"PK\x01\x02")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"docs/0.txt", b"docs/%d.txt" % (n % 10)) for n in range(2000))
    path.write_bytes(content[:start] + entries + _end(2000, len(entries), start))
    return path


def _long_list(path: Path) -> Path:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    entries = entry * 300_000
    path.write_bytes(entries + _end(0xFFFF, len(entries), 0))
    return path


def _end(count: int, size: int, start: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)


def _larger_than_told(path: Path) -> Path:
    zipped(path, [*files().items(), ("docs/a.txt", ZEROS * 64)])
    size, told = struct.pack("<L", len(ZEROS) * 64), struct.pack("<L", 1000)
    content = path.read_bytes()
    assert content.count(size) == 2  # in the list of contents, and before the member
    path.write_bytes(content.replace(size, told))
    return path


def _long_header() -> bytes:
    header = b"{" + b",".join(b'"%d":[[],[],[],[]]' % n for n in range(1_000_000)) + b"}"
    return struct.pack("<Q", len(header)) + header
