"""FROC, the score threshold, and the tables of images and objects: worked by hand."""

import numpy as np
import pytest
from detected_scenes import objects, scene

from monai_seg.metrics.detection import (
    FROC_RATES,
    best_score_threshold,
    free_response,
    image_table,
    match_objects,
    object_table,
)
from monai_seg.metrics.detection.operating_point import IMAGE_COLUMNS


def square(row: int, column: int, side: int = 4) -> np.ndarray:
    mask = np.zeros((16, 16), np.uint8)
    mask[row : row + side, column : column + side] = 1
    return mask


@pytest.fixture
def images():
    """Four objects in two images. By falling score: right, wrong, right, wrong, wrong, right; one is missed."""
    first = objects(
        "a.png",
        np.stack([square(0, 0), square(0, 12), square(8, 8), square(12, 0)]),
        [0] * 4, [0.9, 0.8, 0.7, 0.5],
        np.stack([square(0, 0), square(8, 8)]), [0, 0], [False, False],
    )  # fmt: skip
    second = objects(
        "b.png",
        np.stack([square(0, 12), square(4, 4)]),
        [0, 0], [0.4, 0.3],
        np.stack([square(4, 4), square(12, 12)]), [0, 0], [False, False],
    )  # fmt: skip
    return [first, second]


def test_sensitivity_at_false_objects_per_image(images):
    matches = match_objects(images, 0)
    # 1/4 of an image: no false one, 1 of 4 found. 1/2: one false one, 2 found. From 3/2 on all three, 3 found.
    assert dict(zip(FROC_RATES, free_response(matches), strict=True)) == {
        0.125: 0.25, 0.25: 0.25, 0.5: 0.5, 1.0: 0.5, 2.0: 0.75, 4.0: 0.75, 8.0: 0.75,
    }  # fmt: skip


def test_sensitivity_of_copies_is_that_of_weights(images):
    matches = match_objects(images, 0)
    wanted = free_response(match_objects([images[0], images[0], images[1]], 0))
    assert free_response(matches, weights=np.array([[2, 1]]))[0].tolist() == wanted.tolist()


def test_one_score_of_many_is_one_step():
    found = np.stack([square(0, 12), square(0, 0)])
    image = objects("a.png", found, [0, 0], [0.5, 0.5], square(0, 0)[None], [0], [False])
    assert free_response(match_objects([image], 0)).tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_threshold_with_the_best_f1(images):
    # F1 by falling score: 2/5, 2/6, 4/7, 4/8, 4/9, 6/10: all of them.
    assert best_score_threshold([match_objects(images, 0)]) == pytest.approx(0.3 / 2)
    # Without the last right one the third is best, in the middle to the fourth.
    images[1] = objects("b.png", square(0, 12)[None], [0], [0.4], np.stack([square(4, 4)]), [0], [False])
    assert best_score_threshold([match_objects(images, 0)]) == pytest.approx(0.6)


def test_threshold_where_nothing_is_found():
    image = objects("a.png", np.zeros((0, 16, 16)), [], [], square(0, 0)[None], [0], [False])
    assert best_score_threshold([match_objects([image], 0)]) == 0.5


def test_table_of_images(images):
    table = image_table(images, match_objects(images, 0), 0, threshold=0.45)
    first, second = (dict(zip(IMAGE_COLUMNS, row, strict=True)) for row in table)
    # Found are four squares of 16 pixels, of which two are the two annotated ones.
    assert first == {
        "dice": pytest.approx(2 * 32 / (64 + 32)), "iou": pytest.approx(0.5), "n_reference": 2, "n_predicted": 4,
        "matched": 2, "missed": 0, "false": 2, "matched_iou": 1.0,
    }  # fmt: skip
    assert (second["dice"], second["n_predicted"], second["missed"]) == (0, 0, 2)
    assert np.isnan(second["matched_iou"])


def test_empty_on_both_sides_is_undefined_and_on_one_it_is_zero():
    nothing = np.zeros((0, 16, 16), np.uint8)
    both = objects("a.png", nothing, [], [], nothing, [], [])
    false_alarm = objects("b.png", square(0, 0)[None], [0], [0.9], nothing, [], [])
    table = image_table([both, false_alarm], match_objects([both, false_alarm], 0), 0, threshold=0.5)
    assert np.isnan(table[0, 0])
    assert table[1, 0] == 0
    assert table[:, IMAGE_COLUMNS.index("false")].tolist() == [0, 1]


def test_table_of_objects(images):
    rows = object_table(images, match_objects(images, 0), threshold=0.45)
    scores = [row["score"] and round(row["score"], 4) for row in rows]
    assert [(row["case"], row["kind"], score, row["reference"]) for row, score in zip(rows, scores, strict=True)] == [
        ("a.png", "matched", 0.9, 0),
        ("a.png", "false", 0.8, None),
        ("a.png", "matched", 0.7, 1),
        ("a.png", "false", 0.5, None),
        ("b.png", "missed", None, 0),
        ("b.png", "missed", None, 1),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_each_other(seed):
    images = scene(seed)
    matches = match_objects(images, 0)
    table = image_table(images, matches, 0, threshold=0.5)
    matched, missed, false = (table[:, IMAGE_COLUMNS.index(name)] for name in ("matched", "missed", "false"))
    assert (matched + missed == matches.references).all()
    kinds = [row["kind"] for row in object_table(images, matches, threshold=0.5)]
    assert [kinds.count(kind) for kind in ("matched", "missed", "false")] == [matched.sum(), missed.sum(), false.sum()]
