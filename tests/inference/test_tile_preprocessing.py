"""A bundle's preprocessing on bands of a scene gives what it gives on the whole image, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from monai.transforms import (
    CastToTyped,
    Compose,
    EnsureTyped,
    LoadImaged,
    MapTransform,
    NormalizeIntensityd,
    ScaleIntensityRanged,
    Spacingd,
)
from PIL import Image

from monai_seg.data import RGBReader
from monai_seg.inference import tile_preprocessing
from monai_seg.inference.scene import open_scene
from monai_seg.inference.tile_preprocessing import NotStreamableError, TilePreprocessing, ValueRangeError


def load(**options) -> LoadImaged:
    options = {"reader": "PILReader", "reverse_indexing": False, "ensure_channel_first": True} | options
    return LoadImaged("image", **options)


class Squared(MapTransform):
    def __call__(self, data):
        return data | {"image": data["image"] ** 2}


CHAINS = {
    "z-score per channel": [NormalizeIntensityd("image", channel_wise=True)],
    "z-score of all": [NormalizeIntensityd("image")],
    "z-score of what is not 0": [NormalizeIntensityd("image", nonzero=True, channel_wise=True)],
    "fixed z-score": [NormalizeIntensityd("image", subtrahend=[1, 2, 3], divisor=[4, 5, 6], channel_wise=True)],
    "given mean": [NormalizeIntensityd("image", subtrahend=100.0)],
    "range": [ScaleIntensityRanged("image", 0, 255, -1, 1)],
    "range, then z-score": [ScaleIntensityRanged("image", 0, 255, 0, 1), NormalizeIntensityd("image")],
    "types": [CastToTyped("image", torch.float64), EnsureTyped("image", dtype=torch.float32)],
}


def scene_file(path, constant: bool = False) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (60, 40, 3)).astype("u1")
    values[:20] = 0
    if constant:
        values[:] = 7
    tifffile.imwrite(path, values, photometric="rgb", rowsperstrip=7)
    return values


@pytest.mark.parametrize("constant", [False, True], ids=["noise", "one value everywhere"])
@pytest.mark.parametrize("name", CHAINS)
def test_bands_are_normalised_as_the_whole_image(name, constant, tmp_path, monkeypatch):
    monkeypatch.setattr(tile_preprocessing, "_BAND_PIXELS", 11 * 40)
    scene_file(tmp_path / "a.tif", constant)
    chain = Compose([load(), *CHAINS[name]])
    wanted = chain({"image": str(tmp_path / "a.tif")})["image"]
    with open_scene(tmp_path / "a.tif") as scene:
        read = TilePreprocessing.of(chain).for_scene(scene)
        found = torch.cat([read(row, min(row + 13, 60)) for row in range(0, 60, 13)], dim=1)
    assert type(found) is torch.Tensor
    if constant and name == "range, then z-score":
        wanted = torch.zeros(3, 60, 40)  # where MONAI divides one rounding error by another
    torch.testing.assert_close(found, torch.as_tensor(wanted).as_subclass(torch.Tensor).float(), rtol=1e-5, atol=1e-5)


def test_values_of_16_bits_with_a_large_mean_lose_nothing(tmp_path):
    values = (60000 + np.random.default_rng(0).integers(0, 3, (64, 64))).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    with open_scene(tmp_path / "a.tif") as scene:
        found = TilePreprocessing([load(), NormalizeIntensityd("image")]).for_scene(scene)(0, 64)
    wanted = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-2)


def test_a_transform_of_the_bundles_own_may_say_that_it_is_pixelwise(tmp_path):
    with pytest.raises(NotStreamableError, match="holds Squared, which cannot be done tile by tile"):
        TilePreprocessing([load(), Squared("image")])
    own = Squared("image")
    own.is_pixelwise = True
    values = scene_file(tmp_path / "a.tif")
    with open_scene(tmp_path / "a.tif") as scene:
        found = TilePreprocessing([load(), own]).for_scene(scene)(20, 60)
    assert np.array_equal(found.numpy(), np.moveaxis(values[20:].astype(np.float32) ** 2, -1, 0))


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        ([load(), Spacingd("image", (1, 1))], "Spacingd"),
        ([EnsureTyped("image")], "does not begin with LoadImaged"),
        ([], "does not begin with LoadImaged"),
        ([load(reverse_indexing=True)], "reverse_indexing: false"),
        ([LoadImaged("image")], "reverse_indexing: false"),
        ([load(converter=lambda image: image.convert("L"))], "converts what it reads"),
    ],
)
def test_what_cannot_be_done_tile_by_tile_is_refused(chain, text):
    with pytest.raises(NotStreamableError, match=text):
        TilePreprocessing.of(Compose(chain))


def colour_files() -> dict[str, tuple[str, Image.Image | np.ndarray, dict]]:
    """Pictures that become RGB: name, content, and how tifffile writes it."""
    draw = np.random.default_rng(0)
    rgb, grey = draw.integers(0, 256, (60, 40, 3)).astype("u1"), draw.integers(0, 256, (60, 40)).astype("u1")
    opaque = np.full((60, 40, 1), 255, "u1")
    rgba = np.concatenate([rgb, opaque], 2)
    alpha = {"photometric": "rgb", "extrasamples": ["unassalpha"], "rowsperstrip": 7}
    table = draw.integers(0, 256, (3, 256)).astype("u2") * 257
    return {
        "RGB": ("a.png", Image.fromarray(rgb), {}),
        "grey": ("a.png", Image.fromarray(grey), {}),
        "JPEG": ("a.jpg", Image.fromarray(rgb), {}),
        "grey JPEG": ("a.jpg", Image.fromarray(grey), {}),
        "1 bit": ("a.png", Image.fromarray(grey > 99), {}),
        "palette": ("a.png", Image.fromarray(rgb).quantize(9), {}),
        "RGBA": ("a.png", Image.fromarray(rgba), {}),
        "LA": ("a.png", Image.fromarray(grey).convert("LA"), {}),
        "RGB TIFF": ("a.tif", rgb, {"photometric": "rgb", "rowsperstrip": 7}),
        "grey TIFF": ("a.tif", grey, {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"}),
        "RGBA TIFF": ("a.tif", rgba, alpha),
        "RGBA tiles": ("a.tif", rgba, {"photometric": "rgb", "extrasamples": ["assocalpha"], "tile": (16, 16)}),
        "palette TIFF": ("a.tif", grey, {"photometric": "palette", "colormap": table, "rowsperstrip": 7}),
    }


@pytest.mark.parametrize("kind", colour_files())
def test_colours_are_streamed_as_the_reader_of_the_bundle_reads_them(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tile_preprocessing, "_BAND_PIXELS", 11 * 40)
    name, content, options = colour_files()[kind]
    path = tmp_path / name
    content.save(path) if isinstance(content, Image.Image) else tifffile.imwrite(path, content, **options)
    chain = Compose(
        [
            load(reader=RGBReader),
            ScaleIntensityRanged("image", 0, 255, 0, 1),
            NormalizeIntensityd("image", channel_wise=True),
        ]
    )
    wanted = torch.as_tensor(chain({"image": str(path)})["image"]).as_subclass(torch.Tensor)
    tiles = TilePreprocessing.of(chain)
    assert tiles.reads_rgb
    with open_scene(path, as_rgb=tiles.reads_rgb) as scene:
        assert (scene.facts.channels, scene.facts.dtype) == (3, np.uint8)
        read = tiles.for_scene(scene)
        found = torch.cat([read(row, min(row + 13, 60)) for row in range(0, 60, 13)], dim=1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "keeps"),
    [({}, True), ({"reverse_indexing": True}, False), ({"reader": "monai_seg.data.RGBReader"}, True)],
)
def test_the_reader_of_colours_keeps_rows_unless_asked_otherwise(options, keeps):
    loader = load(**({"reader": RGBReader} | options))
    assert tile_preprocessing.reads_rgb(Compose([loader]))
    assert not tile_preprocessing.reads_rgb(Compose([load()]))
    if keeps:
        TilePreprocessing([loader])
    else:
        with pytest.raises(NotStreamableError, match="turns rows into columns"):
            TilePreprocessing([loader])


def test_values_beyond_the_range_of_the_bundle_are_not_cut(tmp_path):
    values = np.zeros((30, 20), "u2")
    values[25, 3] = 4095
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    with open_scene(tmp_path / "a.tif") as scene:
        read = TilePreprocessing([load(), ScaleIntensityRanged("image", 0, 255, 0, 1, clip=True)]).for_scene(scene)
        assert read(0, 25).max() == 0
        with pytest.raises(ValueRangeError, match=r"from 0 to 4095, the bundle's preprocessing takes 0 to 255"):
            read(20, 30)


def test_nan_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), np.nan, "f4"), photometric="minisblack")
    with open_scene(tmp_path / "a.tif") as scene, pytest.raises(ValueRangeError, match="rows 0 to 4 hold NaN"):
        TilePreprocessing([load(), NormalizeIntensityd("image")]).for_scene(scene)
