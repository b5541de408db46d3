"""Colour pictures: what `RGBReader` gives, what it refuses, and that the checks judge in the same way."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.bundle import ConfigParser
from monai.transforms import LoadImaged
from PIL import Image

from monai_seg.data import DataError, RGBReader, check, require_readable, require_sound
from monai_seg.data.integrity import Report

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype("u1")


RGB, GREY, DARK = noise(12, 10, 3), noise(12, 10), noise(12, 10) < 99
OPAQUE = np.full((12, 10, 1), 255, "u1")


def load(path: Path, **options) -> np.ndarray:
    options = {"reader": RGBReader, "reverse_indexing": False, "ensure_channel_first": True} | options
    image = LoadImaged("image", **options)({"image": str(path)})["image"]
    assert image.dtype == torch.float32
    return image.numpy()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def deep_png(path: Path, channels: int) -> None:
    """A PNG of one pixel with 16 bits per colour, which Pillow cannot write."""
    head = struct.pack(">IIBBBBB", 1, 1, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(f">{channels}H", *[65535] * channels))
    chunks = (b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))


def palette(transparent: int | bytes | None = None) -> tuple[Image.Image, dict]:
    image = Image.fromarray((GREY % 4).astype("u1"))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
    return image, {} if transparent is None else {"transparency": transparent}


def looked_up() -> np.ndarray:
    return np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]])[GREY % 4]


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def saved(name: str, image: Image.Image | np.ndarray, **options) -> tuple[str, Callable[[Path], None]]:
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return name, lambda path: picture.save(path, **options)


def tiff(values: np.ndarray, **options) -> tuple[str, Callable[[Path], None]]:
    return "a.tif", lambda path: tifffile.imwrite(path, values, **options)


GREY_AS_RGB = np.repeat(GREY[..., None], 3, 2)
READ = {
    "RGB": (saved("a.png", RGB), RGB),
    "grey": (saved("a.png", GREY), GREY_AS_RGB),
    "grey BMP": (saved("a.bmp", GREY), GREY_AS_RGB),
    "1 bit": (saved("a.png", DARK), np.repeat(DARK[..., None] * 255, 3, 2)),
    "4 grey levels": (saved("a.png", Image.fromarray(GREY).quantize(2)), None),
    "palette": (saved("a.png", palette()[0]), looked_up()),
    "palette, opaque": (saved("a.png", palette()[0], **palette(bytes([255] * 4))[1]), looked_up()),
    "RGBA": (saved("a.png", np.concatenate([RGB, OPAQUE], 2)), RGB),
    "LA": (saved("a.png", np.concatenate([GREY[..., None], OPAQUE], 2)), GREY_AS_RGB),
    "colour key that no pixel has": (saved("a.png", RGB, transparency=(1, 2, 3)), RGB),
    "RGB TIFF": (tiff(RGB, photometric="rgb"), RGB),
    "RGBA TIFF": (tiff(np.concatenate([RGB, OPAQUE], 2), photometric="rgb", extrasamples=["unassalpha"]), RGB),
    "premultiplied": (tiff(np.concatenate([RGB, OPAQUE], 2), photometric="rgb", extrasamples=["assocalpha"]), RGB),
    "white is zero": (tiff(GREY, photometric="miniswhite"), 255 - GREY_AS_RGB),
    "EXIF that does not turn": (saved("a.png", RGB, exif=Image.Exif()), RGB),
}

HALF = np.where(np.arange(12)[:, None, None] < 6, 255, 0).astype("u1") * np.ones((12, 10, 1), "u1")
REFUSED = {
    "RGBA": (saved("a.png", np.concatenate([RGB, HALF], 2)), "transparent in places", "RGBA, 60 of 120 pixels"),
    "LA": (saved("a.png", np.concatenate([GREY[..., None], HALF], 2)), "transparent in places", "60 of 120"),
    "nearly": (saved("a.png", np.concatenate([RGB, OPAQUE - 1], 2)), "transparent in places", "120 of 120"),
    "palette": (
        saved("a.png", palette()[0], **palette(bytes([255, 0, 255, 255]))[1]),
        "transparent in places",
        f"mode P, {int((GREY % 4 == 1).sum())} of 120 pixels",
    ),
    "colour key": (
        saved("a.png", RGB, transparency=tuple(map(int, RGB[3, 4]))), "transparent in places", "RGB, 1 of 120",
    ),
    "16-bit grey": (saved("a.png", GREY.astype("u2") * 200), "more than 8 bits per channel", "mode I;16"),
    "16-bit RGB PNG": (("a.png", lambda path: deep_png(path, 3)), "only 8 would be read", "mode RGB"),
    "16-bit RGBA PNG": (("a.png", lambda path: deep_png(path, 4)), "only 8 would be read", "mode RGBA"),
    "16-bit LA PNG": (("a.png", lambda path: deep_png(path, 2)), "only 8 would be read", "mode RGBA"),
    "16-bit RGB TIFF": (tiff(RGB.astype("u2") * 200, photometric="rgb"), "only 8 would be read", "mode RGB"),
    "32-bit": (tiff(GREY.astype("i4"), photometric="minisblack"), "more than 8 bits per channel", "mode I"),
    "float": (tiff(GREY.astype("f4"), photometric="minisblack"), "more than 8 bits per channel", "mode F"),
    "CMYK": (saved("a.jpg", Image.fromarray(RGB).convert("CMYK")), "neither grey nor RGB", "mode CMYK"),
    "EXIF": (saved("a.jpg", RGB, exif=turned()), "turned by an EXIF tag", "orientation 6"),
    "EXIF PNG": (saved("a.png", RGB, exif=turned()), "turned by an EXIF tag", "orientation 6"),
    "TIFF turn": (
        tiff(RGB, photometric="rgb", extratags=[(274, 3, 1, 6, True)]), "turned by an EXIF tag", "orientation 6",
    ),
    "infrared": (
        tiff(noise(12, 10, 4), photometric="rgb", extrasamples=["unspecified"]), "would not be read", "4 channels, 3",
    ),
    "frames": (saved("a.tif", RGB, save_all=True, append_images=[Image.fromarray(RGB)]), "several frames", "2 frames"),
    "damaged": (("a.png", lambda path: path.write_bytes(b"no picture")), "no picture that can be read", "starts with"),
    "volume": (("a.nii", lambda path: path.write_bytes(b"volume")), "volume where a colour picture", "NIfTI"),
}  # fmt: skip


def data_set(folder: Path, name: str, write: Callable[[Path], None]) -> Path:
    """A data set of one picture and a mask of its size; gives the picture's file."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    write(folder / "images" / name)
    mask = np.zeros((12, 10), "u1")
    mask[:6] = 1
    Image.fromarray(mask).save(folder / "masks" / "a.png")
    return folder / "images" / name


