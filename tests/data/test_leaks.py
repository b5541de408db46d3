"""Leaks planted one by one: each is found and named, and data without any give none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps
from planted_copies import cut, picture, recompressed, save

from monai_seg.data import DataError, require_no_leaks
from monai_seg.data.duplicates import AuditedImage, Copy, LeakReport, find_leaks, images_of_data
from monai_seg.data.duplicates.findings import copies_across
from monai_seg.data.fault import Fault

CLASSES, EACH = ("cat", "dog"), 12


def made(root, sections=("train", "test"), first=0, each=EACH, ending="png"):
    """Pictures, all different, of two classes in some sections; a person takes three of them."""
    seed = first
    for section in sections:
        for name in CLASSES:
            for _ in range(each):
                save(picture(seed), root / section / name / f"person{seed // 3}_{seed}.{ending}")
                seed += 1
    return root


@pytest.fixture
def data(tmp_path):
    return made(tmp_path / "data")


def found_in(*folders, group_by=None) -> LeakReport:
    return find_leaks(images_of_data(folders, group_by))


def only_finding(report: LeakReport, kind: str) -> Fault:
    assert [each.kind for each in report.findings] == [kind]
    return report.findings[0].fault


def test_clean_data_give_none(data):
    report = found_in(data, group_by=r"person(\d+)_")
    assert (report.is_clean, report.copies, report.places) == (True, [], ["training", "test"])


@pytest.mark.parametrize(
    "alter",
    [
        lambda image: image,
        ImageOps.mirror,
        lambda image: cut(image, 0.12, 0.08, 0.1, 0.05),
        lambda image: recompressed(image, 30),
        lambda image: image.resize((60, 60)),
    ],
    ids=["copied", "mirrored", "cut", "recompressed", "resized"],
)
def test_a_copy_in_another_section(data, alter):
    save(alter(picture(2)), data / "test" / "cat" / "new.png")
    report = found_in(data)
    fault = only_finding(report, "copies across")
    assert report.findings[0].is_leak
    assert fault.problem == "1 of 25 images of test have a copy in training"
    assert fault.facts[0] == "training  train/cat/person0_2.png"
    assert fault.facts[1].startswith("test  test/cat/new.png  ")


def test_copies_by_way_of_others_are_named_too():
    images = [AuditedImage({"image": name}, name, "", section) for name, section in
              (("a", "training"), ("b", "validation"), ("c", "test"))]  # fmt: skip
    copies = [Copy(0, 1, "near copy", 0.95), Copy(1, 2, "near copy", 0.95)]
    found = {each.fault.problem: each.fault.facts for each in copies_across(images, copies, [[0, 1, 2]])}
    assert len(found) == 3
    assert found["1 of 1 images of test have a copy in training"] == ("training  a", "test  c  by way of others")


def test_copies_in_an_external_data_set(data, tmp_path):
    other = made(tmp_path / "other", ("test",), first=500, each=4)
    for seed in (0, 5):
        save(ImageOps.mirror(picture(seed)), other / "test" / "cat" / f"copy{seed}.jpg")
    fault = only_finding(found_in(data, other), "copies across")
    assert fault.problem == "2 of 10 images of other test have a copy in data training"


def test_a_person_in_two_sections(data):
    (data / "test" / "cat" / "person8_24.png").rename(data / "test" / "cat" / "person1_24.png")
    report = found_in(data, group_by=r"person(\d+)_")
    assert only_finding(report, "group across").problem == "group '1' is in training and test"
    assert report.findings[0].is_leak


def test_a_doubled_pool(tmp_path):
    root = made(tmp_path / "pool", ("",))
    for name in CLASSES:
        for file in sorted((root / name).iterdir()):
            shutil.copy(file, file.with_name(f"again_{file.name}"))
    report = found_in(root)
    fault = only_finding(report, "copies within")
    assert fault.problem == "unsplit is a multiplied pool: its 48 images are 24 different ones"
    # In a split at random a test image has its twin in training as often as any image is there.
    assert (
        fault.facts[-1]
        == "split  a random one would leave 70.0% of the test images with a copy in training, if 70% train"
    )
    assert len(report.copies) == 24


def test_near_copies_of_one_person_are_no_finding_but_exact_ones_are(data):
    save(ImageOps.mirror(picture(0)), data / "train" / "cat" / "person0_100.png")
    report = found_in(data, group_by=r"person(\d+)_")
    assert report.is_clean
    assert len(report.copies) == 1
    assert only_finding(found_in(data), "copies within").problem == "2 of 25 images of training have a copy there"
    shutil.copy(data / "train" / "cat" / "person0_1.png", data / "train" / "cat" / "person0_101.png")
    assert only_finding(found_in(data, group_by=r"person(\d+)_"), "copies within")


def test_copies_of_another_class(data):
    save(ImageOps.mirror(picture(0)), data / "train" / "dog" / "odd.png")
    report = found_in(data)
    assert [each.kind for each in report.findings] == ["labels at odds", "copies within"]
    assert report.findings[0].fault.facts == (
        "training  train/cat/person0_0.png  cat",
        "training  train/dog/odd.png  dog",
    )
    assert [each.is_leak for each in report.findings] == [False, False]


def test_another_data_set_may_call_a_class_otherwise(data, tmp_path):
    for name, seed in (("feline", 0), ("canine", 12)):
        save(picture(seed), tmp_path / "other" / name / "1.png")
    assert only_finding(found_in(data, tmp_path / "other"), "copies across")


def test_copies_with_another_mask(tmp_path):
    for number, (seed, value) in enumerate(((0, 1), (0, 2), (1, 1), (1, 1), (2, 1))):
        save(picture(seed), tmp_path / "images" / f"{number}.png")
        save(Image.new("L", (96, 96), value), tmp_path / "masks" / f"{number}.png")
    report = found_in(tmp_path)
    assert [each.kind for each in report.findings] == ["labels at odds", "copies within"]
    assert report.findings[0].fault.problem == "1 exact copy has another mask or other objects"


@pytest.mark.parametrize(
    ("kind", "alter", "is_leak"),
    [
        ("kind of file", lambda image: image.resize((90, 90), Image.Resampling.BICUBIC), True),
        ("kind of file", lambda image: image.convert("RGB"), True),
        ("texture", lambda image: image.resize((40, 40)).resize((96, 96), Image.Resampling.BICUBIC), False),
    ],
    ids=["resolution", "channels", "texture"],
)
def test_a_class_that_its_files_give_away(tmp_path, kind, alter, is_leak):
    for seed in range(60):
        image = picture(seed)
        save(alter(image) if seed % 2 else image, tmp_path / CLASSES[seed % 2] / f"{seed}.png")
    report = found_in(tmp_path)
    problems = {each.fault.problem: each.is_leak for each in report.findings}
    assert problems[f"class 'dog' is told from the others by {kind} alone"] is is_leak


def test_the_gate_names_pairs_and_what_to_do(data, caplog):
    save(ImageOps.mirror(picture(2)), data / "test" / "cat" / "new.png")
    sections = {"training": [], "validation": [], "test": []}
    for image in images_of_data([data]):
        sections[image.section].append(image.record)
    with pytest.raises(DataError, match="1 of 25 images of test have a copy in training") as refused:
        require_no_leaks(sections)
    assert "train/cat/person0_2.png" in str(refused.value)
    assert "allow_duplicates true" in str(refused.value)
    assert require_no_leaks(sections, allow=True) is None
    assert "nobody looked" in caplog.text
    sections["test"] = [record for record in sections["test"] if "new.png" not in record["image"]]
    assert require_no_leaks(sections).is_clean


def test_the_gate_warns_of_what_is_no_leak(tmp_path, caplog):
    files = [save(picture(seed % 7), tmp_path / f"{seed}.png") for seed in range(8)]
    sections = {"training": [{"image": file} for file in files], "test": []}
    assert not require_no_leaks(sections).is_clean
    assert "2 of 8 images of training have a copy there" in caplog.text


def test_the_same_file_listed_in_two_sections(tmp_path):
    record = {"image": save(picture(0), tmp_path / "a.png")}
    with pytest.raises(DataError, match="have a copy in training"):
        require_no_leaks({"training": [record], "test": [record]})


def test_volumes_pass_the_gate_unless_they_are_copies(tmp_path):
    import nibabel as nib

    generator = np.random.default_rng(0)
    for name in "abc":
        nib.save(nib.Nifti1Image(generator.random((4, 5, 6)), np.eye(4)), tmp_path / f"{name}.nii.gz")
    records = [{"image": str(tmp_path / f"{name}.nii.gz")} for name in "abc"]
    assert require_no_leaks({"training": records[:2], "test": records[2:]}).is_clean
    with pytest.raises(DataError, match="1 of 1 images of test"):
        require_no_leaks({"training": records, "test": records[1:2]})


def test_a_report_is_plain_json(data):
    import json

    shutil.copy(data / "train" / "cat" / "person0_0.png", data / "test" / "cat" / "new.png")
    content = json.loads(json.dumps(found_in(data).as_dict()))
    assert content["images"] == {"training": 24, "test": 25}
    assert content["copies"][0]["kind"] == "same file"
    assert content["findings"][0]["is_leak"] is True


def test_an_image_is_one_of_the_first_data_set_that_has_it(data):
    assert len(images_of_data([data, data])) == 48
    assert isinstance(images_of_data([data])[0], AuditedImage)
