"""Classes of whole images: names mapped, sections to learn from, and what is wrong with a data set of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_seg.data import DataError, check, class_counts, class_indices, require_classes, with_classes
from monai_seg.data import sections as sections_of
from monai_seg.data.layouts import read_listing
from monai_seg.transforms import ClassIndexd

NAMES = ["anger", "fear", "joy"]


def face(path: Path, number: int, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (8, 8) if channels == 1 else (8, 8, channels)
    Image.fromarray(np.random.default_rng(number).integers(0, 255, shape).astype(np.uint8)).save(path)


def faces(root: Path, **counts: int) -> Path:
    for offset, (folder, count) in enumerate(counts.items()):
        for number in range(count):
            face(root / folder.replace("__", "/") / f"{number}.png", 100 * offset + number)
    return root


def problems(root: Path, **expected) -> list[str]:
    return [fault.problem for fault in check(root, **expected).faults]


def records(*classes: str) -> list[dict]:
    return [{"image": f"{number}.png", "class": name} for number, name in enumerate(classes)]


def test_names_are_mapped_and_left_out():
    mapped = with_classes(records("happy", "fear", "disgust"), NAMES, {"happy": "joy", "disgust": None})
    assert [record["class"] for record in mapped] == ["joy", "fear"]
    assert (class_indices(mapped, NAMES), class_counts(mapped, NAMES)) == ([2, 1], [0, 1, 1])


def test_a_class_that_nobody_knows_is_counted_and_mended():
    with pytest.raises(DataError, match=r"class 'Suprise' is not known\n  found  2 cases.*\n.*\n.*class_map") as caught:
        with_classes(records("Suprise", "fear", "Suprise"), NAMES)
    assert len(caught.value.faults) == 1
    with pytest.raises(DataError, match="class_map leaves no case"):
        with_classes(records("fear"), NAMES, {"fear": None})


def test_training_needs_every_class_and_others_are_warned_of(caplog):
    whole = {"training": records(*NAMES), "validation": records("joy"), "test": []}
    with caplog.at_level("WARNING"):
        require_classes(whole, NAMES)
    assert "the validation section has no case of anger, fear" in caplog.text
    with pytest.raises(DataError, match="training has no case of class 'fear'\n  training    0 cases"):
        require_classes(whole | {"training": records("anger", "joy")}, NAMES)


def test_persons_and_folds_of_a_table(tmp_path):
    faces(tmp_path, joy=3, fear=1)
    lines = ["file,identity,fold", "joy/0.png,Ann,1", "joy\\1.png,Bob,0", "joy/2.png,Ann,1", "fear/0.png,Bob,0"]
    (tmp_path / "identities.csv").write_text("\n".join(lines))
    parts = sections_of(tmp_path, fold=1, target_key="class", shares=(0.8, 0.2, 0))
    listed = {Path(r["image"]).relative_to(tmp_path).as_posix(): r for part in parts.values() for r in part}
    assert {name: (r["group"], r["fold"]) for name, r in listed.items()} == {
        "joy/0.png": ("Ann", 1), "joy/1.png": ("Bob", 0), "joy/2.png": ("Ann", 1), "fear/0.png": ("Bob", 0),
    }  # fmt: skip
    assert {record["group"] for record in parts["validation"]} == {"Ann"}


def test_the_table_of_persons_is_checked(tmp_path):
    faces(tmp_path, joy=2, fear=1)
    table = tmp_path / "identities.csv"
    table.write_text("file,identity\njoy/0.png,Ann\njoy/1.png,\nfear/0.png,Bob\nfear/9.png,Bob\n")
    assert problems(tmp_path) == ["nobody says whom the image shows", "1 of the files in identities.csv are missing"]
    table.write_text("name,who\n")
    assert problems(tmp_path) == ["identities.csv does not tell the person of each file"]


def test_a_person_in_two_sections_is_refused(tmp_path):
    faces(tmp_path, train__joy=2, train__fear=1, val__joy=1, val__fear=1)
    names = ["train/joy/0", "train/joy/1", "train/fear/0", "val/joy/0", "val/fear/0"]
    people = dict(zip(names, ["Ann", "Bob", "Bob", "Ann", "Eve"], strict=True))
    table = ["file,person", *(f"{name}.png,{person}" for name, person in people.items())]
    (tmp_path / "identities.csv").write_text("\n".join(table))
    with pytest.raises(DataError, match=r"group 'Ann' is in training and validation"):
        sections_of(tmp_path, target_key="class", shares=(0.8, 0.2, 0))


def test_an_empty_class_folder_is_named(tmp_path):
    faces(tmp_path, joy=2, fear=2)
    (tmp_path / "anger").mkdir()
    (fault,) = check(tmp_path).faults
    assert fault.problem == "the class folder holds no image"
    assert "anger/" in str(fault)


def test_one_class_only(tmp_path):
    faces(tmp_path, joy=2)
    (tmp_path / "fear").mkdir()
    assert read_listing(tmp_path).layout == "classes"
    assert problems(tmp_path) == ["the class folder holds no image", "all cases are of one class"]


def test_a_class_that_training_lacks(tmp_path):
    faces(tmp_path, train__joy=2, train__fear=1, val__joy=1, val__anger=3)
    (fault,) = check(tmp_path).faults
    assert fault.problem == "class 'anger' is in validation but not in training"
    assert "validation  3 cases" in str(fault)


def test_an_unknown_class_is_a_fault_and_a_missing_one_a_warning(tmp_path):
    report = check(faces(tmp_path, joy=2, feer=1), class_names=NAMES)
    assert [fault.problem for fault in report.faults] == ["class 'feer' is not known"]
    assert [fault.problem for fault in report.warnings] == ["no case of anger, fear"]


def test_colours_and_broken_files_among_grey_images(tmp_path):
    faces(tmp_path, joy=2, fear=2)
    face(tmp_path / "joy" / "colour.png", 9, channels=3)
    (tmp_path / "fear" / "broken.png").write_bytes(b"no picture")
    assert problems(tmp_path, in_channels=1) == [
        "the image is no picture that can be read", "3 channels where 1 expected",
        "the image has other channels than most",
    ]  # fmt: skip


def test_copies_of_other_classes_are_told(tmp_path):
    faces(tmp_path, joy=2, fear=2)
    (tmp_path / "fear" / "copy.png").write_bytes((tmp_path / "joy" / "0.png").read_bytes())
    warnings = check(tmp_path).warnings
    assert [w.problem for w in warnings if "said" in w.problem] == ["the same image is said to be fear and joy"]


def test_index_of_a_class():
    assert ClassIndexd(NAMES)({"class": "joy", "image": 0}) == {"class": "joy", "image": 0, "label": 2}
    with pytest.raises(ValueError, match="class 'glee' is none of anger, fear, joy"):
        ClassIndexd(NAMES)({"class": "glee"})
    with pytest.raises(ValueError, match="name each class once"):
        ClassIndexd(["joy", "joy"])
