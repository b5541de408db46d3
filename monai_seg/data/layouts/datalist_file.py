"""Layout "datalist": a JSON file with the lists "training", "validation" and "test"."""

from __future__ import annotations

import os
from pathlib import Path

from monai_seg.data.fault import Fault, enumerate_briefly, fact
from monai_seg.data.layouts.listed import channel_count, label_names, listed_sections, load_json
from monai_seg.data.layouts.listing import SECTIONS, Layout, LayoutError, Listing

_SHAPE = 'datalist.json with "training": [{"image": "path", "label": "path"}, ...]'


def _recognises(path: Path) -> bool:
    return (path.is_file() and path.suffix.lower() == ".json") or (path / "datalist.json").is_file()


def _read(path: Path) -> Listing:
    source = path if path.is_file() else path / "datalist.json"
    content, faults = load_json(source, source.parent)
    if faults:
        raise LayoutError(faults[0])
    if not any(section in content for section in SECTIONS):
        facts = (fact("found", enumerate_briefly(sorted(content)) or "no key"),)
        raise LayoutError(Fault("", f"{source.name} lists no cases", facts, 'write the key "training" with a list'))
    # A list that was written elsewhere records the folder that its paths are relative to.
    base = Path(os.path.normpath(source.parent / str(content.get("dataset_dir", "."))))
    if not base.is_dir():
        facts = (fact("found", f'"dataset_dir": "{content["dataset_dir"]}"', "no such folder"),)
        raise LayoutError(Fault("", f"the data of {source.name} are gone", facts, 'mend "dataset_dir" in the file'))
    sections, faults = listed_sections(content, source, base)
    return Listing("datalist", base, sections, faults, label_names(content), channel_count(content))


LAYOUT = Layout("datalist", _SHAPE, _recognises, _read)
