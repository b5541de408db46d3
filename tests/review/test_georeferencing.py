"""Position and coordinate system from GeoTIFF tags, against what rasterio reads and writes."""

from __future__ import annotations

import numpy as np
import pytest

from monai_seg.inference.scene import open_scene
from monai_seg.review.georeferencing import Georeferencing, difference, is_comparable, read_georeferencing

rasterio = pytest.importorskip("rasterio")
NORTH_UP = (0.5, 0.0, 500000.0, 0.0, -0.5, 5400000.0)
TURNED = (0.4, 0.3, 500000.0, 0.3, -0.4, 5400000.0)


def written(path, transform, crs, **options) -> Georeferencing | None:
    with rasterio.open(
        path, "w", driver="GTiff", height=3, width=4, count=1, dtype="uint8", crs=crs, transform=transform, **options
    ) as file:
        file.write(np.zeros((1, 3, 4), np.uint8))
    with open_scene(path) as scene:
        return read_georeferencing(scene.facts.geo_tags)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED], ids=["north up", "turned"])
@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:4326", None])
@pytest.mark.parametrize("point", [False, True], ids=["area", "point"])
def test_what_rasterio_wrote_is_read(transform, crs, point, tmp_path):
    path = tmp_path / "a.tif"
    written(path, rasterio.Affine(*transform), crs)
    if point:
        with rasterio.open(path, "r+") as file:
            file.update_tags(AREA_OR_POINT="Point")
            file.transform = rasterio.Affine(*transform)
    with rasterio.open(path) as file, open_scene(path) as scene:
        found = read_georeferencing(scene.facts.geo_tags)
        assert found is not None
        assert found.transform == pytest.approx(tuple(file.transform)[:6], rel=1e-12)
        assert found.epsg == (file.crs.to_epsg() if file.crs else None)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_no_position(tmp_path):
    assert written(tmp_path / "a.tif", None, None) is None


def test_a_system_without_code_is_compared_by_its_tags(tmp_path):
    own, other = (f"+proj=laea +lat_0={lat} +lon_0=10 +x_0=0 +y_0=0 +ellps=GRS80 +units=m" for lat in (52, 53))
    places = [
        written(tmp_path / f"{number}.tif", rasterio.Affine(*NORTH_UP), crs)
        for number, crs in enumerate((own, own, other, "EPSG:25832"))
    ]
    assert [place.epsg for place in places] == [None, None, None, 25832]
    assert [is_comparable(places[0], place) for place in places] == [True, True, False, False]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, None),
        ({2: 500000.04}, None),  # less than a tenth of a pixel
        ({2: 500000.5}, "in position"),
        ({5: 5399999.5}, "in position"),
        ({0: 0.501}, "in position"),  # a pixel of another size: a shift of 2 pixels at the right edge
    ],
)
def test_positions_are_compared_at_all_corners(change, kind):
    moved = tuple(change.get(number, value) for number, value in enumerate(NORTH_UP))
    assert difference(Georeferencing(NORTH_UP, 25832), Georeferencing(moved, 25832), 500, 1000) == kind


def test_codes_are_compared_where_both_have_one():
    places = [Georeferencing(NORTH_UP, code) for code in (25832, 32632, None)]
    assert difference(places[0], places[1], 5, 5) == "in coordinate system"
    assert difference(places[0], places[2], 5, 5) is None
