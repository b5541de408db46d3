"""Predicted label maps as files: the geometry of the input, exact values, names, and what is refused."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_seg.inference import prediction_name, write_label_map
from monai_seg.inference.label_map_file import ClassMaskError, mask_folders

SHAPE = (4, 3, 2)
# Rotated about two axes, with voxels of 0.8 x 0.8 x 3 mm and an origin far away.
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.96, -0.28], [0.0, 0.28, 0.96]]
)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = TURN @ np.diag([0.8, 0.8, 3.0])
OBLIQUE[:3, 3] = [-90.5, 126.25, -72.0]
SHEARED = OBLIQUE.copy()
SHEARED[0, 1] += 0.3


def labels(shape=SHAPE, top=3) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape) % (top + 1)


def volume(path, affine=OBLIQUE, sform=2, qform=1, image_class=nib.Nifti1Image, shape=SHAPE, scaled=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image_class(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)
    image.set_sform(affine if sform else None, sform)
    image.set_qform(OBLIQUE if qform else None, qform)
    image.header.set_xyzt_units("micron", "msec")
    image.header["descrip"] = b"a scanner"
    image.header["cal_max"] = 400
    if scaled:
        image.header.set_slope_inter(0.5, -1024)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(("sform", "qform"), [(2, 1), (4, 0), (0, 1), (1, 3), (0, 0)])
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled int16"])
@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
def test_geometry_of_a_volume_is_kept_and_values_are_exact(tmp_path, sform, qform, scaled, image_class):
    source = volume(
        tmp_path / "in" / "a.nii.gz", SHEARED if sform else OBLIQUE, sform, qform, image_class, scaled=scaled
    )
    written = write_label_map(labels().astype(np.float32), source, tmp_path / "out")
    assert written == tmp_path / "out" / "a.nii.gz"
    before, after = nib.load(source), nib.load(written)
    assert type(after) is type(before)
    assert np.array_equal(np.asanyarray(after.dataobj), labels())
    assert after.get_data_dtype() == np.uint8
    assert after.header.get_slope_inter() in ((1, 0), (None, None))
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)
    assert (int(after.header["sform_code"]), int(after.header["qform_code"])) == (sform, qform)
    for which in ("get_sform", "get_qform"):
        wanted, code = getattr(before, which)(coded=True)
        found, found_code = getattr(after, which)(coded=True)
        assert found_code == code
        if code:
            np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(after.header.get_zooms(), before.header.get_zooms(), rtol=1e-6)
    assert after.header.get_xyzt_units() == ("micron", "msec")
    assert bytes(after.header["descrip"]).rstrip(b"\0") == b"a scanner"
    assert (after.header["cal_min"], after.header["cal_max"]) == (0, 0)


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (4, 3, 2, 1)], ids=["two channels", "a trailing one"])
def test_a_volume_with_channels_gives_one_label_map(tmp_path, shape):
    source = volume(tmp_path / "a.nii.gz", shape=shape)
    after = nib.load(write_label_map(labels(), source, tmp_path / "out"))
    assert after.shape == SHAPE
    np.testing.assert_allclose(after.affine, OBLIQUE, atol=1e-5)
    assert np.array_equal(np.asanyarray(after.dataobj), labels())


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a.nii.gz", "a.nii.gz"),
        ("a.nii", "a.nii.gz"),
        ("patient.01.v2.nii.gz", "patient.01.v2.nii.gz"),
        ("scan.2024.01.jpg", "scan.2024.01.png"),
        ("A.PNG", "A.png"),
        ("a.bmp", "a.png"),
        ("a.tif", "a.tif"),
        ("a.TIFF", "a.tiff"),
    ],
)
def test_a_prediction_bears_the_stem_of_its_input(tmp_path, source, name):
    assert prediction_name(tmp_path / "deep" / source) == name


@pytest.mark.parametrize("name", ["a.b.nii", "a.b.nii.gz", "a.b.png", "a.b.jpg", "a.b.tif"])
def test_each_kind_of_file_can_be_read_back(tmp_path, name):
    source = tmp_path / name
    if ".nii" in name:
        volume(source)
        values = labels()
    else:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(source)
        values = labels((4, 6))
    written = write_label_map(values, source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [prediction_name(source)]
    found = nib.load(written).dataobj if ".nii" in name else Image.open(written)
    assert np.array_equal(np.asanyarray(found), values)


def test_more_than_255_classes_are_written_as_16_bits(tmp_path):
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "a.png")
    values = labels((20, 30), top=500)
    for name in ("a.png", "v.nii.gz"):
        if name == "v.nii.gz":
            volume(tmp_path / name, shape=(20, 30, 1))
        written = write_label_map(
            values[..., None] if name == "v.nii.gz" else values, tmp_path / name, tmp_path / "out"
        )
        found = nib.load(written).dataobj if name == "v.nii.gz" else Image.open(written)
        assert np.array_equal(np.squeeze(np.asanyarray(found)), values)


@pytest.mark.parametrize("shape", [(3, 4, 2), (4, 3), (4, 3, 2, 1)])
def test_another_shape_than_the_volume_is_refused(tmp_path, shape):
    source = volume(tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"a\.nii\.gz has shape .*, the file \(4, 3, 2\)"):
        write_label_map(np.zeros(shape), source, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_another_shape_than_the_picture_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png has shape \(6, 4\), the file \(4, 6\)"):
        write_label_map(np.zeros((6, 4)), tmp_path / "a.png", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_empty_and_one_voxel_masks(tmp_path):
    source = volume(tmp_path / "a.nii.gz", shape=(1, 1, 1))
    for value in (0, 1):
        written = write_label_map(np.full((1, 1, 1), value), source, tmp_path / "out")
        assert np.asanyarray(nib.load(written).dataobj).tolist() == [[[value]]]


def test_masks_of_each_class_have_a_folder(tmp_path):
    assert mask_folders(tmp_path, ["building", "street tree"]) == [tmp_path / "building", tmp_path / "street tree"]
    assert mask_folders(tmp_path, []) == []


@pytest.mark.parametrize(
    ("class_names", "message"),
    [
        (["a/b", "c"], "class 'a/b' cannot name the folder"),
        (["..", "c"], "cannot name the folder"),
        (["", "c"], "cannot name the folder"),
        (["c\\d", "c"], "cannot name the folder"),
        (["Tree", "tree"], "have one folder"),
    ],
)
def test_classes_that_cannot_have_one_are_refused(class_names, message, tmp_path):
    with pytest.raises(ClassMaskError, match=message):
        mask_folders(tmp_path, class_names)
