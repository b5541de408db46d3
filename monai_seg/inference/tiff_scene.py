"""TIFF scenes: strips and tiles are decoded as the bands ask for them, never the whole file."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from monai_seg.data.raster import UnreadableError
from monai_seg.inference.scene import COPY, RGBScene, Scene, SceneFacts

# Scale, tie points, transformation, and the three tags of the coordinate system.
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
_GREY, _RGB, _PALETTE, _YCBCR = 1, 2, 3, 6
_REDUCED, _MASK = 1, 4
_NONE, _JPEG = 1, 7
_ORIENTATION_TAG = 274
_GREY_OR_RGB = "save it in grey or RGB"
_GDAL_CACHE_BYTES = 64 * 2**20
_DAMAGE = (ValueError, RuntimeError, IndexError, KeyError, OSError, TypeError, struct.error, zlib.error)


def open_tiff(path: Path, as_rgb: bool = False) -> Scene:
    """Look at the head of a TIFF, refuse what would not be read as it is meant, and choose who decodes it.

    Raises:
        UnreadableError: see `open_scene`.
    """
    try:
        file = tifffile.TiffFile(path)
    except (*_DAMAGE, tifffile.TiffFileError) as error:
        raise UnreadableError("the {kind} is no TIFF that can be read", str(error), COPY) from error
    try:
        page = _only_page(file)
        _refuse_odd(page, path.stat().st_size, as_rgb)
        tags = [page.tags[code] for code in GEO_TAGS if code in page.tags]
        facts = SceneFacts(
            page.imagelength,
            page.imagewidth,
            page.samplesperpixel,
            np.dtype(page.dtype),
            tuple((tag.code, int(tag.dtype), tag.count, tag.value) for tag in tags),
        )
        palette = _palette(page) if page.photometric == _PALETTE else None
        is_read_here = _is_decoded_by_tifffile(page)
    except BaseException:
        file.close()
        raise
    if not is_read_here:
        file.close()
    scene = TiffScene(path, facts, file, page) if is_read_here else RasterioScene(path, facts, page.compression)
    return RGBScene(scene, facts.channels in (2, 4), palette) if as_rgb else scene


class TiffScene(Scene):
    """A TIFF whose pieces tifffile decodes; the row of pieces that was last decoded is kept.

    One compressed strip that holds the whole picture is decoded whole: so it was written.
    """

    def __init__(self, path: Path, facts: SceneFacts, file: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
        super().__init__(path, facts)
        self._file, self._page = file, page
        self._length = page.tilelength if page.is_tiled else min(page.rowsperstrip, facts.height)
        self._kept: dict[int, np.ndarray] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of the picture, see `Scene.rows`."""
        facts = self.facts
        out = np.empty((stop - start, facts.width, facts.channels), facts.dtype)
        try:
            if self._page.compression == _NONE and not self._page.is_tiled:
                self._read_plain(start, out)
            else:
                self._read_pieces(start, stop, out)
        except _DAMAGE as error:
            raise UnreadableError("the {kind} is damaged", f"rows {start} to {stop}: {error}", COPY) from error
        return out

    def _read_plain(self, start: int, out: np.ndarray) -> None:
        """Uncompressed strips: read these rows alone, also where one strip holds the whole picture."""
        facts, planes = self.facts, self._planes()
        stored = facts.dtype.newbyteorder(self._file.byteorder)
        samples = facts.channels // planes
        strips = -(-facts.height // self._length)
        row_bytes = facts.width * samples * facts.dtype.itemsize
        for plane in range(planes):
            row = start
            while row < start + len(out):
                strip, inside = divmod(row, self._length)
                count = min(self._length - inside, start + len(out) - row)
                self._file.filehandle.seek(self._page.dataoffsets[plane * strips + strip] + inside * row_bytes)
                content = self._file.filehandle.read(count * row_bytes)
                values = np.frombuffer(content, stored).reshape(count, facts.width, samples)
                out[row - start : row - start + count, :, plane * samples : (plane + 1) * samples] = values
                row += count

    def _read_pieces(self, start: int, stop: int, out: np.ndarray) -> None:
        first, last = start // self._length, (stop - 1) // self._length
        self._kept = {number: rows for number, rows in self._kept.items() if number >= first}
        for number in range(first, last + 1):
            if number not in self._kept:
                self._kept[number] = self._piece_row(number)
            top = number * self._length
            low, high = max(start, top), min(stop, top + self._length)
            out[low - start : high - start] = self._kept[number][low - top : high - top]

    def _piece_row(self, number: int) -> np.ndarray:
        """Decode all pieces that lie beside each other."""
        facts, page, planes = self.facts, self._page, self._planes()
        across = -(-facts.width // page.tilewidth) if page.is_tiled else 1
        down = -(-facts.height // self._length)
        height = min(self._length, facts.height - number * self._length)
        rows = np.zeros((height, facts.width, facts.channels), facts.dtype)
        for plane in range(planes):
            for column in range(across):
                index = (plane * down + number) * across + column
                self._file.filehandle.seek(page.dataoffsets[index])
                data = self._file.filehandle.read(page.databytecounts[index])
                piece, place, _ = page.decode(data or None, index, jpegtables=page.jpegtables)
                if piece is None:  # a piece that was never written holds zeros
                    continue
                x, piece = place[3], piece[0, :height]
                piece = piece[:, : facts.width - x]
                channels = slice(plane, plane + 1) if planes > 1 else slice(None)
                rows[: len(piece), x : x + piece.shape[1], channels] = piece
        return rows

    def _planes(self) -> int:
        return self.facts.channels if self._page.planarconfig == 2 else 1


class RasterioScene(Scene):
    """A TIFF that GDAL decodes."""

    def __init__(self, path: Path, facts: SceneFacts, compression: Any) -> None:
        super().__init__(path, facts)
        try:
            import rasterio
            from rasterio.errors import NotGeoreferencedWarning
        except ImportError as error:
            found = getattr(compression, "name", str(compression))
            mend = "run pip install 'monai-seg[geo]', or save it with deflate compression"
            raise UnreadableError("the {kind} is compressed in a way that needs rasterio", found, mend) from error
        self._environment = rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE_BYTES)
        self._environment.__enter__()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self._data = rasterio.open(path)
        except rasterio.errors.RasterioIOError as error:
            self._environment.__exit__(None, None, None)
            raise UnreadableError("the {kind} is damaged", str(error), COPY) from error

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of the picture, see `Scene.rows`."""
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window

        try:
            values = self._data.read(window=Window(0, start, self.facts.width, stop - start))
        except RasterioIOError as error:
            raise UnreadableError("the {kind} is damaged", f"rows {start} to {stop}: {error}", COPY) from error
        return np.moveaxis(values, 0, -1)

    def close(self) -> None:
        """Close the file."""
        self._data.close()
        self._environment.__exit__(None, None, None)


def _only_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """The picture; smaller copies of it and masks may lie beside it, other pictures not."""
    page = file.pages.first
    others = [other for other in file.pages[1:] if not _file_type(other) & (_REDUCED | _MASK)]
    if others:
        mend = "save the frames as single files, or as one NIfTI volume"
        raise UnreadableError("the {kind} has several frames", f"{len(others) + 1} frames", mend)
    return page


def _file_type(page: Any) -> int:
    """What a page of a TIFF is: 0 a picture, 1 a smaller copy, 4 a mask."""
    tag = page.aspage().tags.get(254)
    return int(tag.value) if tag else 0


def _refuse_odd(page: tifffile.TiffPage, file_size: int, as_rgb: bool) -> None:
    if not page.imagelength or not page.imagewidth:
        raise UnreadableError("the {kind} has no pixels", f"{page.imagewidth} x {page.imagelength} px", COPY)
    if page.photometric == _PALETTE and not as_rgb:
        raise UnreadableError("the {kind} has a palette", "photometric palette", _GREY_OR_RGB)
    turned = page.tags.get(_ORIENTATION_TAG)
    if turned is not None and turned.value != 1:
        mend = "turn the pixels upright and save without the tag"
        raise UnreadableError("the {kind} is turned by a tag", f"orientation {turned.value}", mend)
    is_grey_or_rgb = page.photometric in (_GREY, _RGB, _PALETTE) or (
        page.photometric == _YCBCR and page.compression == _JPEG
    )
    if not is_grey_or_rgb:
        raise UnreadableError("the {kind} is neither grey nor RGB", f"photometric {page.photometric}", _GREY_OR_RGB)
    # 0 is "unspecified": further bands of a satellite, not transparency.
    if as_rgb:
        _refuse_no_rgb(page)
    elif any(kind in (1, 2) for kind in page.extrasamples):
        mend = "save it without transparency"
        raise UnreadableError("the {kind} has an alpha channel", f"{page.samplesperpixel} channels", mend)
    if page.dtype is None or page.bitspersample not in (8, 16, 32, 64) or page.dtype.kind not in "uif":
        mend = "save it with 8 or 16 bits, or as float32"
        raise UnreadableError("the {kind} has values of an unknown kind", f"{page.bitspersample} bits", mend)
    end = max((a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
    if end > file_size:
        raise UnreadableError("the {kind} is truncated", f"{file_size:,} of {end:,} bytes", COPY)


def _refuse_no_rgb(page: tifffile.TiffPage) -> None:
    """Refuse what `RGBReader` refuses too, where the head says so."""
    if page.dtype != np.uint8:
        mend = "scale it to 8 bits, as in training"
        raise UnreadableError("the {kind} has more than 8 bits per channel", str(page.dtype), mend)
    colours = 3 if page.photometric in (_RGB, _YCBCR) else 1
    more = page.samplesperpixel - colours
    if more > 1 or (more == 1 and 0 in page.extrasamples):
        found = f"{page.samplesperpixel} channels, {colours} of them known"
        mend = "save those that matter alone; say that the last is alpha where it is"
        raise UnreadableError("the {kind} has channels that would not be read", found, mend)


def _palette(page: tifffile.TiffPage) -> np.ndarray:
    """The colours of the indices, ``(256, 3)``, of which a TIFF keeps 16 bits."""
    if page.colormap is None:
        raise UnreadableError("the {kind} is damaged", "a palette without colours", COPY)
    return (np.asarray(page.colormap) >> 8).astype(np.uint8).T


def _is_decoded_by_tifffile(page: tifffile.TiffPage) -> bool:
    """Whether tifffile can decode the first piece; without the package imagecodecs it lacks LZW, JPEG and others."""
    if page.compression == _NONE and page.predictor == 1:
        return True
    index = next((number for number, count in enumerate(page.databytecounts) if count), None)
    if index is None:
        return True
    if page.compression in tifffile.TIFF.IMAGE_COMPRESSIONS:
        return page.compression in tifffile.TIFF.DECOMPRESSORS and page.photometric != _YCBCR
    return page.compression in tifffile.TIFF.DECOMPRESSORS and page.predictor in tifffile.TIFF.UNPREDICTORS
