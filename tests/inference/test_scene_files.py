"""Scenes as files: every way of writing one gives its rows, in part and in order; what is odd is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from monai_seg.data.raster import UnreadableError
from monai_seg.inference import tiff_scene
from monai_seg.inference.scene import open_scene

HEIGHT, WIDTH = 75, 53


def values(dtype="u1", channels: int = 3, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    draw = np.random.default_rng(0)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return draw.uniform(0, 250 if dtype == "u1" else 60000, shape).astype(dtype)


def in_bands(path, step: int) -> np.ndarray:
    with open_scene(path) as scene:
        facts = scene.facts
        bands = [scene.rows(row, min(row + step, facts.height)) for row in range(0, facts.height, step)]
        assert (facts.height, facts.width, facts.channels) == np.concatenate(bands).shape
        assert facts.dtype == bands[0].dtype
        return np.concatenate(bands)


TIFFS = {
    "one plain strip": {"rowsperstrip": HEIGHT},
    "plain strips": {"rowsperstrip": 7},
    "big endian": {"rowsperstrip": 7, "byteorder": ">"},
    "deflate strips": {"rowsperstrip": 7, "compression": "zlib"},
    "one deflate strip": {"rowsperstrip": HEIGHT, "compression": "zlib"},
    "plain tiles": {"tile": (16, 32)},
    "deflate tiles": {"tile": (16, 32), "compression": "zlib"},
    "BigTIFF": {"tile": (16, 16), "bigtiff": True},
    "big endian tiles": {"tile": (16, 16), "byteorder": ">", "compression": "zlib"},
}


@pytest.mark.parametrize("step", [1, 10, HEIGHT], ids=lambda step: f"{step} rows")
@pytest.mark.parametrize("layout", TIFFS)
@pytest.mark.parametrize(("dtype", "channels"), [("u1", 3), ("u1", 1), ("u2", 3), ("f4", 1), ("u1", 5)])
def test_tiff(layout, dtype, channels, step, tmp_path):
    options = dict(TIFFS[layout])
    wanted, kind = values(dtype, channels), "rgb" if channels == 3 else "minisblack"
    with tifffile.TiffWriter(
        tmp_path / "a.tif", bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as file:
        file.write(wanted, photometric=kind, planarconfig="contig" if channels > 1 else None, **options)
    assert np.array_equal(in_bands(tmp_path / "a.tif", step), wanted.reshape(HEIGHT, WIDTH, channels))


@pytest.mark.parametrize("options", [{"rowsperstrip": 7}, {"tile": (16, 32), "compression": "zlib"}])
def test_channels_in_planes(options, tmp_path):
    wanted = values("u2", 3)
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.moveaxis(wanted, -1, 0), photometric="rgb", planarconfig="separate", **options)
    assert np.array_equal(in_bands(file, 10), wanted)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_lzw, predictor"])
def test_what_other_programs_compress(compression, tmp_path):
    pytest.importorskip("rasterio")
    wanted = values()
    info = {317: 2} if "predictor" in compression else {}
    Image.fromarray(wanted).save(tmp_path / "a.tif", compression=compression.split(",")[0], tiffinfo=info)
    assert np.array_equal(in_bands(tmp_path / "a.tif", 10), wanted)


def test_jpeg_in_tiff_is_read_as_rgb(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    colours = {"driver": "GTiff", "height": 64, "width": 64, "count": 3, "dtype": "uint8"}
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", **colours, compress="jpeg", photometric="ycbcr", tiled=True) as file:
        file.write(np.stack([smooth, smooth, 255 - smooth]))
    found = in_bands(path, 10).astype(int)
    assert np.abs(found - np.stack([smooth, smooth, 255 - smooth], -1)).max() < 12


def test_without_rasterio_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    Image.fromarray(values()).save(tmp_path / "a.tif", compression="tiff_lzw")
    with pytest.raises(UnreadableError, match=r"(?s)needs rasterio: LZW; run pip install 'monai-seg\[geo\]'"):
        open_scene(tmp_path / "a.tif")


def test_only_the_pieces_of_a_band_are_decoded(tmp_path):
    path, wanted = tmp_path / "a.tif", values("u1", 3, 160, 64)
    tifffile.imwrite(path, wanted, tile=(16, 16), compression="zlib", photometric="rgb")
    with tifffile.TiffFile(path) as file:
        last = file.pages[0].dataoffsets[-1]
    content = bytearray(path.read_bytes())
    content[last : last + 8] = bytes(8)
    path.write_bytes(content)
    with open_scene(path) as scene:
        assert np.array_equal(scene.rows(0, 144), wanted[:144])
        with pytest.raises(UnreadableError, match="rows 140 to 160"):
            scene.rows(140, 160)


def test_overviews_beside_the_picture_are_left_alone(tmp_path):
    wanted = values("u1", 3, 64, 64)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(wanted, photometric="rgb", tile=(16, 16))
        file.write(wanted[::2, ::2], photometric="rgb", tile=(16, 16), subfiletype=1)
    assert np.array_equal(in_bands(tmp_path / "a.tif", 16), wanted)


@pytest.mark.parametrize(
    ("name", "dtype", "channels"), [("a.png", "u1", 1), ("a.png", "u1", 3), ("a.png", "u2", 1), ("a.bmp", "u1", 3)]
)
def test_pictures(name, dtype, channels, tmp_path):
    wanted = values(dtype, channels)
    Image.fromarray(wanted).save(tmp_path / name)
    assert np.array_equal(in_bands(tmp_path / name, 10), wanted.reshape(HEIGHT, WIDTH, channels))


def test_jpeg(tmp_path):
    Image.fromarray(values()).save(tmp_path / "a.jpg")
    assert np.array_equal(in_bands(tmp_path / "a.jpg", 10), np.asarray(Image.open(tmp_path / "a.jpg")))


def test_a_scene_is_no_decompression_bomb(tmp_path, monkeypatch):
    Image.fromarray(values()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert in_bands(tmp_path / "a.png", 10).shape == (HEIGHT, WIDTH, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def deep_colour_png() -> bytes:
    """A PNG of one pixel with 16 bits per colour, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(">3H", 1000, 2000, 65535))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def picture(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def odd_files() -> dict[str, tuple[str, bytes, str]]:
    rgb, grey = Image.fromarray(values()), Image.fromarray(values(channels=1))
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "palette PNG": ("a.png", picture(rgb.quantize(8), "PNG"), "has a palette"),
        "alpha PNG": ("a.png", picture(rgb.convert("RGBA"), "PNG"), "has an alpha channel: mode RGBA"),
        "grey with alpha": ("a.png", picture(grey.convert("LA"), "PNG"), "has an alpha channel: mode LA"),
        "transparent colour": ("a.png", picture(rgb, "PNG", transparency=(1, 2, 3)), "has an alpha channel"),
        "16-bit colour PNG": ("a.png", deep_colour_png(), "has 16 bits per colour"),
        "black and white": ("a.png", picture(grey.convert("1"), "PNG"), "neither grey nor RGB: mode 1"),
        "EXIF turn": ("a.jpg", picture(rgb, "JPEG", exif=turned), "turned by an EXIF tag: orientation 6"),
        "PNG turn": ("a.png", picture(rgb, "PNG", exif=turned), "turned by an EXIF tag: orientation 6"),
        "CMYK": ("a.jpg", picture(rgb.convert("CMYK"), "JPEG"), "neither grey nor RGB: mode CMYK"),
        "no bytes": ("a.png", b"", "is an empty file"),
        "no picture": ("a.png", b"no picture at all", "is no picture that can be read"),
        "no TIFF": ("a.tif", b"no picture at all", "is no TIFF that can be read"),
        "palette TIFF": ("a.tif", picture(rgb.quantize(8), "TIFF"), "has a palette"),
        "alpha TIFF": (
            "a.tif", tiff(values(channels=4), photometric="rgb", extrasamples=["unassalpha"]), "has an alpha channel",
        ),
        "white is zero": ("a.tif", tiff(values(channels=1), photometric="miniswhite"), "neither grey nor RGB"),
        "turned TIFF": (
            "a.tif", tiff(values(), photometric="rgb", extratags=[(274, 3, 1, 6, True)]), "turned by a tag",
        ),
        "several frames": (
            "a.tif", tiff(np.stack([values(channels=1)] * 3), photometric="minisblack"), "several frames: 3 frames",
        ),
        "truncated TIFF": ("a.tif", tiff(values(height=500), photometric="rgb")[:-5000], "truncated"),
        "complex values": (
            "a.tif", tiff(values("c8", 1), photometric="minisblack"), "values of an unknown kind",
        ),
    }  # fmt: skip


