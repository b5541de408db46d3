"""Layouts: what is recognised, what is listed, and what is reported as unpaired, doubled or missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_seg.data import LayoutError
from monai_seg.data.layouts import read_listing, recognise


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def names(root: Path, section: str) -> list[tuple[str, str | None]]:
    """Relative image and label paths of a section."""
    records = read_listing(root).sections[section]
    return [
        tuple(Path(r[k]).relative_to(root).as_posix() if k in r else None for k in ("image", "label")) for r in records
    ]


def test_pairs_are_matched_by_stem_with_any_extension_and_ending(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.JPG", "images/v.1.nii.gz", "images/c.tif")
    touch(tmp_path, "masks/a.png", "masks/b_mask.png", "masks/v.1.nii", "masks/c-label.bmp")
    touch(tmp_path, "images/.DS_Store", "images/._a.png", "masks/Thumbs.db", "images/notes.txt")
    assert read_listing(tmp_path).faults == []
    assert names(tmp_path, "unsplit") == [
        ("images/a.png", "masks/a.png"),
        ("images/b.JPG", "masks/b_mask.png"),
        ("images/c.tif", "masks/c-label.bmp"),
        ("images/v.1.nii.gz", "masks/v.1.nii"),
    ]


@pytest.mark.parametrize("folder", ["masks", "labels", "annotations", "Masks"])
def test_mask_folder_names(tmp_path, folder):
    touch(tmp_path, "images/a.png", f"{folder}/a.png")
    assert recognise(tmp_path).name == "pairs"
    assert len(read_listing(tmp_path).sections["unsplit"]) == 1


def test_sections_on_disk_and_an_unlabelled_test_section(tmp_path):
    touch(
        tmp_path,
        "train/images/a.png",
        "train/masks/a.png",
        "valid/images/b.png",
        "valid/masks/b.png",
        "test/images/c.png",
    )
    listing = read_listing(tmp_path)
    assert {name: len(records) for name, records in listing.sections.items()} == {
        "test": 1,
        "training": 1,
        "validation": 1,
    }
    assert "label" not in listing.sections["test"][0]
    assert listing.faults == []


def test_section_folders_below_images(tmp_path):
    touch(tmp_path, "images/train/a.png", "masks/train/a.png", "images/val/a.png", "masks/val/a.png")
    listing = read_listing(tmp_path)
    assert sorted(listing.sections) == ["training", "validation"]
    assert listing.faults == []


def test_all_unpaired_and_doubled_files_are_listed(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "images/c.png", "images/c.jpg", "masks/c.png", "masks/d.png")
    touch(tmp_path, "masks/c_mask.png")
    faults = read_listing(tmp_path).faults
    assert sorted((fault.case, fault.problem) for fault in faults) == [
        ("a", "the image has no mask"),
        ("b", "the image has no mask"),
        ("c", "2 files share the stem c"),
        ("c", "two masks for one image"),
        ("d", "the mask has no image"),
    ]
    assert "masks/d.png" in str(next(fault for fault in faults if fault.case == "d"))


def test_decathlon_with_a_list(tmp_path):
    touch(tmp_path, "imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "imagesTs/t.nii.gz", "imagesTr/._a.nii.gz")
    content = {
        "labels": {"0": "background", "1": "organ"},
        "modality": {"0": "CT"},
        "training": [
            {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"},
            {"image": "./imagesTr/gone.nii.gz", "label": "./labelsTr/gone.nii.gz"},
            7,
        ],
        "test": ["./imagesTs/t.nii.gz"],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    listing = read_listing(tmp_path)
    assert (listing.layout, listing.labels, listing.channels) == ("msd", {0: "background", 1: "organ"}, 1)
    assert names(tmp_path, "training") == [("imagesTr/a.nii.gz", "labelsTr/a.nii.gz")]
    assert names(tmp_path, "test") == [("imagesTs/t.nii.gz", None)]
    assert [fault.problem for fault in listing.faults] == [
        "the listed image is missing",
        "the listed label is missing",
        "entry 3 of 'training' in dataset.json is no record",
    ]


def test_nnunet_channels_without_a_list(tmp_path):
    touch(tmp_path, *(f"imagesTr/{case}_{channel:04}.nii.gz" for case in "ab" for channel in range(2)))
    touch(tmp_path, "imagesTr/c_0000.nii.gz", "imagesTs/t_0000.nii.gz", "imagesTs/t_0001.nii.gz", "labelsTs/t.nii.gz")
    touch(tmp_path, "labelsTr/a.nii.gz", "labelsTr/b.nii.gz", "labelsTr/c.nii.gz", "labelsTr/d.nii.gz")
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "whole": [1, 2], "core": 2}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    listing = read_listing(tmp_path)
    assert [Path(path).name for path in listing.sections["training"][0]["image"]] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert [Path(r["label"]).name for r in listing.sections["training"]] == ["a.nii.gz", "b.nii.gz"]
    assert Path(listing.sections["test"][0]["label"]).name == "t.nii.gz"
    assert listing.labels == {0: "background", 1: "whole", 2: "core"}
    assert {(fault.case, fault.problem) for fault in listing.faults} == {
        ("c", "1 of 2 channels"),
        ("d", "the label has no image"),
    }


def test_listed_image_that_lies_as_channels(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    content = {"training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    listing = read_listing(tmp_path)
    assert [Path(p).name for p in listing.sections["training"][0]["image"]] == ["a_0000.nii.gz", "a_0001.nii.gz"]


def test_a_number_at_the_end_of_a_name_is_no_channel(tmp_path):
    touch(tmp_path, "imagesTr/case_0001.nii.gz", "labelsTr/case_0001.nii.gz")
    assert names(tmp_path, "training") == [("imagesTr/case_0001.nii.gz", "labelsTr/case_0001.nii.gz")]


def test_malformed_dataset_json_is_a_fault_and_the_folders_are_listed(tmp_path):
    touch(tmp_path, "imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "dataset.json")
    listing = read_listing(tmp_path)
    assert [fault.problem for fault in listing.faults] == ["dataset.json is not a JSON object"]
    assert len(listing.sections["training"]) == 1


@pytest.mark.parametrize("by_file", [True, False], ids=["file", "folder"])
def test_datalist(tmp_path, by_file):
    touch(tmp_path, "x/a.png", "x/b.png", "y/a.png")
    content = {"training": [{"image": "x/a.png", "label": "y/a.png", "fold": 2}], "test": ["x/b.png"]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    listing = read_listing(tmp_path / "datalist.json" if by_file else tmp_path)
    record = {"image": str(tmp_path / "x/a.png"), "label": str(tmp_path / "y/a.png"), "fold": 2}
    assert listing.sections == {"training": [record], "test": [{"image": str(tmp_path / "x/b.png")}]}


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ([], "the folder is empty"),
        (["a.png", "b.png"], "no known layout"),
        (["images/a.png", "annotations.json"], "no known layout"),
        (["images/a.npy", "masks/a.npy"], "no image of a known type"),
        (["imagesTr/a.npy"], "no case in imagesTr/"),
    ],
    ids=["empty", "loose files", "no masks", "numpy files", "numpy volumes"],
)
def test_folders_of_no_use_say_what_was_looked_for_and_found(tmp_path, files, text):
    touch(tmp_path, *files)
    with pytest.raises(LayoutError, match=text) as caught:
        read_listing(tmp_path)
    assert caught.value.fault.mend
    assert "found" in str(caught.value) or not files


def test_missing_folder_names_the_nearest_that_is_there(tmp_path):
    with pytest.raises(LayoutError, match="no such folder") as caught:
        read_listing(tmp_path / "gone" / "deeper")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"training": 3, "dataset_dir": "gone"}'])
def test_json_that_is_no_datalist(tmp_path, text):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(LayoutError, match=r"list\.json"):
        read_listing(tmp_path / "list.json")
