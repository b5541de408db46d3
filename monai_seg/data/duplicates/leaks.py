"""All ways in which a test can flatter a model, looked for at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from monai_seg.data.duplicates.audited import AuditedImage
from monai_seg.data.duplicates.copies import Copy, clusters, find_copies
from monai_seg.data.duplicates.findings import (
    Finding,
    contradictions,
    copies_across,
    copies_within,
    groups_across,
    shortcut_findings,
)
from monai_seg.data.duplicates.prints import Print, read_prints
from monai_seg.data.duplicates.shortcuts import Shortcut, find_shortcuts
from monai_seg.data.fault import Fault


@dataclass(frozen=True)
class LeakReport:
    """What an audit found.

    Args:
        images: all that were looked at.
        copies: pairs of indices into them, those of two places first.
        findings: what was found, the leaks first.
        shortcuts: how well each class is told by facts about the files, also where that is no finding.
        unreadable: images that could not be compared.
    """

    images: list[AuditedImage]
    copies: list[Copy] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    shortcuts: list[Shortcut] = field(default_factory=list)
    unreadable: list[Fault] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def is_across(self, copy: Copy) -> bool:
        """Whether the two images of a pair lie in two places."""
        return self.images[copy.first].place != self.images[copy.second].place

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for JSON."""
        return {
            "is_clean": self.is_clean,
            "images": {place: sum(image.place == place for image in self.images) for place in self.places},
            "findings": [{"kind": each.kind, "is_leak": each.is_leak, **asdict(each.fault)} for each in self.findings],
            "copies": [self.row(copy) for copy in self.copies],
            "shortcuts": [asdict(each) | {"is_found": each.is_found} for each in self.shortcuts],
            "unreadable": [asdict(fault) for fault in self.unreadable],
        }

    @property
    def places(self) -> list[str]:
        """Sections of data sets, in order."""
        return list(dict.fromkeys(image.place for image in self.images))

    def row(self, copy: Copy) -> dict[str, Any]:
        """A pair as one row of a table."""
        row: dict[str, Any] = {"kind": copy.kind, "agreement": round(copy.agreement, 4), "how": copy.how}
        for name, image in (("first", self.images[copy.first]), ("second", self.images[copy.second])):
            row |= {f"{name}_place": image.place, f"{name}_image": image.name}
            row |= {f"{name}_class": image.class_name, f"{name}_group": image.group}
        return row


def find_leaks(images: Sequence[AuditedImage], progress: bool = False) -> LeakReport:
    """Compare all images with all others, their sections, groups, labels and files.

    Args:
        images: of one or several data sets.
        progress: whether to show bars for what takes more than two seconds.
    """
    prints, unreadable = read_prints([image.record for image in images], progress)
    copies = find_copies(prints, progress)
    together = clusters(copies)
    shortcuts = _shortcuts(images, prints, together)
    findings = [
        *copies_across(images, copies, together),
        *groups_across(images),
        *contradictions(images, copies, together),
        *copies_within(images, copies),
        *shortcut_findings(shortcuts),
    ]
    findings.sort(key=lambda finding: not finding.is_leak)
    copies.sort(key=lambda copy: images[copy.first].place == images[copy.second].place)
    return LeakReport(list(images), copies, findings, shortcuts, unreadable)


def _shortcuts(
    images: Sequence[AuditedImage], prints: Sequence[Print | None], together: Sequence[Sequence[int]]
) -> list[Shortcut]:
    """Of each data set by itself: that two of them differ is no news."""
    cluster_of = {index: members[0] for members in together for index in members}
    names = list(dict.fromkeys(image.data for image in images))
    found = []
    for name in names:
        rows, facts = [], []
        for index, (image, each) in enumerate(zip(images, prints, strict=True)):
            if image.data == name and image.class_name is not None and each is not None and each.facts is not None:
                rows.append(index)
                facts.append(each.facts)
        # Copies of an image in two folds would tell each other's class.
        groups = [images[row].group or str(cluster_of.get(row, row)) for row in rows]
        found += find_shortcuts(facts, [str(images[row].class_name) for row in rows], groups)
    return found
