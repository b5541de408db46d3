"""Average precision and recall: those of COCO's evaluation to the last digit, also of resampled images and volumes."""

import numpy as np
import pytest
from detected_scenes import as_coco, objects, scene

from monai_seg.metrics.detection import average_precision, average_recall, match_objects

ALL, SMALL, MEDIUM, LARGE = range(4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("kind", "theirs"), [("mask", "segm"), ("box", "bbox")])
def test_equal_to_coco(seed, kind, theirs):
    images = scene(seed, size=(64, 120))
    coco = as_coco(images, theirs)
    for label in range(2):
        for place, size in enumerate(("all", "small", "medium", "large")):
            matches = match_objects(images, label, kind, size=size)
            wanted = coco.eval["precision"][:, :, label, place, 2].mean(axis=1)
            found = average_precision(matches)
            if wanted[0] < 0:  # COCO says -1 where nothing is annotated
                assert np.isnan(found).all()
            else:
                assert np.abs(found - wanted).max() < 1e-12
        matches = match_objects(images, label, kind)
        for place, most in enumerate((1, 10, 100)):
            wanted = coco.eval["recall"][:, label, ALL, place]
            assert np.abs(average_recall(matches, most) - wanted).max() < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_copies_of_images(seed):
    images = scene(seed, count=5)
    counts = np.random.default_rng(seed).multinomial(5, np.full(5, 0.2), size=3)
    matches = match_objects(images, 0)
    together = average_precision(matches, counts)
    for row, number in zip(together, counts, strict=True):
        copies = [image for image, times in zip(images, number, strict=True) for _ in range(times)]
        alone = average_precision(match_objects(copies, 0))
        assert np.allclose(row, alone, atol=1e-12, equal_nan=True)
        recall = average_recall(match_objects(copies, 0), 1)
        assert np.allclose(average_recall(matches, 1, number[None])[0], recall, equal_nan=True)


def test_worked_by_hand():
    """Two objects; of three found ones the best and the worst are right: precision 1 up to half, 2/3 beyond."""
    reference = np.zeros((2, 8, 8), np.uint8)
    reference[0, :4, :4], reference[1, 4:, 4:] = 1, 1
    wrong = np.zeros((8, 8), np.uint8)
    wrong[:4, 4:] = 1
    found = np.stack([reference[0], wrong, reference[1]])
    image = objects("a.png", found, [0, 0, 0], [0.9, 0.8, 0.7], reference, [0, 0], [False, False])
    precision = average_precision(match_objects([image], 0))
    assert precision == pytest.approx(np.full(10, (51 + 50 * 2 / 3) / 101))


def test_crowd_is_neither_right_nor_wrong():
    crowd = np.ones((1, 8, 8), np.uint8)
    found = np.zeros((2, 8, 8), np.uint8)
    found[0, :2, :2], found[1, 4:6, 4:6] = 1, 1
    image = objects("a.png", found, [0, 0], [0.9, 0.8], crowd, [0], [True])
    matches = match_objects([image], 0)
    assert matches.references.tolist() == [0]
    assert not matches.right.any()
    assert not matches.wrong.any()


def test_volumes_are_matched_by_all_their_voxels():
    reference = np.zeros((2, 6, 6, 6), np.uint8)
    reference[0, :3, :3, :4], reference[1, 3:, 3:, 3:] = 1, 1
    found = reference.copy()
    found[0, :, :, 2:] = 0  # half of the first: IoU 0.5
    image = objects("a.nii.gz", found, [0, 0], [0.9, 0.8], reference, [0, 0], [False, False])
    for kind in ("mask", "box"):
        matches = match_objects([image], 0, kind, thresholds=(0.4, 0.5, 0.6))
        assert matches.matched.tolist() == [[0, 1], [0, 1], [-1, 1]]
        assert matches.iou[0].tolist() == [0.5, 1.0]


def test_boxes_alone_cannot_be_matched_by_masks():
    image = scene(0, count=1)[0]
    image.codes = []
    image.scores = np.array([0.5])
    with pytest.raises(ValueError, match="only boxes were found"):
        match_objects([image], 0)