@pytest.mark.parametrize("kind", READ)
def test_what_becomes_rgb(kind, tmp_path):
    (name, write), wanted = READ[kind]
    path = data_set(tmp_path, name, write)
    if wanted is None:
        with Image.open(path) as image:
            wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(load(path), np.moveaxis(wanted, -1, 0))
    report = require_sound(tmp_path, label_values=(0, 1), spatial_dims=2, in_channels=3, as_rgb=True)
    assert (report.warnings, report.facts["channels"]) == ([], [3])
    require_readable([{"image": str(path)}], spatial_dims=2, in_channels=3, as_rgb=True)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_by_reader_and_checks_alike(kind, tmp_path):
    (name, write), problem, found = REFUSED[kind]
    path = data_set(tmp_path, name, write)
    with pytest.raises(DataError) as refusal:
        load(path)
    (fault,) = refusal.value.faults
    assert problem in fault.problem
    assert (str(path) in fault.facts[0], found in fault.facts[0], bool(fault.mend)) == (True, True, True)
    for ask in (
        lambda: require_sound(tmp_path, spatial_dims=2, in_channels=3, as_rgb=True),
        lambda: require_readable([{"image": str(path)}], as_rgb=True),
    ):
        with pytest.raises(DataError) as checked:
            ask()
        (same,) = [item for item in checked.value.faults if item.problem == fault.problem]
        assert (found in same.facts[0], same.mend) == (True, fault.mend)


