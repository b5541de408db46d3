"""Folders of images without masks: those of one class each, those in ``images/``, and those that are neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_seg.data import LayoutError, check, images
from monai_seg.data.layouts import read_listing, recognise

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def classes(root: Path) -> dict[str, list[tuple[str, str]]]:
    return {
        name: [(Path(record["image"]).relative_to(root).as_posix(), record["class"]) for record in records]
        for name, records in read_listing(root).sections.items()
    }


def test_one_folder_for_each_class(tmp_path):
    touch(tmp_path, "joy/1.png", "joy/2.JPG", "fear/1.tif", "README.md", "people.csv", "joy/Thumbs.db", "joy/._1.png")
    (tmp_path / ".cache").mkdir()
    assert read_listing(tmp_path).layout == "classes"
    assert read_listing(tmp_path).faults == []
    assert classes(tmp_path) == {"unsplit": [("fear/1.tif", "fear"), ("joy/1.png", "joy"), ("joy/2.JPG", "joy")]}


def test_classes_below_folders_of_sections(tmp_path):
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png", "Val/cat/2.png", "testing/dog/3.png", "testing/cow/4.png")
    assert classes(tmp_path) == {
        "validation": [("Val/cat/2.png", "cat")],
        "test": [("testing/cow/4.png", "cow"), ("testing/dog/3.png", "dog")],
        "training": [("train/cat/1.png", "cat"), ("train/dog/1.png", "dog")],
    }


def test_images_outside_and_below_the_class_folders_are_faults(tmp_path):
    touch(tmp_path, "joy/1.png", "fear/1.png", "overview.png", "joy/old/2.png", "more/batch/3.png")
    assert {(fault.case, fault.problem) for fault in read_listing(tmp_path).faults} == {
        ("overview", "the image lies in no class folder"),
        ("2", "the image lies below a class folder"),
        ("3", "the image lies below a class folder"),
    }
    assert len(classes(tmp_path)["unsplit"]) == 2


@pytest.mark.parametrize(
    "files",
    [
        ["joy/1.png"],
        ["img/1.png", "mask/1.png"],
        ["images/1.png", "mask/1.png"],
        ["imagesTs/1.png", "labelsTs/1.png"],
        ["train/1.png", "test/1.png"],
        ["train2017/1.jpg", "val2017/1.jpg", "annotations/train.json"],
        ["images/1.jpg", "annotations.json"],
        ["train/images/1.jpg", "train/annotations.coco.json"],
        ["benign/b (1).png", "benign/b (1)_mask.png", "normal/n (1).png"],
        ["case1/image.png", "case1/mask.png", "case2/image.png", "case2/mask.png"],
        ["BraTS_1/flair.nii.gz", "BraTS_1/t1.nii.gz", "BraTS_2/flair.nii.gz", "BraTS_2/t1.nii.gz"],
        ["series1/1.dcm", "series1/2.dcm", "series1/preview.png", "series2/1.dcm", "series2/preview.png"],
        ["cat/1.jpg", "cat/1.json", "dog/2.jpg", "dog/2.json"],
        ["siteA/images/1.png", "siteB/images/1.png"],
    ],
    ids=lambda files: " ".join(files[:2]),
)
def test_what_may_hold_masks_is_not_taken_for_bare_images(tmp_path, files):
    with pytest.raises(LayoutError, match="no known layout"):
        recognise(touch(tmp_path, *files))


def test_images_alone(tmp_path):
    touch(tmp_path, "images/a.png", "images/deep/b.jpg", "README.md", "people.csv", "runs/1/figures/c.png")
    listing = read_listing(tmp_path)
    assert (listing.layout, listing.faults) == ("images", [])
    assert listing.sections == {
        "unsplit": [{"image": str(tmp_path / "images" / name)} for name in ("a.png", "deep/b.jpg")]
    }


def test_images_alone_in_sections(tmp_path):
    touch(tmp_path, "train/images/a.png", "val/images/b.png", "test/images/c.png")
    assert {name: len(part) for name, part in read_listing(tmp_path).sections.items()} == {
        "training": 1, "validation": 1, "test": 1,
    }  # fmt: skip


def test_an_empty_folder_of_images_says_so(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(LayoutError, match="no image of a known type"):
        read_listing(tmp_path)


def test_both_are_predicted_and_checked(tmp_path):
    touch(tmp_path / "faces", "images/a.png", "images/b.png")
    (tmp_path / "faces" / "test.txt").write_text("b\n")
    (tmp_path / "faces" / "train.txt").write_text("a\n")
    touch(tmp_path / "emotions", "joy/1.png", "fear/1.png")
    assert [Path(record["image"]).name for record in images(tmp_path / "faces")] == ["b.png"]
    assert images(tmp_path / "emotions") == [
        {"image": str(tmp_path / "emotions" / name)} for name in ("fear/1.png", "joy/1.png")
    ]
    report = check(tmp_path / "emotions")  # its files hold no picture: each is read, none is passed over
    assert (report.counts, len(report.faults)) == ({"cases": 2, "unsplit": 2}, 2)


@pytest.mark.skipif(not (SHARED / "faces").is_dir(), reason="the photographs of shared/data are not here")
def test_real_photographs_are_listed():
    faces, emotions = read_listing(SHARED / "faces"), read_listing(SHARED / "emotions")
    assert {name: len(part) for name, part in faces.sections.items()} == {"training": 350, "validation": 75, "test": 75}
    assert (len(emotions.sections["unsplit"]), faces.faults, emotions.faults) == (1905, [], [])
