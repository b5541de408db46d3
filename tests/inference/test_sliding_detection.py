"""Objects found tile by tile are those of the whole image, with a detector that makes no errors and one that does."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from perfect_detector import PerfectDetector, scene

from monai_seg.inference import SlidingWindowDetectionInferer
from monai_seg.inference.sliding_detection import sliding_window_detection, tile_boxes


def check_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([((60, 75), 24, (1.0, 6.0)), ((61, 40), (25, 40), (2.0, 18.0)), ((26, 22, 24), 12, (1.5, 5.0))]),
    st.sampled_from([0.05, 0.25, 0.6]),
    st.booleans(),
)
def test_tiles_find_the_objects_of_the_whole_image(seed, shape, overlap, placed):
    """Also objects that lie on borders and corners of tiles, and those larger than a tile."""
    size, roi_size, radius = shape
    image = scene(size, 12, radius, seed, classes=2)
    network = PerfectDetector(classes=2)
    inferer = SlidingWindowDetectionInferer(roi_size, overlap, masks="placed" if placed else "full")
    (found,) = inferer(image[None], network)
    (expected,) = PerfectDetector(classes=2)([image])
    if placed:
        masks = found.pop("placed_mask")
        found["mask"] = torch.zeros_like(expected["mask"])
        for place, mask in zip(found["mask"].numpy(), masks, strict=True):
            mask.paste(place)
    check_equal(found, expected)


def test_images_no_larger_than_a_tile_go_through_the_network_as_they_are():
    images = [scene((20, 30), 4, (1, 4), seed) for seed in range(3)]
    network = PerfectDetector()
    for found, image in zip(SlidingWindowDetectionInferer((20, 32))(images, network), images, strict=True):
        check_equal(found, PerfectDetector()([image])[0])
    assert network.seen == [[(20, 30)] * 3]  # one batch, as without tiles
    whole = SlidingWindowDetectionInferer(-1, sw_batch_size=2)(torch.stack(images), network)
    assert len(whole) == 3


def test_images_of_several_sizes_in_one_batch():
    images = [scene((20, 20), 3, (1, 4)), MetaTensor(scene((40, 50), 5, (1, 4)))]
    network = PerfectDetector()
    for found, image in zip(SlidingWindowDetectionInferer(24, 0.4)(images, network), images, strict=True):
        check_equal(found, PerfectDetector()([image])[0])
    assert network.seen[0] == [(20, 20)]
    assert max(len(batch) for batch in network.seen) == 4


def test_no_object_gives_empty_lists_of_the_right_shape():
    for size, dims in (((50, 40), 2), ((20, 30, 20), 3)):
        (found,) = SlidingWindowDetectionInferer(16)(torch.zeros(1, 1, *size), PerfectDetector())
        assert (found["box"].shape, found["mask"].shape) == ((0, 2 * dims), (0, *size))
        assert [found[name].dtype for name in ("box", "label", "label_scores", "mask")] == [
            torch.float32,
            torch.int64,
            torch.float32,
            torch.uint8,
        ]


@pytest.mark.parametrize(("size", "roi_size"), [((57, 30), (20, 40)), ((9, 30, 31), (4, 31, 7)), ((5,), (2,))])
@pytest.mark.parametrize("overlap", [0.01, 0.3, 0.9])
def test_tiles_cover_the_image_and_share_pixels(size, roi_size, overlap):
    covered = np.zeros(size, int)
    tiles = tile_boxes(size, roi_size, overlap)
    for low, high in tiles:
        assert all(b - a == min(own, length) for a, b, own, length in zip(low, high, roi_size, size, strict=True))
        covered[tuple(itertools.starmap(slice, zip(low, high, strict=True)))] += 1
    assert covered.min() == 1
    for axis in range(len(size)):
        spans = sorted({(low[axis], high[axis]) for low, high in tiles})
        assert all(a[1] > b[0] for a, b in itertools.pairwise(spans))


def test_boxes_alone_are_merged_too():
    image = scene((60, 75), 10, (1, 6), 3)
    (found,) = SlidingWindowDetectionInferer(24, 0.5)(image[None], PerfectDetector(with_masks=False))
    (expected,) = PerfectDetector(with_masks=False)([image])
    check_equal(found, expected)


def test_an_object_larger_than_the_overlap_is_joined_or_its_largest_part_is_kept():
    image = torch.zeros(1, 20, 60)
    image[0, 5:10, 3:57] = 0.9  # seen by five tiles of 20 pixels, by none whole
    join, largest = (
        SlidingWindowDetectionInferer(20, 0.25, cut_objects=way)(image[None], PerfectDetector())[0]
        for way in ("join", "largest")
    )
    assert join["box"].tolist() == [[5, 3, 10, 57]]
    assert torch.equal(join["mask"][0], (image[0] > 0).to(torch.uint8))
    assert len(largest["box"]) == 1
    assert largest["mask"].sum() == 5 * 20


def test_branches_that_one_tile_joins_are_one_object():
    image = torch.zeros(1, 20, 40)
    image[0, 2:18, 4:7] = image[0, 2:5, 4:35] = image[0, 15:18, 4:30] = 0.5  # a U on its side
    (found,) = SlidingWindowDetectionInferer(20, 0.3)(image[None], PerfectDetector())
    assert found["box"].tolist() == [[2, 4, 18, 35]]


def test_what_one_tile_tells_apart_stays_apart():
    """Two objects in one box, and one within the other."""

    def network(images):
        height, width = images[0].shape[1:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        masks = []
        for image in images:
            shift = int(image[0, 0, 0])  # where the tile lies
            ring = ((rows - 15) ** 2 + (columns + shift - 30) ** 2 - 64).abs() < 30
            inner = (rows - 15) ** 2 + (columns + shift - 30) ** 2 < 49
            bar = (rows - 15).abs() + (columns + shift - 30).abs() < 12
            masks.append(torch.stack([ring, inner, bar]).to(torch.uint8))
        return [
            {"box": boxes(mask), "label": torch.tensor([0, 0, 1]), "label_scores": torch.tensor([0.9, 0.8, 0.7]),
             "mask": mask} for mask in masks
        ]  # fmt: skip

    from monai_seg.transforms import masks_to_boxes as boxes

    image = torch.arange(60.0).expand(1, 30, 60)
    (found,) = SlidingWindowDetectionInferer(40, 0.75, merge_iou=0.5)(image[None], network)
    assert found["label"].tolist() == [0, 0, 1]
    assert found["label_scores"].tolist() == pytest.approx([0.9, 0.8, 0.7])


@pytest.mark.parametrize("seed", range(3))
def test_a_detector_that_shakes_gives_each_object_once(seed):
    """Masks whose edges and scores differ from tile to tile."""
    draw = np.random.default_rng(seed)
    image = scene((120, 150), 14, (4, 9), seed)
    (expected,) = PerfectDetector()([image])

    def network(images):
        outputs = PerfectDetector()(images)
        for output in outputs:
            count, (height, width) = len(output["mask"]), output["mask"].shape[1:]
            wide = torch.nn.functional.pad(output["mask"], (1, 1, 1, 1))
            shifts = draw.integers(0, 2, (count, 2))
            for place, mask, (down, right) in zip(output["mask"], wide, shifts, strict=True):
                place.copy_(mask[down : down + height, right : right + width])
            output["label_scores"] = torch.from_numpy(draw.uniform(0.3, 1, count)).float()
        return outputs

    (found,) = SlidingWindowDetectionInferer(48, 0.5)(image[None], network)
    overlap = torch.einsum("nhw,mhw->nm", found["mask"].float(), expected["mask"].float())
    assert len(found["mask"]) == len(expected["mask"])
    assert sorted(overlap.argmax(dim=1).tolist()) == list(range(len(expected["mask"])))
    assert found["label_scores"].tolist() == sorted(found["label_scores"].tolist(), reverse=True)


@pytest.mark.slow
def test_memory_stays_bounded_on_a_large_image_with_hundreds_of_objects():
    image = torch.zeros(1, 4096, 4096)
    for row, column in itertools.product(range(20, 4000, 200), repeat=2):
        image[0, row : row + 60, column : column + 50] = 0.5
    tracemalloc.start()
    found = sliding_window_detection(image, PerfectDetector(), 512, 0.25, sw_batch_size=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found["box"]) == len(found["placed_mask"]) == 400  # 6.7 GB as masks of the size of the image
    assert all(mask.area == 60 * 50 for mask in found["placed_mask"])
    assert peak < 100e6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 0}, "give shares above 0"),
        ({"overlap": (0.5, 1.0)}, "below 1"),
        ({"sw_batch_size": 0}, "sw_batch_size is 0"),
        ({"merge_iou": 0}, "merge_iou 0"),
        ({"cut_objects": "drop"}, "'drop'"),
        ({"masks": "rle"}, "'rle'"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindowDetectionInferer(16, **options)


@pytest.mark.parametrize("options", [{"roi_size": (8, 8, 8)}, {"roi_size": 8, "overlap": (0.5, 0.5, 0.5)}])
def test_options_of_other_dimensions_are_named(options):
    with pytest.raises(ValueError, match="the image has 2 axes"):
        SlidingWindowDetectionInferer(**options)(torch.zeros(1, 1, 20, 20), PerfectDetector())
