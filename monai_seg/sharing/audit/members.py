"""The files of a bundle, in a folder or in a ZIP, opened one by one and never unpacked."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from monai_seg.sharing.audit.archive import open_archive
from monai_seg.sharing.audit.report import AuditReport

MOST_FILES = 10_000
MOST_BYTES = 8 << 30
MOST_RATIO = 200  # of a member's size to its compressed size, from 1 MiB on
MOST_RATIO_TOGETHER = 20  # of all members to the archive, from 64 MiB on: weights hardly compress
_RATIO_FROM = 1 << 20
_RATIO_TOGETHER_FROM = 64 << 20
_MOST_NAME = 240
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


# What zipfile raises, one way or the other, of an archive that was made or damaged to break it.
BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError,
          RuntimeError, ValueError, OverflowError)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A file of a bundle.

    Args:
        name: within the bundle, with ``/``.
        size: in bytes, as told.
    """

    name: str
    size: int


class Members:
    """The files of a folder or of a ZIP.

    Args:
        path: of it.
        report: gets what is wrong with names, links and sizes. What is refused is not among `files`.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, report: AuditReport) -> None:
        self.path = path
        self.files: list[Member] = []
        self._file: IO[bytes] | None = None if path.is_dir() else _plain_file(path.resolve())
        self._archive = None if self._file is None else _archive(path, self._file, report)
        if self._file is not None and self._archive is None:
            return
        found = list(_in_folder(path, report) if self._archive is None else _in_archive(self._archive, report))
        if len(found) > MOST_FILES:
            report.refuse(path.name, f"holds {len(found):,} files; {MOST_FILES:,} are the most")
            found = []
        if sum(member.size for member in found) > MOST_BYTES:
            report.refuse(path.name, f"unpacks to more than {MOST_BYTES >> 30} GiB")
            found = []
        if self._archive is not None and _is_bomb(sum(member.size for member in found), path.stat().st_size):
            report.refuse(path.name, f"unpacks to more than {MOST_RATIO_TOGETHER} times its size")
            found = []
        self.files = _sound_names(found, report)

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file by its name; at most as many bytes of it as it was said to have."""
        if self._archive is None:
            with _plain_file(self.path / name) as file:
                yield file
        else:
            with self._archive.open(name) as file:
                yield file  # zipfile stops at the size that the archive tells, and checks the sum

    def head(self, name: str, count: int) -> bytes:
        """The first bytes of a file."""
        with self.opened(name) as file:
            return file.read(count)

    def close(self) -> None:
        """Close the ZIP."""
        if self._file is not None:
            self._file.close()


def _plain_file(path: Path) -> IO[bytes]:
    """A file that is no link and no pipe, also where it became one after it was listed.

    Raises:
        OSError: it is one.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no plain file")
    return open(descriptor, "rb")


def _archive(path: Path, file: IO[bytes], report: AuditReport) -> zipfile.ZipFile | None:
    try:
        return open_archive(file)
    except BROKEN as error:
        report.refuse(path.name, f"is neither a folder nor a ZIP: {error}")
        return None


def _is_bomb(size: int, archive_size: int) -> bool:
    return size > max(_RATIO_TOGETHER_FROM, MOST_RATIO_TOGETHER * archive_size)


def _in_folder(root: Path, report: AuditReport) -> Iterator[Member]:
    for parent, folders, names in os.walk(root):
        for name in sorted([*folders, *names]):
            path = Path(parent, name)
            inside = path.relative_to(root).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                report.refuse(inside, f"is a link to {os.readlink(path)}")
            elif stat.S_ISREG(mode):
                if path.lstat().st_nlink > 1:
                    report.distrust(inside, "has another name elsewhere (a hard link)")
                yield Member(inside, path.lstat().st_size)
            elif not stat.S_ISDIR(mode):
                report.refuse(inside, "is neither a file nor a folder")
        folders[:] = sorted(name for name in folders if not Path(parent, name).is_symlink())


def _in_archive(archive: zipfile.ZipFile, report: AuditReport) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if stat.S_ISLNK(mode):
            report.refuse(info.filename, "is a link")
        elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            report.refuse(info.filename, "is neither a file nor a folder")
        elif info.flag_bits & 1:
            report.refuse(info.filename, "is encrypted")
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Others may ask for gigabytes of memory before the first byte comes out.
            report.refuse(info.filename, "is compressed in another way than by deflate")
        elif info.file_size > _RATIO_FROM and info.file_size > MOST_RATIO * max(1, info.compress_size):
            ratio = info.file_size // max(1, info.compress_size)
            report.refuse(info.filename, f"unpacks to {ratio:,} times its size; {MOST_RATIO} is the most")
        elif not info.is_dir():
            yield Member(info.filename, info.file_size)
        else:
            problem = _wrong_name(info.filename.rstrip("/"))
            if problem:
                report.refuse(info.filename, problem)


def _sound_names(members: list[Member], report: AuditReport) -> list[Member]:
    """Those whose names mean one place inside of the bundle, on every system."""
    sound: list[Member] = []
    taken: dict[str, str] = {}
    for member in members:
        key = _regardless_of_case(member.name)
        problem = _wrong_name(member.name)
        if not problem and key in taken:
            problem = f"would replace {taken[key]} where case or accents do not count"
        if problem:
            report.refuse(member.name, problem)
            continue
        taken[key] = member.name
        sound.append(member)
    spelled: dict[str, str] = {}
    for name in taken.values():
        for parent in map(PurePosixPath.as_posix, PurePosixPath(name).parents):
            alike = _regardless_of_case(parent)
            if alike in taken:
                report.refuse(name, f"lies in {taken[alike]}, which is a file")
            elif spelled.setdefault(alike, parent) != parent:
                report.refuse(name, f"lies in {parent}, which is {spelled[alike]} where case or accents do not count")
    return sound


def _regardless_of_case(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _wrong_name(name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "has an absolute path, or one of another system"
    if any(part in ("", ".", "..") for part in parts):
        return "has a path that leads elsewhere"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co") for letter in name):
        return "has invisible letters in its name"
    if any(part.endswith((".", " ")) or part.startswith(" ") or _RESERVED.fullmatch(part) for part in parts):
        return "has a name that another system takes for something else"
    if any(letter in '<>:"|?*' for letter in name):
        return "has letters in its name that another system does not allow"
    return f"has a name of more than {_MOST_NAME} letters" if len(name) > _MOST_NAME else ""


def text_of(members: Members, member: Member, most: int) -> str | None:
    """The text of a file in UTF-8; None where it is none, or larger than ``most`` bytes."""
    if member.size > most:
        return None
    with members.opened(member.name) as file:
        content = io.BytesIO(file.read(most + 1)).getvalue()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
