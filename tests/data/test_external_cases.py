"""Cases that nobody trains on: all labelled ones or the test section, and images to predict."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_seg.data import DataError, LayoutError, external_cases, images, require_readable


def picture(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 3), value, np.uint8)).save(path)
    return path


def pairs(folder: Path, names: str, first: int = 0) -> None:
    for value, name in enumerate(names, start=first):
        picture(folder / "images" / f"{name}.png", value)
        picture(folder / "masks" / f"{name}.png", 0)


def names(records) -> list[str]:
    return [Path(record["image"]).stem for record in records]


def test_all_labelled_cases_with_the_hash_of_their_image(tmp_path):
    pairs(tmp_path, "ab")
    cases = external_cases(tmp_path)
    assert names(cases) == ["a", "b"]
    for case in cases:
        assert case["sha256"] == hashlib.sha256(Path(case["image"]).read_bytes()).hexdigest()


def test_the_test_section_alone_where_there_is_one(tmp_path):
    pairs(tmp_path / "train", "ab")
    pairs(tmp_path / "test", "cd", first=5)
    assert names(external_cases(tmp_path)) == ["c", "d"]


def test_a_test_section_without_labels_cannot_be_one(tmp_path):
    pairs(tmp_path / "train", "ab")
    picture(tmp_path / "test" / "images" / "c.png", 9)
    assert names(external_cases(tmp_path)) == ["a", "b"]
    assert names(images(tmp_path)) == ["c"]


@pytest.mark.parametrize(("target_key", "expected"), [(None, ["a", "b"]), ("class", ["a"]), ("label", ["b"])])
def test_what_a_case_must_have(tmp_path, target_key, expected):
    pairs(tmp_path, "ab")
    records = [{"image": "images/a.png", "class": "joy"}, {"image": "images/b.png", "label": "masks/b.png"}]
    (tmp_path / "datalist.json").write_text(json.dumps({"test": records}))
    assert names(external_cases(tmp_path, target_key)) == expected


def test_no_label_at_all_is_said(tmp_path):
    picture(tmp_path / "test" / "images" / "c.png", 9)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(LayoutError, match=r"no case with a mask in .*\n.*1 case without a mask\n.*add a mask"):
        external_cases(tmp_path)


def test_images_of_one_file_of_a_folder_and_of_a_data_set(tmp_path):
    single = picture(tmp_path / "x.1.png", 1)
    assert images(single) == [{"image": str(single)}]
    picture(tmp_path / "a.jpg", 2)
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    (tmp_path / "notes.txt").write_text("")
    assert names(images(tmp_path)) == ["a", "x.1"]
    pairs(tmp_path / "set", "bc")
    assert images(tmp_path / "set") == [{"image": str(tmp_path / "set" / "images" / f"{name}.png")} for name in "bc"]


def test_relative_path_gives_absolute_ones(tmp_path, monkeypatch):
    file = picture(tmp_path / "a.png", 1)
    monkeypatch.chdir(tmp_path)
    assert images("a.png") == images(".") == [{"image": str(file)}]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "empty"])
def test_a_place_without_images_is_named(tmp_path, make):
    make(tmp_path / "nowhere")
    with pytest.raises(LayoutError, match="nowhere"):
        images(tmp_path / "nowhere")


def test_all_images_that_cannot_be_predicted_are_named_at_once(tmp_path):
    names = ("sound", "truncated", "colour")
    for name in names:
        channels = (3,) if name == "colour" else ()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, *channels), np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    whole = (tmp_path / "truncated.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as caught:
        require_readable(images(tmp_path), spatial_dims=2, in_channels=1)
    assert "truncated.png" in str(caught.value)
    assert "colour.png" in str(caught.value)
    assert "sound.png" not in str(caught.value)
