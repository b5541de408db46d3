"""The objects of a label map as polygons along the pixels' edges, in GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_seg.data.atomic import atomic_path


class MissingPackageError(ImportError):
    """An optional package is needed for this."""


def require_rasterio() -> Any:
    """The package rasterio.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import rasterio
    except ImportError as error:
        raise MissingPackageError("polygons need rasterio\n  mend   run pip install 'monai-seg[geo]'") from error
    return rasterio


def write_polygons(label_map: Path, path: Path) -> int:
    """Write one polygon per object, with its holes, and its class as the property ``label``.

    GDAL reads the map row by row; memory grows with the outlines, not with the picture.

    Args:
        label_map: a TIFF of class indices; objects are joined along the axes.
        path: file to write. Coordinates are those of the map's coordinate system, which the member ``crs`` names (read
            by QGIS and GDAL; not reprojected to longitude and latitude, so that edges stay those of the pixels).
            Without one they are pixels: column to the right, row down, (0, 0) the upper left corner.

    Returns:
        The number of polygons.

    Raises:
        MissingPackageError: rasterio is not installed.
    """
    rasterio = require_rasterio()
    import warnings

    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.features import shapes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(label_map) as source, atomic_path(path) as temporary:
            band = rasterio.band(source, 1)
            # Class 0 is background: the map is its own mask.
            outlines = shapes(band, mask=band, connectivity=4, transform=source.transform)
            with temporary.open("w", encoding="utf-8") as file:
                return _write(file, outlines, source.crs)


def _write(file: Any, outlines: Any, crs: Any) -> int:
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if crs:
        code = crs.to_authority()
        name = f"urn:ogc:def:crs:{code[0]}::{code[1]}" if code else crs.to_wkt()
        head["crs"] = {"type": "name", "properties": {"name": name}}
    file.write(json.dumps(head)[:-1] + ', "features": [')
    count = 0
    for geometry, value in outlines:
        feature = {"type": "Feature", "properties": {"label": int(value)}, "geometry": geometry}
        file.write((",\n" if count else "\n") + json.dumps(feature))
        count += 1
    file.write("\n]}\n")
    return count