def test_no_other_reader_of_monai_is_asked_where_this_one_refuses(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for reader in (RGBReader, "PILReader"):
        assert load(tmp_path / "a.png", reader=reader).shape[1:] == (12, 10)
    Image.fromarray(GREY).convert("LA").save(tmp_path / "a.png")
    assert load(tmp_path / "a.png", reader="PILReader").shape == (2, 12, 10)
    deep_png(tmp_path / "a.png", 3)
    assert load(tmp_path / "a.png", reader="PILReader").max() == 255
    with pytest.raises(DataError):
        load(tmp_path / "a.png")


@pytest.mark.parametrize("reader", ["$data.RGBReader", "monai_seg.data.RGBReader"])
def test_a_bundle_names_it_in_yaml(reader, tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    config = {
        "imports": ["$import monai_seg.data as data"],
        "load": {
            "_target_": "LoadImaged", "keys": "image", "reader": reader, "reverse_indexing": False,
            "ensure_channel_first": True,
        },
    }  # fmt: skip
    loader = ConfigParser(config).get_parsed_content("load")
    assert np.array_equal(loader({"image": str(tmp_path / "a.png")})["image"], np.stack([GREY] * 3))


def test_rows_stay_rows_unless_asked_otherwise(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    upright = LoadImaged("image", reader=RGBReader(), ensure_channel_first=True)({"image": str(tmp_path / "a.png")})
    assert np.array_equal(upright["image"], np.moveaxis(RGB, -1, 0))
    assert np.array_equal(load(tmp_path / "a.png", reverse_indexing=True), RGB.T)


def test_several_files_are_no_colour_picture(tmp_path):
    paths = [str(tmp_path / f"a_{channel:04}.png") for channel in range(3)]
    for path in paths:
        Image.fromarray(GREY).save(path)
    with pytest.raises(DataError, match="a colour picture is one file"):
        LoadImaged("image", reader=RGBReader)({"image": paths})
    with pytest.raises(DataError, match=r"1 fault in (?s:.)*a colour picture is one file"):
        require_readable([{"image": paths}], as_rgb=True)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([1, 2, 3, 4]).flatmap(lambda n: arrays("u1", st.tuples(*map(st.just, (3, 2, n))))))
def test_colours_are_those_of_the_array_or_refused(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "hypothesis.png"
    Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(path)
    alpha = values[..., -1] if values.shape[2] in (2, 4) else np.full((3, 2), 255)
    if alpha.min() < 255:
        with pytest.raises(DataError, match=rf"{int((alpha < 255).sum())} of 6 pixels"):
            load(path)
    else:
        colours = values[..., :3] if values.shape[2] > 2 else np.repeat(values[..., :1], 3, 2)
        assert np.array_equal(load(path), np.moveaxis(colours, -1, 0))


def mixed(folder: Path) -> Path:
    """A colour picture, a grey one, one with a palette and one with an opaque alpha channel."""
    images = Image.fromarray(RGB), Image.fromarray(GREY), palette()[0], Image.fromarray(RGB + 1).convert("RGBA")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for number, image in enumerate(images):
        image.save(folder / "images" / f"{number}.png")
        palette()[0].save(folder / "masks" / f"{number}.png")
    return folder


def test_grey_among_colour_is_sound_for_the_reader_alone(tmp_path):
    mixed(tmp_path)
    report = require_sound(tmp_path, label_values=(0, 1, 2, 3), in_channels=3, as_rgb=True)
    assert report.warnings == []
    assert any("other channels than most" in fault.problem for fault in check(tmp_path).faults)


def test_labels_are_judged_as_ever(tmp_path):
    mixed(tmp_path)
    Image.fromarray(GREY).save(tmp_path / "masks" / "3.png")
    Image.fromarray(RGB).save(tmp_path / "masks" / "2.png")
    report = check(tmp_path, label_values=(0, 1, 2, 3), as_rgb=True)
    assert sorted(fault.problem for fault in report.faults) == [
        "the label has colours", "the label holds unknown values",
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [{"in_channels": 1}, {"spatial_dims": 3}])
def test_a_question_that_contradicts_itself(asked, tmp_path):
    with pytest.raises(ValueError, match="as_rgb reads 2D pictures of 3 channels"):
        check(mixed(tmp_path), as_rgb=True, **asked)


def shown(report: Report) -> list[str]:
    return [str(finding) for finding in report.faults + report.warnings]


def test_an_opaque_alpha_channel_of_all_images_is_told_once(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(4):
        Image.fromarray(np.concatenate([RGB + number, OPAQUE], 2)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.eye(12, 10, dtype="u1")).save(tmp_path / "masks" / f"{number}.png")
    assert shown(check(tmp_path)) == [
        "the images have an alpha channel, opaque everywhere\n"
        "  images  all 4  mode RGBA\n"
        "  mend    a bundle that reads RGB leaves it out; for others save without it"
    ]
    Image.fromarray(np.concatenate([RGB, HALF], 2)).save(tmp_path / "images" / "3.png")
    texts = shown(check(tmp_path))
    assert sum("opaque everywhere" in text for text in texts) == 3
    assert sum("transparent in places" in text for text in texts) == 1


def test_aerial_tiles_are_sound_colour_pictures():
    if not (SHARED / "buildings").is_dir():
        pytest.skip(f"the real data are not here: {SHARED / 'buildings'}")
    report = require_sound(SHARED / "buildings", label_values=(0, 1), spatial_dims=2, in_channels=3, as_rgb=True)
    assert report.warnings == []
