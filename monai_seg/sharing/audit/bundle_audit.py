"""`audit`: all files of a bundle, looked at one by one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from monai_seg.sharing import manifest
from monai_seg.sharing.audit.configurations import look_at_configuration
from monai_seg.sharing.audit.contents import look_at_content
from monai_seg.sharing.audit.members import BROKEN, Member, Members, text_of
from monai_seg.sharing.audit.report import MOST_LETTERS, AuditReport

_MOST_MANIFEST = 4 << 20
_CONFIGURATIONS = (".json", ".yaml", ".yml")
# What signs the manifest cannot be named in it. By exact names: under another one anything might come along.
_SIGNATURES = {"model.sig"} | {manifest.FILE + ending for ending in (".sig", ".sigstore", ".sigstore.json", ".pem")}


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
    with closing(Members(place, report)) as members:
        for member in members.files:
            try:
                _look_at(members, member, report)
            except BROKEN as error:
                report.refuse(member.name, f"cannot be read: {str(error)[:80]}")
        try:
            _compare_manifest(members, report)
        except BROKEN as error:
            report.refuse(manifest.FILE, f"cannot be compared: {str(error)[:80]}")
    return report


def _look_at(members: Members, member: Member, report: AuditReport) -> None:
    with members.opened(member.name) as file:
        report.hashes[member.name] = manifest.digest(file)
    lower = member.name.lower()
    if member.name in _SIGNATURES:
        report.signature.append(member.name)
    elif member.name == manifest.FILE:
        return
    elif lower.endswith(_CONFIGURATIONS):
        report.letters += member.size
        text = text_of(members, member, MOST_LETTERS)
        if report.letters > MOST_LETTERS:
            report.distrust(member.name, f"was not looked at: configurations have more than {MOST_LETTERS:,} bytes")
        elif text is None:
            report.refuse(member.name, "is no text in UTF-8")
        else:
            look_at_configuration(member.name, text, report)
    else:
        look_at_content(members, member, report)


def _compare_manifest(members: Members, report: AuditReport) -> None:
    names = [member.name for member in members.files]
    if manifest.FILE not in names:
        report.distrust(manifest.FILE, "is missing, so that nobody can tell whether the files are those that were sent")
        return
    content = members.head(manifest.FILE, _MOST_MANIFEST)
    ours = [name for name in names if name not in report.signature]
    for name, problem in manifest.differences(content, ours, members.opened):
        report.refuse(name, problem)
