"""``identities.csv`` beside class folders: which person each image shows, and in which fold the person is."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath

from monai_seg.data.fault import Fault, enumerate_briefly, fact
from monai_seg.data.layouts.files import relative, stem
from monai_seg.data.layouts.listing import Record

FILE = "identities.csv"
_PERSON = ("identity", "person", "patient", "subject", "group")
_MEND = "write a line 'file,identity' for each image, file relative to this table; a column 'fold' is optional"


def name_persons(records: list[Record], root: Path) -> list[Fault]:
    """Write the ``group`` of each record, and its ``fold`` where it has one, as a table in ``root`` tells them.

    Args:
        records: cases with absolute paths.
        root: folder of the data set; without a table in it nothing is done.

    Returns:
        A fault for a table that cannot be read, for each image that is not in it, and one for all files that are in it
        but not there.
    """
    table = root / FILE
    if not table.is_file():
        return []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [Fault("", f"{FILE} cannot be read", (fact("table", FILE, str(error)),), "save it as CSV in UTF-8")]
    person = next((name for name in _PERSON if name in columns), None)
    if "file" not in columns or person is None:
        found = fact("table", FILE, f"columns {enumerate_briefly(columns) or 'none'}")
        return [Fault("", f"{FILE} does not tell the person of each file", (found,), _MEND)]
    row_of = {PurePosixPath((row["file"] or "").replace("\\", "/")).as_posix(): row for row in rows}
    faults = []
    for record in records:
        name = relative(record["image"], root)
        row = row_of.pop(name, {})
        if not row.get(person):
            facts = (fact("image", name), fact("table", FILE, "no line, or no name in it"))
            faults.append(Fault(stem(name), "nobody says whom the image shows", facts, _MEND))
            continue
        record["group"] = row[person]
        if (row.get("fold") or "").isdecimal():
            record["fold"] = int(row["fold"])
    if row_of:
        listed = fact("table", FILE, enumerate_briefly(sorted(row_of), 4))
        problem = f"{len(row_of)} of the files in {FILE} are missing"
        faults.append(Fault("", problem, (listed,), "restore the images, or take their lines out"))
    return faults
