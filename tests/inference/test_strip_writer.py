"""TIFFs written row by row: three readers read them back, whatever the heaps in which the rows came."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from monai_seg.inference import strip_writer
from monai_seg.inference.strip_writer import StripWriter


def values(height: int, width: int, channels: int = 1, dtype="u1") -> np.ndarray:
    draw = np.random.default_rng(0).uniform(0, 200, (height, width, channels)).astype(dtype)
    return draw[..., 0] if channels == 1 else draw


def write(path, wanted: np.ndarray, step: int, **options) -> None:
    channels = wanted.shape[2] if wanted.ndim == 3 else 1
    with StripWriter(path, *wanted.shape[:2], channels, wanted.dtype, **options) as writer:
        for row in range(0, len(wanted), step):
            writer.write(wanted[row : row + step])


@pytest.mark.parametrize("limit", [2**32, 100], ids=["classic", "BigTIFF"])
@pytest.mark.parametrize("step", [1, 9, 1000])
@pytest.mark.parametrize(
    ("size", "channels", "dtype"),
    [((50, 33), 1, "u1"), ((1, 1), 1, "u1"), ((40, 21), 1, "u2"), ((40, 21), 1, "f4"), ((40, 21), 3, "f4")],
)
def test_what_was_written_is_read_back(size, channels, dtype, step, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(strip_writer, "_CLASSIC_BYTES", limit)
    monkeypatch.setattr(strip_writer, "_STRIP_BYTES", 500)
    path, wanted = tmp_path / "a.tif", values(*size, channels, dtype)
    write(path, wanted, step)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == (wanted.nbytes > limit)
        assert np.array_equal(file.asarray(), wanted)
    if channels == 1:
        assert np.array_equal(np.asarray(Image.open(path)), wanted)
    rasterio = pytest.importorskip("rasterio")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path) as file:
        assert np.array_equal(np.squeeze(np.moveaxis(file.read(), 0, -1), -1 if channels == 1 else ()), wanted)


def test_tags_of_every_kind_are_kept(tmp_path):
    tags = [(33550, 12, 3, (0.5, 0.5, 0.0)), (34737, 2, 6, "WGS84"), (34735, 3, 4, (1, 1, 0, 0)), (270, 2, 3, b"ab")]
    write(tmp_path / "a.tif", values(5, 5), 2, tags=tags)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        found = file.pages[0].tags
        assert [found[code].value for code, *_ in tags] == [(0.5, 0.5, 0.0), "WGS84", (1, 1, 0, 0), "ab"]


@pytest.mark.parametrize("rows", [np.zeros((2, 4)), np.zeros((6, 5)), np.zeros((1, 5, 2))])
def test_rows_that_do_not_fit_are_refused(rows, tmp_path):
    with StripWriter(tmp_path / "a.tif", 5, 5) as writer:
        with pytest.raises(ValueError, match="do not go into a picture of 5 x 5 x 1"):
            writer.write(rows)
        writer.write(np.zeros((5, 5)))


def test_missing_rows_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="2 of 5 rows were written"), StripWriter(tmp_path / "a.tif", 5, 5) as writer:
        writer.write(np.zeros((2, 5)))


def test_other_dtypes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="TIFF of int64"):
        StripWriter(tmp_path / "a.tif", 5, 5, dtype=np.int64)
