"""Lists of the images of a section: which names they may hold, and what is wrong with a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_seg.data.layouts import read_listing


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def stems(root: Path) -> dict[str, list[str]]:
    return {
        name: [Path(record["image"]).stem for record in records]
        for name, records in read_listing(root).sections.items()
    }


@pytest.mark.parametrize("masks", [False, True], ids=["images", "pairs"])
@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "TESTING"), ("train", "validation")])
def test_lists_beside_the_images_make_the_sections(tmp_path, names, masks):
    for name in "abc":
        touch(tmp_path, f"images/{name}.png", *([f"masks/{name}_mask.png"] if masks else []))
    lists = ["b.png\n", "\n  a \n\n", "c.png"][: len(names)]
    if len(names) == 2:
        lists[1] += "./c.png"
    for name, text in zip(names, lists, strict=True):
        (tmp_path / f"{name}.txt").write_text(text, "utf-8-sig")
    assert read_listing(tmp_path).faults == []
    assert read_listing(tmp_path).layout == ("pairs" if masks else "images")
    expected = {"training": ["b"], "validation": ["a"], "test": ["c"]}
    assert stems(tmp_path) == (expected if len(names) == 3 else {"training": ["b"], "validation": ["a", "c"]})


def test_names_in_folders_below_images_and_names_with_dots(tmp_path):
    touch(tmp_path, "images/Ann/1.jpg", "images/Bo/1.jpg", "images/v.1.nii.gz", "images/test/2.jpg")
    (tmp_path / "train.txt").write_text("Ann/1.jpg\ntest/2\nv.1\n")
    (tmp_path / "test.txt").write_text("Bo\\1.jpg\n")
    assert read_listing(tmp_path).faults == []
    sections = read_listing(tmp_path).sections
    assert [Path(r["image"]).relative_to(tmp_path / "images").as_posix() for r in sections["training"]] == [
        "Ann/1.jpg", "test/2.jpg", "v.1.nii.gz",
    ]  # fmt: skip
    assert [Path(r["image"]).parent.name for r in sections["test"]] == ["Bo"]


def test_what_is_wrong_with_lists_is_told_case_by_case(tmp_path):
    touch(tmp_path, *(f"images/{name}.jpg" for name in "abcd"))
    (tmp_path / "train.txt").write_text("a.jpg\na\nb.jpg\nc.png\ngone\n")
    (tmp_path / "test.txt").write_text("b\n")
    listing = read_listing(tmp_path)
    assert {name: len(records) for name, records in listing.sections.items()} == {"training": 1}
    faults = {(fault.case, fault.problem): str(fault) for fault in listing.faults}
    assert list(faults) == [
        ("c", "the listed image is missing"),
        ("gone", "the listed image is missing"),
        ("b", "the image is in two lists"),
        ("c", "the image is in no list"),
        ("d", "the image is in no list"),
    ]
    assert "images/c.png  none; there is c.jpg" in faults["c", "the listed image is missing"]
    assert "names are relative to images/" in faults["gone", "the listed image is missing"]
    assert "test.txt\n  list   train.txt" in faults["b", "the image is in two lists"]
    assert "looked in  test.txt, train.txt" in faults["d", "the image is in no list"]


def test_a_list_that_is_no_text_is_a_fault(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png")
    (tmp_path / "train.txt").write_text("a")
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00b")
    assert [fault.problem for fault in read_listing(tmp_path).faults] == [
        "val.txt cannot be read",
        "the image is in no list",
    ]


def test_a_listed_pair_without_a_mask_is_left_out(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
    (tmp_path / "train.txt").write_text("a\nb\n")
    assert [fault.problem for fault in read_listing(tmp_path).faults] == ["the image has no mask"]
    assert stems(tmp_path) == {"training": ["a"]}


def test_other_text_files_are_no_lists(tmp_path):
    touch(tmp_path, "images/a.png", "notes.txt", "training_notes.txt", "masks/train.txt", "images/test.txt")
    (tmp_path / "train.txt").mkdir()
    touch(tmp_path, "masks/a.png")
    assert stems(tmp_path) == {"unsplit": ["a"]}
