"""Copies of images: each kind that people make is found, and different pictures of one kind are left alone."""

from __future__ import annotations

import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from planted_copies import ALTERED, picture, save

from monai_seg.data.duplicates.copies import NEAR, SAME_FILE, SAME_VALUES, Copy, clusters, find_copies
from monai_seg.data.duplicates.prints import read_prints

COUNT = 24


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return [save(picture(seed), folder / f"{seed}.png") for seed in range(COUNT)]


def copies_of(*files: str) -> list[Copy]:
    prints, faults = read_prints([{"image": str(file)} for file in files])
    assert faults == []
    return find_copies(prints)


def test_different_pictures_are_no_copies(files):
    assert copies_of(*files) == []


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_found(files, tmp_path, name):
    altered = [save(ALTERED[name](picture(seed)), tmp_path / f"{seed}.png") for seed in range(0, COUNT, 3)]
    found = copies_of(*files, *altered)
    assert [(copy.first, copy.second) for copy in found] == [
        (seed, COUNT + place) for place, seed in enumerate(range(0, COUNT, 3))
    ]
    assert {copy.kind for copy in found} == {NEAR}
    assert min(copy.agreement for copy in found) > 0.93


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("mirrored", "mirrored"),
        ("recompressed", ""),
        ("cut by 15%", "50% of it"),  # 68 of 96 pixels a side
        ("quarter turn", "quarter turn left"),  # back again
    ],
)
def test_it_says_what_was_done(files, tmp_path, name, how):
    (found,) = copies_of(*files, save(ALTERED[name](picture(3)), tmp_path / "copy.png"))
    assert found.how == how


def test_the_same_file_and_the_same_pixels(files, tmp_path):
    same = shutil.copy(files[2], tmp_path / "other_name.png")
    packed = tmp_path / "packed.tif"
    Image.open(files[5]).save(packed, compression="tiff_lzw")
    found = copies_of(*files, same, str(packed))
    assert found == [Copy(2, COUNT, SAME_FILE), Copy(5, COUNT + 1, SAME_VALUES)]


def test_a_doubled_pool_has_one_pair_of_each_image(files):
    assert copies_of(*files, *files) == [Copy(index, COUNT + index, SAME_FILE) for index in range(COUNT)]


def test_volumes_are_compared_by_their_voxels(tmp_path):
    values = np.random.default_rng(0).integers(0, 99, (6, 5, 4)).astype(np.int16)
    for name, each in (("a", values), ("b", values.astype(np.float32)), ("c", values + 1)):
        nib.save(nib.Nifti1Image(each, np.eye(4)), tmp_path / f"{name}.nii.gz")
    repacked = tmp_path / "d.nii"
    repacked.write_bytes(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    found = copies_of(*(str(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii")))
    assert found == [Copy(0, 1, SAME_VALUES), Copy(0, 3, SAME_VALUES)]


def test_pictures_of_one_tone_are_alike_to_their_equals_only(files, tmp_path):
    black = [save(Image.new("L", (40, 30), 0), tmp_path / f"{name}.png") for name in "ab"]
    white = save(Image.new("L", (41, 30), 255), tmp_path / "white.png")
    assert copies_of(*files, *black, white) == [Copy(COUNT, COUNT + 1, SAME_FILE)]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (640, 480)])
def test_pictures_of_any_size(tmp_path, size):
    values = np.random.default_rng(0).integers(0, 255, (2, *size)).astype(np.uint8)
    assert copies_of(*(save(Image.fromarray(each), tmp_path / f"{n}.png") for n, each in enumerate(values))) == []


def test_16_bits_and_grey_with_transparency(files, tmp_path):
    values = np.asarray(picture(4)).astype(np.uint16)
    deep = save(Image.fromarray(values * 16 + 1000), tmp_path / "deep.png")
    faded = picture(7).convert("LA")
    found = copies_of(*files, deep, save(faded, tmp_path / "alpha.png"))
    assert [(copy.first, copy.second) for copy in found] == [(4, COUNT), (7, COUNT + 1)]


def test_values_that_are_no_numbers_do_no_harm(files, tmp_path):
    values = np.asarray(picture(4)).astype(np.float32)
    values[3:5, 2:9] = [[np.nan], [np.inf]]
    (found,) = copies_of(*files, save(Image.fromarray(values), tmp_path / "float.tif"))
    assert (found.first, found.second) == (4, COUNT)


def test_an_unreadable_image_is_told_and_the_others_are_compared(files, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    prints, (fault,) = read_prints([{"image": str(broken)}, {"image": files[0]}, {"image": files[0]}])
    assert fault.case == "broken"
    assert find_copies(prints) == [Copy(1, 2, SAME_FILE)]


def test_nothing_and_one_image():
    assert find_copies([]) == []


def test_clusters_join_what_is_alike_by_way_of_others():
    pairs = [Copy(0, 4, NEAR), Copy(4, 2, NEAR), Copy(1, 3, NEAR), Copy(7, 9, NEAR), Copy(2, 9, NEAR)]
    assert clusters(pairs) == [[0, 2, 4, 7, 9], [1, 3]]
