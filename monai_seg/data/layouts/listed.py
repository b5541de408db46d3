"""Records that a JSON file lists under "training", "validation" and "test"."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from monai_seg.data.fault import Fault, enumerate_briefly, fact
from monai_seg.data.layouts.files import extension, relative, split_channel, stem
from monai_seg.data.layouts.listing import SECTIONS, Record


def load_json(path: Path, root: Path) -> tuple[dict[str, Any], list[Fault]]:
    """Read a JSON object; where that fails, give an empty one and the fault."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:  # bad JSON and bad UTF-8 are both ValueErrors
        return {}, [_broken(path, root, str(error))]
    if not isinstance(content, dict):
        return {}, [_broken(path, root, f"a {type(content).__name__}")]
    return content, []


def listed_sections(content: dict[str, Any], source: Path, base: Path) -> tuple[dict[str, list[Record]], list[Fault]]:
    """Make records of the lists in a JSON file.

    Args:
        content: the JSON object.
        source: the file it comes from, for messages.
        base: folder that listed paths are relative to.

    Returns:
        Records with absolute paths by section; a fault for each entry that is malformed or whose file is missing.
    """
    sections: dict[str, list[Record]] = {}
    faults: list[Fault] = []
    for section in SECTIONS:
        entries = content.get(section, [])
        if not isinstance(entries, list):
            facts = (fact("found", f"a {type(entries).__name__}"),)
            faults.append(Fault("", f"'{section}' in {source.name} is not a list", facts, "write a list of records"))
            continue
        for number, entry in enumerate(entries, start=1):
            record, found = _record({"image": entry} if isinstance(entry, str) else entry, base)
            if record is None and not found:
                facts = (fact("found", json.dumps(entry)[:60]),)
                problem = f"entry {number} of '{section}' in {source.name} is no record"
                faults.append(Fault("", problem, facts, 'write {"image": "path", "label": "path"}'))
            faults.extend(found)
            if record is not None:
                sections.setdefault(section, []).append(record)
    return sections, faults


def label_names(content: dict[str, Any]) -> dict[int, str] | None:
    """Names by value, from {"0": "background"} (Decathlon) and from {"background": 0} (nnU-Net 2)."""
    names: dict[int, str] = {}
    labels = content.get("labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if str(key).isdigit():
            names[int(key)] = str(value)
            continue
        # nnU-Net's regions hold several values and go from the whole to its parts: the last name is the closest one.
        names |= {n: str(key) for n in (value if isinstance(value, list) else [value]) if isinstance(n, int)}
    return dict(sorted(names.items())) or None


def channel_count(content: dict[str, Any]) -> int | None:
    """How many channels an image has, from the names of modalities (Decathlon) or channels (nnU-Net 2)."""
    named = content.get("channel_names") or content.get("modality")
    return len(named) if isinstance(named, dict) and named else None


def _record(entry: Any, base: Path) -> tuple[Record | None, list[Fault]]:
    image = entry.get("image") if isinstance(entry, dict) else None
    paths = [path for path in (image if isinstance(image, list) else [image]) if isinstance(path, str) and path]
    if not paths or (isinstance(image, list) and len(paths) < len(image)):
        return None, []
    case, record = stem(paths[0]), dict(entry)
    missing = []
    resolved = [_resolve(path, base) for path in paths]
    missing += [_missing(case, "image", path, base) for path, files in zip(paths, resolved, strict=True) if not files]
    files = [file for group in resolved for file in group]
    record["image"] = files if isinstance(image, list) or len(files) > 1 else "".join(files)
    # MONAI's own lists also keep class numbers or boxes under "label"; only text is a path.
    if isinstance(entry.get("label"), str):
        label = os.path.normpath(base / entry["label"])
        record["label"] = label
        if not os.path.isfile(label):
            missing.append(_missing(case, "label", entry["label"], base))
    return (None if missing else record), missing


def _resolve(path: str, base: Path) -> list[str]:
    """The listed file, or its channels: nnU-Net lists ``a.nii.gz`` where ``a_0000.nii.gz`` lies on disk."""
    full = Path(os.path.normpath(base / path))
    if full.is_file() or not full.parent.is_dir():
        return [str(full)] if full.is_file() else []
    channels = []
    for sibling in full.parent.glob(f"{stem(full)}_*"):
        parts = split_channel(stem(sibling))
        if parts and parts[0] == stem(full) and extension(sibling) == extension(full):
            channels.append(str(sibling))
    return sorted(channels)


def _missing(case: str, kind: str, path: str, base: Path) -> Fault:
    full = base / path
    near = [p.name for p in sorted(full.parent.glob(f"{stem(full)}*"))] if full.parent.is_dir() else []
    value = f"missing; there is {enumerate_briefly(near, 3)}" if near else "missing"
    mend = "restore the file, or take the case out of the list"
    return Fault(case, f"the listed {kind} is missing", (fact(kind, relative(full, base), value),), mend)


def _broken(path: Path, root: Path, found: str) -> Fault:
    return Fault(
        "", f"{path.name} is not a JSON object", (fact("found", relative(path, root), found),), "mend the file"
    )
