"""Groups of cases: a patient, a person or a scene, named by a path or by the data, never in two sections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_seg.data.fault import DataError, Fault, fact
from monai_seg.data.layouts import Record
from monai_seg.data.layouts.files import relative
from monai_seg.data.layouts.listing import first_image


def name_groups(records: Iterable[Record], root: Path, group_by: str) -> None:
    """Write into each record the ``group`` that its path tells.

    Args:
        records: cases with absolute paths.
        root: folder that the paths are searched relative to.
        group_by: regular expression; what its groups capture (or the whole match) names the group.

    Raises:
        DataError: the expression fits no part of a path.
        ValueError: it is no regular expression.
    """
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ValueError(f"group_by '{group_by}' is no regular expression: {error}") from error
    strangers = []
    for record in records:
        name = relative(first_image(record), root)
        match = pattern.search(name)
        if match is None:
            strangers.append(name)
        else:
            record["group"] = "|".join(part or "" for part in match.groups()) if match.groups() else match[0]
    if strangers:
        facts = tuple(fact("image", name) for name in sorted(strangers)[:8])
        problem = f"group_by '{group_by}' fits no part of {len(strangers)} paths"
        raise DataError([Fault("", problem, facts, "widen the expression until it fits every path")], str(root))


def group_of(record: Record, root: Path) -> str:
    """The group of a case; one without stands alone, by its path below ``root``."""
    group = record.get("group")
    return relative(first_image(record), root) if group is None else str(group)


def in_order(records: Iterable[Record], root: Path) -> list[Record]:
    """Records in the order of their paths below ``root``, the same on every machine."""
    return sorted(records, key=lambda record: relative(first_image(record), root))


def refuse_shared_groups(parts: Mapping[str, Sequence[Record]], root: Path) -> None:
    """Sections that come from disk may cut a group; evaluating on them would flatter the model.

    Raises:
        DataError: a group is in two sections.
    """
    seen: dict[str, dict[str, str]] = {}
    for name, records in parts.items():
        for record in records:
            path = relative(first_image(record), root)
            seen.setdefault(group_of(record, root), {}).setdefault(name, path)
    faults = [
        Fault("", f"group '{group}' is in {' and '.join(places)}", tuple(fact(*item) for item in places.items()),
              "move all cases of the group to one section")
        for group, places in sorted(seen.items())
        if len(places) > 1
    ]  # fmt: skip
    if faults:
        raise DataError(faults, str(root))