# What `open_scene` takes as RGB of the files above; `test_tile_preprocessing` compares the colours.
FINE_AS_RGB = {"palette PNG", "black and white", "palette TIFF"}
# Opaque in none of these: found when the rows are read.
TRANSPARENT = {"alpha TIFF", "transparent colour"}


@pytest.mark.parametrize(
    "name", sorted(set(odd_files()) - FINE_AS_RGB - TRANSPARENT - {"alpha PNG", "grey with alpha"})
)
def test_what_else_is_odd_is_refused_as_rgb_too(name, tmp_path):
    file, content, text = odd_files()[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UnreadableError, match="more than 8 bits" if name == "complex values" else text):
        open_scene(tmp_path / file, as_rgb=True)


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("a.tif", tiff(values("u2"), photometric="rgb"), "more than 8 bits per channel: uint16; scale it"),
        ("a.tif", tiff(values("f4", 1), photometric="minisblack"), "more than 8 bits per channel: float32"),
        ("a.png", picture(Image.fromarray(values("u2", 1)), "PNG"), "more than 8 bits per channel: mode I;16"),
        ("a.tif", tiff(values(channels=4), photometric="rgb", extrasamples=["unspecified"]), "4 channels, 3 of them"),
        ("a.tif", tiff(values(channels=5), photometric="minisblack", planarconfig="contig"), "5 channels, 1 of them"),
    ],
)
def test_what_cannot_become_rgb_is_refused_before_a_pixel_is_read(file, content, text, tmp_path):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UnreadableError, match=text):
        open_scene(tmp_path / file, as_rgb=True)


