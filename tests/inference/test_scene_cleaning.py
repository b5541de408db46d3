"""Cleaning a label map band by band gives what scipy and scikit-image give on the whole map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from monai_seg.inference import block_components, scene_cleaning
from monai_seg.inference.block_components import BlockComponents, TooManyObjectsError
from monai_seg.inference.scene_cleaning import RowFile, SceneCleaning

FULL = np.ones((3, 3))


def random_map(height: int, width: int, classes: int, seed: int) -> np.ndarray:
    """Smooth noise in steps: winding objects with holes and islands, across all bands."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 1.5)
    if classes == 1:
        return (noise > 0).astype(np.uint8)
    return np.digitize(noise, np.quantile(noise, np.linspace(0.4, 1, classes + 1)[:-1])).astype(np.uint8)


def cleaned(labels: np.ndarray, tmp_path, monkeypatch, rows_per_band: int, **options) -> np.ndarray:
    monkeypatch.setattr(scene_cleaning, "_BAND_PIXELS", rows_per_band * labels.shape[1])
    rows = RowFile(tmp_path / "map", *labels.shape, np.uint8)
    rows.append(labels)
    SceneCleaning(**options).clean(rows)
    result = np.concatenate([band for _, band in rows.bands()])
    rows.close()
    return result


def objects(labels: np.ndarray, connectivity: int = 2) -> np.ndarray:
    return measure.label(labels, background=0, connectivity=connectivity)


BANDS = [1, 2, 7, 1000]
MAPS = [(50, 40, classes, seed) for classes in (1, 3) for seed in range(2)] + [(1, 9, 1, 0), (9, 1, 1, 1), (1, 1, 1, 2)]


@pytest.mark.parametrize("rows_per_band", BANDS)
@pytest.mark.parametrize("shape", MAPS, ids=str)
@pytest.mark.parametrize("connectivity", [1, 2])
def test_small_objects(shape, rows_per_band, connectivity, tmp_path, monkeypatch):
    labels = random_map(*shape)
    numbers = objects(labels, connectivity)
    wanted = np.where(np.bincount(numbers.ravel())[numbers] >= 12, labels, 0)
    options = {"min_object_size": 12, "connectivity": connectivity}
    assert np.array_equal(cleaned(labels, tmp_path, monkeypatch, rows_per_band, **options), wanted)


@pytest.mark.parametrize("rows_per_band", BANDS)
@pytest.mark.parametrize("shape", MAPS, ids=str)
def test_holes(shape, rows_per_band, tmp_path, monkeypatch):
    labels = random_map(*shape)
    wanted, numbers = labels.copy(), measure.label(labels == 0, connectivity=1)
    edge = np.unique(np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]]))
    for number in set(np.unique(numbers)) - {0, *edge.tolist()}:
        hole = numbers == number
        around = np.unique(labels[ndimage.binary_dilation(hole) & ~hole])
        if len(around) == 1:
            wanted[hole] = around[0]
    if labels.max() == 1:
        assert np.array_equal(wanted, ndimage.binary_fill_holes(labels))
    assert np.array_equal(cleaned(labels, tmp_path, monkeypatch, rows_per_band, fill_holes=True), wanted)


@pytest.mark.parametrize("rows_per_band", BANDS)
@pytest.mark.parametrize("shape", MAPS, ids=str)
@pytest.mark.parametrize("which", ["each", "all"])
def test_largest_component(shape, rows_per_band, which, tmp_path, monkeypatch):
    labels = random_map(*shape)
    wanted = np.zeros_like(labels)
    for mask in [labels > 0] if which == "all" else [labels == value for value in np.unique(labels) if value]:
        if mask.any():
            numbers = objects(mask)
            kept = numbers == 1 + np.bincount(numbers.ravel())[1:].argmax()
            wanted[kept] = labels[kept]
    assert np.array_equal(cleaned(labels, tmp_path, monkeypatch, rows_per_band, largest_component=which), wanted)


def test_the_steps_follow_each_other(tmp_path, monkeypatch):
    labels = np.zeros((12, 20), np.uint8)
    labels[1:8, 1:8] = 1
    labels[2:7, 2:7] = 0
    labels[4, 4] = 1  # an islet, which goes first, so that its lake is one hole
    labels[9:11, 10:19] = 1
    wanted = np.zeros_like(labels)
    wanted[1:8, 1:8] = 1
    options = {"min_object_size": 5, "fill_holes": True, "largest_component": "all"}
    assert np.array_equal(cleaned(labels, tmp_path, monkeypatch, 2, **options), wanted)


@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_full_maps_stay(value, tmp_path, monkeypatch):
    labels = np.full((5, 6), value, np.uint8)
    options = {"min_object_size": 2, "fill_holes": True, "largest_component": "each"}
    assert np.array_equal(cleaned(labels, tmp_path, monkeypatch, 2, **options), labels)


def test_pieces_are_joined_over_many_seams():
    comb = np.zeros((9, 9), np.uint8)
    comb[:, ::2] = 1
    comb[-1] = 1
    found = BlockComponents()
    numbers = [found.add(row[None]) for row in comb]
    component, count = found.components()
    assert count == 1
    assert set(component[np.concatenate(numbers)][comb == 1]) == {1}


def test_noise_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(block_components, "MOST_PIECES", 20)
    labels = np.zeros((12, 12), np.uint8)
    labels[::2, ::2] = 1
    with pytest.raises(TooManyObjectsError, match="more than 20 pieces"):
        cleaned(labels, tmp_path, monkeypatch, 3, min_object_size=2)


@pytest.mark.parametrize("options", [{"largest_component": "one"}, {"connectivity": 3}, {"min_object_size": -1}])
def test_impossible_wishes(options):
    with pytest.raises(ValueError, match=r"give each, all|connectivity is 1 or 2"):
        SceneCleaning(**options)


def test_nothing_to_do_is_false():
    assert not SceneCleaning(min_object_size=1)
    assert SceneCleaning(fill_holes=True)
