"""Inputs before a prediction: which way they go, colours as the bundle's reader has them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from monai.transforms import LoadImaged, ScaleIntensityRanged
from PIL import Image

from monai_seg.data import RGBReader
from monai_seg.inference.input_check import InputCheck, InputError, Task
from monai_seg.inference.tile_preprocessing import NotStreamableError, TilePreprocessing

RGB = np.random.default_rng(0).integers(0, 256, (30, 20, 3)).astype("u1")
GREY, OPAQUE = RGB[..., 0], np.full((30, 20, 1), 255, "u1")
PLACE = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 4e5, 5.6e6, 0.0), True)]
WHOLE = NotStreamableError("the bundle's preprocessing holds Resized")


def tiles(reader=RGBReader) -> TilePreprocessing:
    loader = LoadImaged("image", reader=reader, reverse_indexing=False, ensure_channel_first=True)
    return TilePreprocessing([loader, ScaleIntensityRanged("image", 0, 255, 0, 1)])


def task(path: Path, way=None, in_channels: int = 3, **options) -> Task:
    check = InputCheck(2, in_channels, path.parent / "out", way or tiles(), **options)
    return check.task({"image": str(path)})


def picture(path: Path, image: np.ndarray | Image.Image, **options) -> Path:
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path, **options)
    return path


COLOURS = {
    "RGB": RGB,
    "grey": GREY,
    "1 bit": GREY > 99,
    "palette": Image.fromarray(RGB).quantize(5),
    "RGBA": np.concatenate([RGB, OPAQUE], 2),
    "one pixel": RGB[:1, :1],
}


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize(("scene_pixels", "is_scene"), [(10**6, False), (0, True)])
def test_a_bundle_of_colours_takes_them(name, scene_pixels, is_scene, tmp_path):
    path = picture(tmp_path / "a.png", COLOURS[name])
    assert task(path, scene_pixels=scene_pixels).is_scene is is_scene
    assert not task(path, WHOLE, reads_rgb=True, scene_pixels=scene_pixels).is_scene


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("grey", "1 channels, the bundle takes 3"),
        ("1 bit", "neither grey nor RGB"),
        ("palette", "the image has a palette"),
        ("RGBA", "the image has an alpha channel"),
    ],
)
def test_another_bundle_of_three_channels_does_not(name, text, tmp_path):
    path = picture(tmp_path / "a.png", COLOURS[name])
    for way in (tiles("PILReader"), WHOLE):
        with pytest.raises(InputError, match=text):
            task(path, way)


def test_what_a_bundle_of_colours_refuses(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    tifffile.imwrite(tmp_path / "deep.tif", RGB.astype("u2"), photometric="rgb")
    half = np.concatenate([RGB, OPAQUE // 2], 2)
    for path, text in (
        (picture(tmp_path / "turned.jpg", RGB, exif=turned), "turned by an EXIF tag"),
        (picture(tmp_path / "alpha.png", half), r"transparent in places\n.*mode RGBA, 600 of 600 pixels\n.*mend"),
        (picture(tmp_path / "deep.png", GREY.astype("u2")), "more than 8 bits per channel"),
        (picture(tmp_path / "print.jpg", Image.fromarray(RGB).convert("CMYK")), "neither grey nor RGB"),
        (tmp_path / "deep.tif", "more than 8 bits per channel: uint16"),
    ):
        for way in (tiles(), WHOLE):
            with pytest.raises(InputError, match=text):
                task(path, way, reads_rgb=True)


def test_a_large_picture_goes_whole_through_a_bundle_that_cannot_be_streamed(tmp_path):
    path = picture(tmp_path / "a.png", RGB)
    assert task(path, scene_pixels=100).is_scene
    assert task(path, WHOLE, scene_pixels=100).output == tmp_path / "out" / "a.png"


def test_what_only_a_scene_keeps_is_refused_where_there_are_none(tmp_path):
    tifffile.imwrite(tmp_path / "place.tif", RGB, photometric="rgb", extratags=PLACE)
    tifffile.imwrite(tmp_path / "deep.tif", RGB.astype("u2"), photometric="rgb")
    picture(tmp_path / "a.png", RGB)
    for name, scene_pixels in (("place.tif", 10**6), ("deep.tif", 10**6), ("a.png", -1)):
        with pytest.raises(InputError, match=r"it must be streamed, and this bundle cannot be: .*Resized"):
            task(tmp_path / name, WHOLE, scene_pixels=scene_pixels)
        assert task(tmp_path / name, tiles("PILReader"), scene_pixels=scene_pixels).is_scene
