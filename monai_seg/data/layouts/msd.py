"""Layout "msd": Medical Segmentation Decathlon and nnU-Net, with or without a list of cases."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monai_seg.data.fault import Fault, enumerate_briefly, fact
from monai_seg.data.layouts.files import images_by_stem, relative, split_channel, stem, summarise
from monai_seg.data.layouts.listed import channel_count, label_names, listed_sections, load_json
from monai_seg.data.layouts.listing import Layout, LayoutError, Listing, Record

_SHAPE = "imagesTr/ and labelsTr/ (and imagesTs/, labelsTs/, dataset.json), channels as _0000, _0001"


def _recognises(path: Path) -> bool:
    return (path / "imagesTr").is_dir() or (path / "dataset.json").is_file()


def _read(root: Path) -> Listing:
    source = root / "dataset.json"
    content, faults = load_json(source, root) if source.is_file() else ({}, [])
    channels = channel_count(content)
    if content.get("training"):
        sections, found = listed_sections(content, source, root)
        faults += found
    else:
        training, found = _folder(root, "Tr", channels)
        sections = {"training": training} if training else {}
        faults += found
    if "test" not in sections:
        test, found = _folder(root, "Ts", channels)
        faults += found
        if test:
            sections["test"] = test
    _add_test_labels(sections.get("test", []), root)
    if not sections and not faults:
        facts = (fact("found", summarise(root)),)
        raise LayoutError(Fault("", "no case in imagesTr/ and labelsTr/", facts, f"arrange the files as {_SHAPE}"))
    return Listing("msd", root, sections, faults, label_names(content), channels)


def _folder(root: Path, ending: str, channels: int | None) -> tuple[list[Record], list[Fault]]:
    """Match imagesTr with labelsTr (or imagesTs with labelsTs) by stem, with channels put together."""
    images_dir, labels_dir = root / f"images{ending}", root / f"labels{ending}"
    images, faults = images_by_stem(images_dir, root)
    labels, doubled = images_by_stem(labels_dir, root)
    faults += doubled
    cases = _put_channels_together(images, set(labels), many=channels is not None)
    usual = channels or max((len(files) for files in cases.values()), default=1)
    records: list[Record] = []
    for case, files in cases.items():
        record: Record = {"image": [str(file) for file in files] if len(files) > 1 else str(files[0])}
        if case in labels:
            record["label"] = str(labels[case])
        elif ending == "Tr" or labels:
            facts = (fact("image", relative(files[0], root)), fact("label", f"{labels_dir.name}/{case}.*", "none"))
            faults.append(Fault(case, "the image has no label", facts, "add the label or remove the image"))
            continue
        if stem(files[0]) != stem(case) and len(files) != usual:
            names = enumerate_briefly([file.name for file in files])
            seen = (fact("image", names, f"{usual} channels expected"),)
            faults.append(Fault(case, f"{len(files)} of {usual} channels", seen, "add the missing channels"))
            continue
        records.append(record)
    for case in sorted(set(labels) - set(cases)):
        facts = (fact("label", relative(labels[case], root)), fact("image", f"{images_dir.name}/{case}.*", "none"))
        faults.append(Fault(case, "the label has no image", facts, "add the image or remove the label"))
    return records, faults


def _put_channels_together(images: dict[str, Path], labels: set[str], many: bool) -> dict[str, list[Path]]:
    """The files of each case. ``_0000`` is a channel unless a label bears it too; ``many`` says so for sure."""
    cases: dict[str, list[Path]] = {}
    for key, path in images.items():
        parts = split_channel(key)
        is_channel = parts is not None and key not in labels and (parts[0] in labels or many or not labels)
        cases.setdefault(parts[0] if parts and is_channel else key, []).append(path)
    return cases


def _add_test_labels(records: Iterable[Record], root: Path) -> None:
    labels, _ = images_by_stem(root / "labelsTs", root)
    for record in records:
        image = record["image"]
        name = stem(image[0] if isinstance(image, list) else image)
        parts = split_channel(name)
        label = labels.get(name) or (labels.get(parts[0]) if parts else None)
        if label and "label" not in record:
            record["label"] = str(label)


LAYOUT = Layout("msd", _SHAPE, _recognises, _read)
