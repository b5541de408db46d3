"""Sample data of objects: sound, with objects that only a look at their shape tells from what is about them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged
from scipy import ndimage

from monai_seg.data import check, datalist, sample_data
from monai_seg.data.layouts import read_listing
from monai_seg.transforms import LoadInstancesd


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_slices_are_sound_and_of_patients_with_and_without_tumours(cache):
    folder = sample_data("slices", cache)
    report = check(folder, class_names=["tumor"])
    assert (report.faults, report.warnings) == ([], [])
    records = read_listing(folder).sections["unsplit"]
    patients = Counter(Path(record["image"]).name.split("_")[0] for record in records)
    assert len(patients) == 24
    assert report.facts["images_without_objects"] > 0
    assert set(report.facts["objects"]) == {"tumor"}


def test_nodules_are_sound_and_each_is_one_piece(cache):
    folder = Path(sample_data("nodules", cache))
    report = check(folder, spatial_dims=3, in_channels=1)
    assert report.faults == []
    counts = []
    for path in sorted((folder / "labels").iterdir()):
        label = np.asarray(nib.load(path).dataobj)
        counts.append(int(label.max()))
        assert np.unique(label).tolist() == list(range(counts[-1] + 1))
        for number in range(1, counts[-1] + 1):
            pieces, _ = ndimage.label(label == number)
            sizes = np.bincount(pieces.ravel())[1:]
            assert sizes.max() > 0.95 * sizes.sum()
            assert sizes.sum() > 60
    assert min(counts) == 0
    assert max(counts) == 4


def test_no_threshold_finds_the_nodules(cache):
    """Vessels are as bright: of the bright voxels, many are none of a nodule."""
    folder = Path(sample_data("nodules", cache))
    shares = []
    for path in sorted((folder / "images").iterdir())[:8]:
        bright = np.asarray(nib.load(path).dataobj) > -400
        shares.append((bright & (np.asarray(nib.load(folder / "labels" / path.name).dataobj) > 0)).sum() / bright.sum())
    assert np.median(shares) < 0.7


def test_instance_maps_become_objects(cache):
    folder = sample_data("nodules", cache)
    record = next(
        each for each in datalist(folder, "training") if np.asarray(nib.load(each["label"]).dataobj).max() > 1
    )
    sample = LoadImaged(["image", "label"], ensure_channel_first=True)(record)
    label = np.asarray(sample["label"][0])
    found = LoadInstancesd(class_names=["nodule"])(sample)
    assert found["mask"].shape == (label.max(), 40, 40, 40)
    assert np.array_equal(found["mask"].argmax(0).numpy() + 1, np.where(label > 0, label, 1))
    assert found["box"].shape == (label.max(), 6)
    assert found["mask"].affine[2, 2] == 1.25
