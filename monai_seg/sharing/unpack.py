"""Copy the files of a stranger's bundle, plain files and folders only, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path, PurePosixPath

from monai_seg.sharing.audit.members import BROKEN, MOST_BYTES, Member, Members
from monai_seg.sharing.audit.report import AuditReport, Verdict, printable

_CHUNK = 1 << 20
_SHOWN = 10
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


class UnsafeBundleError(ValueError):
    """A bundle cannot be unpacked without harm; the text names the files."""


def unpack(path: Path, folder: Path) -> None:
    """Copy the files of a ZIP or of a folder into a new folder.

    They are written beside it first and moved there in one step. Links, pipes, rights and owners do not come along,
    nor do folders without a file.

    Args:
        path: the ZIP or the folder.
        folder: the new folder; what lies above it must be there.

    Raises:
        FileExistsError: there is something of this name already.
        OSError: there is no such ZIP, or the disk is full.
        UnsafeBundleError: a name, a link or a size is refused, or a file is not as it was listed. Nothing is left then.
    """
    if os.path.lexists(folder):
        raise FileExistsError(f"{folder} is there already\n  mend   name a new folder")
    report = AuditReport()
    with closing(Members(path, report)) as members:
        if report.verdict == Verdict.REFUSED:
            reasons = [(each.file, each.reason) for each in report.findings if each.level == Verdict.REFUSED]
            raise _unsafe(path, reasons)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        try:
            _copy(members, temporary)
            temporary.chmod(_FOLDER_MODE)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _copy(members: Members, folder: Path) -> None:
    room = MOST_BYTES
    for member in members.files:
        target = folder / member.name
        try:
            _make_folders(folder, member.name)
            written = _write(members, member, target, room)
        except BROKEN as error:
            # A full disk is no fault of the bundle; what zipfile says of a broken one has no number.
            if isinstance(error, OSError) and error.errno is not None and error.filename is None:
                raise
            raise _unsafe(members.path, [(member.name, f"cannot be read: {str(error)[:80]}")]) from error
        room -= written
        if written != member.size:
            problem = f"has {'more' if written > member.size else 'less'} than the {member.size:,} bytes it was said to"
            raise _unsafe(members.path, [(member.name, problem)])
        target.chmod(_FILE_MODE)


def _make_folders(folder: Path, name: str) -> None:
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        if not (folder / parent).is_dir():
            (folder / parent).mkdir()
            (folder / parent).chmod(_FOLDER_MODE)


def _write(members: Members, member: Member, target: Path, room: int) -> int:
    """The bytes written; the first part beyond what was told, or beyond the room, is the last."""
    written, most = 0, min(member.size, room)
    with members.opened(member.name) as source, target.open("xb") as copy:
        while written <= most and (part := source.read(min(_CHUNK, most + 1 - written))):
            copy.write(part)
            written += len(part)
    return written


def _unsafe(path: Path, reasons: list[tuple[str, str]]) -> UnsafeBundleError:
    lines = [f"  {printable(name)[:160]}  {printable(reason)}" for name, reason in reasons[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"  and {len(reasons) - _SHOWN:,} more")
    text = "\n".join([f"{path} is not unpacked: it is malformed, or made to do harm", *lines])
    return UnsafeBundleError(f"{text}\n  mend   do not use it; `monai-seg audit` shows everything")
