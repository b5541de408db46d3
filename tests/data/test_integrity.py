"""The check: every kind of bad input is found with its file's name, sound data raise no alarm."""

from __future__ import annotations

import gzip
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_seg.data import DataError, check, require_sound, sections, write_datalist
from monai_seg.data.integrity import Report
from monai_seg.data.raster import UnreadableError, read_raster

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def save_volume(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([1.0, 1.0, 2.5, 1.0]) if affine is None else affine), path)


def save_picture(path: Path, values: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def half(*shape: int, value: int = 1) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[: shape[0] // 2] = value
    return mask


@pytest.fixture
def volumes(tmp_path) -> Path:
    """Two sound volumes, a and b."""
    for number, case in enumerate("ab"):
        save_volume(tmp_path / f"imagesTr/{case}.nii.gz", noise(8, 9, 5, seed=number).astype(np.float32))
        save_volume(tmp_path / f"labelsTr/{case}.nii.gz", half(8, 9, 5))
    return tmp_path


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Two sound pictures, a and b."""
    for number, case in enumerate("ab"):
        save_picture(tmp_path / f"images/{case}.png", noise(12, 10, seed=number))
        save_picture(tmp_path / f"masks/{case}.png", half(12, 10))
    return tmp_path


def only(report: Report, kind: str = "faults") -> str:
    """The text of the one finding there is."""
    assert [len(report.faults), len(report.warnings)] == ([1, 0] if kind == "faults" else [0, 1]), report
    return str(getattr(report, kind)[0])


def edit(path: Path, change: Callable[[bytearray], object]) -> None:
    """Change the bytes of a file; those of a .nii.gz are unpacked for that."""
    packed = path.name.endswith(".gz")
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    change(content)
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))


def put(position: int, form: str, *values: float) -> Callable[[bytearray], object]:
    return lambda content: struct.pack_into(form, content, position, *values)


def test_sound_volumes(volumes):
    report = require_sound(volumes, label_values=(0, 1), spatial_dims=3, in_channels=1)
    assert report.warnings == []
    assert report.counts == {"cases": 2, "training": 2}
    assert report.facts == {
        "layout": "msd",
        "shape_min": [8, 9, 5],
        "shape_max": [8, 9, 5],
        "spacing_mm_min": [1.0, 1.0, 2.5],
        "spacing_mm_max": [1.0, 1.0, 2.5],
        "channels": [1],
        "label_values": [0, 1],
    }


def test_sound_pictures(pictures):
    report = require_sound(pictures, label_values=(0, 1), spatial_dims=2, in_channels=1, progress=True)
    assert report.warnings == []
    assert report.facts["shape_max"] == [12, 10]


def test_odd_but_valid_pictures_raise_no_alarm(tmp_path):
    images = {
        "bits16.png": noise(12, 10, seed=1).astype(np.uint16) * 200,
        "float.tif": noise(12, 10, seed=2).astype(np.float32),
        "grey.bmp": noise(12, 10, seed=3),
        "photo.JPEG": noise(12, 10, seed=4),
        "one column.png": noise(12, 1, seed=5),
    }
    masks = [half(12, 10) > 0, half(12, 10, value=255), half(12, 10).astype(np.uint16), half(12, 10), half(12, 1)]
    for (name, image), mask in zip(images.items(), masks, strict=True):
        save_picture(tmp_path / "images" / name, image)
        save_picture(tmp_path / "masks" / f"{name.split('.')[0]}.png", mask)
    Image.fromarray(half(12, 10)).convert("P").save(tmp_path / "masks" / "grey.png")
    report = check(tmp_path)
    assert report.faults + report.warnings == []


def test_odd_but_valid_volumes_raise_no_alarm(tmp_path):
    turn = nib.eulerangles.euler2mat(0.3, -0.2, np.pi - 1e-4) @ np.diag([0.5, 0.7, 3.0])
    oblique = nib.affines.from_matvec(turn, [-90.1, 126.3, -72.7])
    images = {
        "nifti2.nii": nib.Nifti2Image(noise(8, 9, 5, seed=1), oblique),
        "big endian.nii.gz": nib.Nifti1Image(noise(8, 9, 5, seed=2), oblique, nib.Nifti1Header(endianness=">")),
        "one time point.nii.gz": nib.Nifti1Image(noise(8, 9, 5, 1, seed=3), oblique),
        "one slice.nii.gz": nib.Nifti1Image(noise(8, 9, 1, seed=4), oblique),
        "scaled.nii.gz": nib.Nifti1Image(noise(8, 9, 5, seed=5) / 7.0, oblique),
        "both forms.nii.gz": nib.Nifti1Image(noise(8, 9, 5, seed=6), oblique),
    }
    images["scaled.nii.gz"].set_data_dtype(np.int16)
    images["both forms.nii.gz"].set_qform(oblique, code=1)
    for name, image in images.items():
        for folder in ("imagesTr", "labelsTr"):
            (tmp_path / folder).mkdir(exist_ok=True)
        nib.save(image, tmp_path / "imagesTr" / name)
        shape = image.shape[:3]
        label = nib.Nifti1Image(half(*shape).astype(np.float64), None)
        label.set_qform(oblique, code=1)  # a label from a writer that knows no sform
        nib.save(label, tmp_path / "labelsTr" / f"{name.split('.')[0]}.nii.gz")
    report = check(tmp_path, label_values=(0, 1))
    assert report.faults + report.warnings == []


@pytest.mark.parametrize("name", ["hippocampus", "membranes"])
def test_real_data_raise_no_alarm(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"the real data are not here: {SHARED / name}")
    report = check(SHARED / name)
    assert report.faults + report.warnings == []


def test_missing_and_empty_folder(tmp_path):
    assert "no such folder" in only(check(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in only(check(tmp_path / "empty"))
    with pytest.raises(DataError, match="1 fault in"):
        require_sound(tmp_path / "gone")


def test_unpaired_files(pictures):
    (pictures / "masks/a.png").unlink()
    (pictures / "images/b.png").unlink()
    report = check(pictures)
    assert sorted(fault.problem for fault in report.faults) == ["the image has no mask", "the mask has no image"]


def test_all_faults_are_in_one_error(volumes):
    path = volumes / "imagesTr/a.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    save_volume(volumes / "labelsTr/b.nii.gz", half(8, 9, 5, value=7))
    with pytest.raises(DataError, match=r"2 faults in (?s:.)*a\.nii\.gz(?s:.)*b\.nii\.gz"):
        require_sound(volumes, label_values=(0, 1))


def test_text_is_that_of_the_style_guide(volumes):
    save_volume(volumes / "labelsTr/b.nii.gz", half(8, 9, 5), np.diag([1.0, 1.0, 2.0, 1.0]))
    assert only(check(volumes)) == (
        "case b: image and label differ in spacing\n"
        "  image  imagesTr/b.nii.gz  1.00 x 1.00 x 2.50 mm\n"
        "  label  labelsTr/b.nii.gz  1.00 x 1.00 x 2.00 mm\n"
        "  mend   resample the label onto the image's grid with nearest neighbour, or leave the case out"
    )


def test_gzip_checksum_is_verified(volumes):
    path = volumes / "imagesTr/a.nii.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum: every voxel unpacks well
    path.write_bytes(content)
    text = only(check(volumes))
    assert "the image is damaged" in text
    assert "imagesTr/a.nii.gz" in text


# Where in a NIfTI-1 header: dim 40, datatype 70, pixdim 76, scl_slope 112, qform_code 252, sform_code 254, srow_x 280.
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: content.clear(), "is truncated|no NIfTI|empty"),
        (lambda content: content.__delitem__(slice(400, None)), "is truncated"),
        (lambda content: content.extend(b"\1" * (2 << 20)), "more data than its header tells"),
        (put(40, "<4h", 3, 32767, 32767, 32767), "impossible size"),
        (put(42, "<h", -8), "impossible shape"),
        (put(40, "<h", 1), "impossible shape"),
        (put(70, "<h", 999), "no NIfTI file"),
        (put(70, "<2h", 32, 64), "complex numbers"),
        (put(70, "<2h", 128, 24), "one number per voxel.*\n.*R/G/B"),
        (put(80, "<f", 0.0), "impossible spacing"),
        (put(80, "<f", float("nan")), "impossible spacing"),
        (put(280, "<4f", 0, 0, 0, 0), "singular affine"),
        (put(280, "<4f", float("inf"), 0, 0, 0), "singular affine"),
        (put(112, "<f", float("inf")), "impossible scaling"),
        (put(344, "4s", b"ni1\0"), "no single-file NIfTI"),
    ],
)
def test_damaged_volumes(volumes, change, text):
    path = volumes / "imagesTr/a.nii.gz"
    edit(path, change)
    if text == "complex numbers":  # the same bytes have to suffice for the larger type
        edit(path, lambda content: content.extend(bytes(8 * 9 * 5 * 8)))
    report = check(volumes)
    assert len(report.faults) == 1
    assert "imagesTr/a.nii.gz" in str(report.faults[0])
    with pytest.raises(DataError, match=text):
        require_sound(volumes)


def test_sform_and_qform_that_differ_are_a_warning(volumes):
    for folder in ("imagesTr", "labelsTr"):
        path = volumes / f"{folder}/a.nii.gz"
        image = nib.load(path)
        image.set_qform(np.diag([1.0, 1.0, 2.5, 1.0]), code=1)
        image.set_sform(np.diag([-1.0, 1.0, 2.5, 1.0]), code=1)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj).copy(), None, image.header), path)
    report = check(volumes)
    assert report.is_sound
    assert [w.problem for w in report.warnings] == [f"sform and qform of the {k} differ" for k in ("image", "label")]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": half(8, 9, 4)}, "differ in size"),
        ({"values": half(8, 9)}, "differ in size"),
        ({"values": half(8, 9, 5), "affine": np.diag([-1.0, 1, 2.5, 1])}, "differ in orientation"),
        ({"values": half(8, 9, 5), "affine": nib.affines.from_matvec(np.diag([1, 1, 2.5]), [30, 0, 0])}, "origin"),
        ({"values": half(8, 9, 5) * np.float32(0.5)}, "between whole numbers"),
        ({"values": np.where(half(8, 9, 5) > 0, np.nan, 1).astype(np.float32)}, "NaN or infinite"),
        ({"values": half(8, 9, 5, value=7)}, "unknown values"),
        ({"values": half(8, 9, 5).astype(np.int16) * -1}, "unknown values"),
        ({"values": np.stack([half(8, 9, 5)] * 2, -1)}, "the label is 4D"),
    ],
)  # fmt: skip
def test_bad_labels(volumes, change, text):
    save_volume(volumes / "labelsTr/a.nii.gz", **change)
    fault = only(check(volumes, label_values=(0, 1)))
    assert text in fault
    assert "labelsTr/a.nii.gz" in fault


def test_labels_of_dataset_json_are_the_known_ones(volumes):
    (volumes / "dataset.json").write_text('{"labels": {"0": "background", "2": "organ"}, "modality": {"0": "CT"}}')
    assert {fault.problem for fault in check(volumes).faults} == {"the label holds unknown values"}
    assert check(volumes, label_values=(0, 1)).is_sound


def test_not_a_number_in_the_image(volumes):
    values = noise(8, 9, 5).astype(np.float32)
    values[0, 0, :2] = np.nan, np.inf
    save_volume(volumes / "imagesTr/a.nii.gz", values)
    fault = only(check(volumes))
    assert "NaN or infinite values" in fault
    assert "imagesTr/a.nii.gz  2 of 360 values" in fault


def test_dimensions_and_channels(volumes, tmp_path_factory):
    assert "3D where 2D is expected" in str(check(volumes, spatial_dims=2).faults[0])
    pictures = tmp_path_factory.mktemp("pictures")
    save_picture(pictures / "images/a.png", noise(8, 8))
    save_picture(pictures / "masks/a.png", half(8, 8))
    assert "2D where 3D is expected" in only(check(pictures, spatial_dims=3))
    assert "1 channel where 3 expected" in only(check(pictures, in_channels=3))


def test_four_dimensions(volumes):
    for number, case in enumerate("ab"):
        save_volume(volumes / f"imagesTr/{case}.nii.gz", noise(8, 9, 5, 4, seed=number))
    assert {fault.problem for fault in check(volumes).faults} == {"the image is 4D where 3D is expected"}
    assert check(volumes, in_channels=4).is_sound


def test_odd_one_out(pictures):
    save_picture(pictures / "images/c.png", noise(12, 10, 3))
    save_picture(pictures / "masks/c.png", half(12, 10))
    fault = only(check(pictures))
    assert "other channels than most" in fault
    assert "images/c.png" in fault


def test_constant_image_and_empty_label_are_warnings(pictures):
    save_picture(pictures / "images/a.png", np.full((12, 10), 3, np.uint8))
    assert "images/a.png  3 everywhere" in only(check(pictures), "warnings")
    save_picture(pictures / "images/a.png", noise(12, 10, seed=9))
    save_picture(pictures / "masks/a.png", half(12, 10, value=0))
    assert "masks/a.png  0 everywhere" in only(check(pictures), "warnings")
    save_picture(pictures / "masks/b.png", half(12, 10, value=0))
    assert [fault.problem for fault in check(pictures).faults] == ["no label has any foreground"]


def test_damaged_pictures(pictures):
    path = pictures / "images/a.png"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[60] ^= 4
    for content in (whole[: len(whole) // 2], bytes(flipped), b"no picture at all", b""):
        path.write_bytes(content)
        assert "images/a.png" in only(check(pictures))


@pytest.mark.parametrize(("found", "known", "mend"), [(255, (0, 1), "divide them by 255"), (1, (0, 255), "multiply")])
def test_polarity_hint(pictures, found, known, mend):
    for case in "ab":
        save_picture(pictures / f"masks/{case}.png", half(12, 10, value=found))
    report = check(pictures, label_values=known)
    assert len(report.faults) == 2
    assert all(mend in fault.mend for fault in report.faults)


def test_lossy_mask(pictures):
    (pictures / "masks/a.png").unlink()
    save_picture(pictures / "masks/a.jpg", (noise(12, 10) > 99).astype(np.uint8) * 255, quality=60)
    assert "JPEG" in only(check(pictures))
    assert "PNG" in only(check(pictures, label_values=(0, 1, 255)))


def test_jpeg_masks_that_ring_are_told_to_become_png(pictures):
    (pictures / "masks/a.png").unlink()
    save_picture(pictures / "masks/a.jpg", np.kron(noise(3, 5) > 99, np.ones((4, 2))).astype("u1") * 255, quality=40)
    fault = only(check(pictures, label_values=(0, 1, 255)))
    assert "masks/a.jpg" in fault
    assert "mend   save the mask as PNG: JPEG is lossy and alters values along edges" in fault


def test_colours_of_16_bits_are_a_fault_as_pillow_would_cut_them(pictures):
    import tifffile

    for case in "ab":
        (pictures / f"images/{case}.png").unlink()
        tifffile.imwrite(
            pictures / f"images/{case}.tif", noise(12, 10, 3, seed=ord(case)).astype("u2"), photometric="rgb"
        )
    faults = check(pictures, in_channels=3).faults
    assert [fault.problem for fault in faults] == ["the image has 16 bits per colour; only 8 would be read"] * 2


def test_a_turn_told_by_a_tiff_is_found_although_pillow_forgets_it(pictures):
    (pictures / "images/a.png").unlink()
    save_picture(pictures / "images/a.tif", noise(12, 10), tiffinfo={274: 3})
    assert "images/a.tif  orientation 3" in only(check(pictures))


def test_mask_with_colours(pictures):
    save_picture(pictures / "masks/a.png", noise(12, 10, 3))
    assert "the label has colours" in only(check(pictures))


def test_picture_and_mask_differ_in_size(pictures):
    save_picture(pictures / "masks/a.png", half(10, 12))
    fault = only(check(pictures))
    assert "images/a.png  10 x 12 px" in fault
    assert "masks/a.png  12 x 10 px" in fault


def test_turned_by_exif(pictures):
    (pictures / "images/a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    save_picture(pictures / "images/a.jpg", noise(12, 10), exif=exif)
    fault = only(check(pictures))
    assert "turned by an EXIF tag" in fault
    assert "images/a.jpg" in fault


def test_alpha_channel_and_frames(tmp_path):
    save_picture(tmp_path / "images/a.png", noise(12, 10, 4))
    save_picture(tmp_path / "masks/a.png", half(12, 10))
    assert "alpha channel" in only(check(tmp_path), "warnings")
    (tmp_path / "images/a.png").unlink()
    more = [Image.fromarray(noise(12, 10, seed=1))]
    save_picture(tmp_path / "images/a.tif", noise(12, 10), save_all=True, append_images=more)
    assert "2 frames" in only(check(tmp_path))


def test_copies(pictures):
    shutil.copy(pictures / "images/a.png", pictures / "images/b.png")
    assert "the same image under several names" in only(check(pictures), "warnings")
    parts = {
        name: [{"image": str(pictures / f"images/{case}.png"), "label": str(pictures / f"masks/{case}.png")}]
        for name, case in (("training", "a"), ("test", "b"))
    }
    fault = only(check(pictures, sections=parts))
    assert "the same image is in two sections" in fault
    assert "images/b.png  test" in fault
    parts["test"] = parts["training"]
    assert "images/a.png  training and test" in only(check(pictures, sections=parts))


def test_image_that_changed_after_the_datalist_was_written(pictures):
    save_picture(pictures / "images/c.png", noise(12, 10, seed=7))
    save_picture(pictures / "masks/c.png", half(12, 10))
    write_datalist(pictures / "list.json", sections(pictures), pictures)
    assert check(pictures / "list.json").is_sound
    save_picture(pictures / "images/c.png", noise(12, 10, seed=8))
    fault = only(check(pictures / "list.json"))
    assert "images/c.png" in fault
    assert "has changed" in fault


def test_channels_in_files_of_their_own_share_one_grid(tmp_path):
    for channel in range(2):
        save_volume(tmp_path / f"imagesTr/a_{channel:04}.nii.gz", noise(8, 9, 5 + channel, seed=channel))
    save_volume(tmp_path / "labelsTr/a.nii.gz", half(8, 9, 5))
    fault = only(check(tmp_path))
    assert "channels differ in size" in fault
    assert "imagesTr/a_0001.nii.gz" in fault


@pytest.mark.parametrize("name", ["a.nii.gz", "a.png"])
def test_flipped_bit_is_an_error_or_without_effect(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".png"):
        save_picture(path, noise(12, 10))
    else:
        save_volume(path, noise(8, 9, 5))
    content, values = path.read_bytes(), read_raster(str(path)).values.copy()
    draw = np.random.default_rng(0)
    for _ in range(300):
        flipped = bytearray(content)
        flipped[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
        path.write_bytes(flipped)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                raster = read_raster(str(path))
            except UnreadableError:
                continue
        assert np.array_equal(raster.values, values)