@pytest.mark.parametrize("options", [{"rowsperstrip": 7}, {"tile": (16, 32), "compression": "zlib"}])
def test_an_orthophoto_with_a_transparent_border_is_refused_at_its_rows(options, tmp_path):
    wanted = values(channels=4)
    wanted[..., 3] = 255
    wanted[60:, :5, 3] = 0
    tifffile.imwrite(tmp_path / "a.tif", wanted, photometric="rgb", extrasamples=["unassalpha"], **options)
    with open_scene(tmp_path / "a.tif", as_rgb=True) as scene:
        assert np.array_equal(scene.rows(0, 60), wanted[:60, :, :3])
        with pytest.raises(UnreadableError, match=r"transparent in places: rows 50 to 70, 50 of 1,060 pixels; cut"):
            scene.rows(50, 70)


def test_a_transparent_png_is_refused_as_rgb(tmp_path):
    Image.fromarray(values(channels=4)).save(tmp_path / "a.png")
    with open_scene(tmp_path / "a.png", as_rgb=True) as scene, pytest.raises(UnreadableError, match="transparent"):
        scene.rows(0, 10)


def test_colours_that_gdal_decodes(tmp_path):
    pytest.importorskip("rasterio")
    wanted = values(channels=4)
    wanted[..., 3] = 255
    Image.fromarray(wanted).save(tmp_path / "a.tif", compression="tiff_lzw")
    with open_scene(tmp_path / "a.tif", as_rgb=True) as scene:
        assert np.array_equal(scene.rows(10, 30), wanted[10:30, :, :3])


@pytest.mark.parametrize("name", odd_files())
def test_odd_files_are_refused_before_a_pixel_is_read(name, tmp_path):
    file, content, text = odd_files()[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UnreadableError, match=text):
        open_scene(tmp_path / file)


def test_a_missing_file(tmp_path):
    with pytest.raises(UnreadableError, match="cannot be opened"):
        open_scene(tmp_path / "a.tif")


def test_a_turn_told_behind_the_pixels_of_a_png_is_found_too(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(values()).save(tmp_path / "a.png", exif=turned)
    content = (tmp_path / "a.png").read_bytes()
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    (tmp_path / "a.png").write_bytes(content[:at] + content[end:-12] + content[at:end] + content[-12:])
    with open_scene(tmp_path / "a.png") as scene, pytest.raises(UnreadableError, match="turned by an EXIF tag"):
        scene.rows(0, 10)


def test_a_truncated_png_is_found_when_it_is_decoded(tmp_path):
    Image.fromarray(values(height=400, width=400)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:90000])
    with open_scene(tmp_path / "a.png") as scene, pytest.raises(UnreadableError, match="damaged or truncated"):
        scene.rows(0, 10)


def test_files_are_closed_again(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values(), photometric="rgb")
    with open_scene(tmp_path / "a.tif") as scene:
        assert isinstance(scene, tiff_scene.TiffScene)
    assert scene._file.filehandle.closed
