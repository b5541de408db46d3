"""`audit`: all files of a bundle, looked at one by one."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from monai_seg.sharing import manifest
from monai_seg.sharing.audit.configurations import MOST_LETTERS, look_at_configuration
from monai_seg.sharing.audit.contents import look_at_content
from monai_seg.sharing.audit.members import Member, Members, text_of
from monai_seg.sharing.audit.report import AuditReport

_CONFIGURATIONS = (".json", ".yaml", ".yml")
_SIGNATURES = (".sig", ".sigstore", ".sigstore.json", ".pem", ".crt")


def audit(path: str | Path) -> AuditReport:
    """Look at a bundle without running anything of it.

    Args:
        path: a folder or a ZIP.

    Returns:
        What it would run and what is wrong with it; `AuditReport.verdict` sums it up.

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"there is no {place}")
    report = AuditReport()
    members = Members(place, report)
    for member in members.files:
        try:
            _look_at(members, member, report)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            report.refuse(member.name, f"cannot be read: {str(error)[:80]}")
    _compare_manifest(members, report)
    return report


def _look_at(members: Members, member: Member, report: AuditReport) -> None:
    with members.opened(member.name) as file:
        report.hashes[member.name] = manifest.digest(file)
    lower = member.name.lower()
    if lower.endswith(_SIGNATURES):
        report.signature.append(member.name)
    elif member.name == manifest.FILE:
        return
    elif lower.endswith(_CONFIGURATIONS):
        text = text_of(members, member, MOST_LETTERS)
        if text is None:
            report.refuse(member.name, f"is no text, or has more than {MOST_LETTERS:,} bytes")
        else:
            look_at_configuration(member.name, text, report)
    else:
        look_at_content(members, member, report)


def _compare_manifest(members: Members, report: AuditReport) -> None:
    names = [member.name for member in members.files]
    if manifest.FILE not in names:
        report.distrust(manifest.FILE, "is missing, so that nobody can tell whether the files are those that were sent")
        return
    content = members.head(manifest.FILE, MOST_LETTERS)
    ours = [name for name in names if name not in report.signature]
    for name, problem in manifest.differences(content, ours, members.opened):
        report.refuse(name, problem)
