"""Metrics on the same tensors share their work, and only as long as the tensors live and stay what they were."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor, decollate_batch, list_data_collate

import monai_seg.metrics.comparison as comparison_module
from monai_seg.handlers.case_metric import CaseMetric
from monai_seg.metrics.comparison import comparisons
from monai_seg.metrics.overlap import Accuracy, Dice, IoU, Precision, Recall, Specificity, VolumeError
from monai_seg.metrics.pooled_overlap import PooledDice
from monai_seg.metrics.tensor_memory import KEPT, found_on

METRICS = (Dice, IoU, Precision, Recall, Specificity, Accuracy, VolumeError, PooledDice)


def random_maps(batch: int = 2, dtype: torch.dtype = torch.uint8) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [torch.randint(0, 3, (batch, 1, 6, 8), generator=draw).to(dtype) for _ in range(2)]


def collated(masks: torch.Tensor) -> MetaTensor:
    return list_data_collate([{"masks": MetaTensor(each)} for each in masks])["masks"]


def compared(prediction, reference, num_classes: int | None = 3, **options) -> comparison_module.Comparison:
    (found,) = comparisons(prediction, reference, num_classes, **options)
    return found


@pytest.fixture
def counted(monkeypatch) -> list:
    """One entry for each time that voxels were counted."""
    calls, count = [], comparison_module.overlap_counts
    monkeypatch.setattr(comparison_module, "overlap_counts", lambda masks: calls.append(masks) or count(masks))
    return calls


def test_all_metrics_on_the_same_tensors_count_once(counted):
    prediction, reference = random_maps()
    for metric_class in METRICS:
        metric_class(3)(prediction, reference)
    assert len(counted) == 1
    for metric_class in METRICS:
        metric_class(3)(list(prediction), list(reference))
    assert len(counted) == 2


@pytest.mark.parametrize("metric_class", METRICS)
def test_values_are_those_without_sharing(metric_class):
    prediction, reference = random_maps()
    Dice(3)(prediction, reference)
    shared = metric_class(3)(prediction, reference)
    alone = metric_class(3)(prediction.clone(), reference.clone())
    assert torch.equal(shared.nan_to_num(-1), alone.nan_to_num(-1))


def test_handlers_of_an_engine_share(counted):
    sizes = [(1, 4, 4), (1, 5, 3), (1, 2, 9)]
    batch = [{"pred": MetaTensor(torch.ones(size)), "label": MetaTensor(torch.ones(size))} for size in sizes]
    engine = Engine(lambda engine, batch: batch)
    for metric_class in METRICS[:4]:
        CaseMetric(metric_class(2)).attach(engine, metric_class.__name__)
    state = engine.run([batch])
    assert state.metrics == {metric_class.__name__: 1.0 for metric_class in METRICS[:4]}
    assert len(counted) == len(sizes)


def test_the_same_voxels_seen_in_another_way_are_shared():
    prediction, reference = random_maps()
    first = compared(prediction, reference)
    assert compared(prediction, reference) is first
    items = compared(list(prediction), list(reference))
    assert items is not first
    assert compared([prediction[0], prediction[1]], (reference[0], reference[1])) is items
    view = compared(prediction[:1], reference[:1])
    assert compared(prediction[:1], reference[:1]) is view
    assert compared(prediction[1:], reference[1:]) is not view
    cases = [decollate_batch(collated(masks)) for masks in (prediction, reference)]
    item = compared(cases[0][1][None], cases[1][1][None])
    assert compared(cases[0][1][None], cases[1][1][None]) is item
    assert all(isinstance(masks, MetaTensor) for case in cases for masks in case)


def test_what_differs_is_compared_by_itself():
    prediction, reference = random_maps()
    first = compared(prediction, reference)
    others = [
        compared(reference, prediction),
        compared(prediction, prediction),
        compared(prediction.clone(), reference),
        compared(prediction, reference, 4),
        compared(prediction, reference, include_background=True),
        compared(prediction, reference, spacing=2.0),
        compared(prediction.transpose(2, 3), reference.transpose(2, 3)),
    ]
    assert len({first, *others}) == 1 + len(others)
    assert compared(prediction, reference, spacing=1.0) is first
    assert compared(prediction, reference, spacing=(1.0, 1.0)).spacing == first.spacing


def test_a_tensor_as_a_batch_is_not_that_tensor_as_a_case():
    masks = torch.ones(2, 1, 3, 4)
    assert compared(masks, masks, 2).counts.hit.tolist() == [[12], [12]]
    channels = torch.ones(1, 2, 3, 4)
    assert compared([channels], [channels], 2).counts.hit.tolist() == [[24]]
    assert compared(channels, channels, 2).counts.hit.tolist() == [[12]]


CHANGES = {
    "a voxel": lambda masks: masks.__setitem__((0, 0, 0, 0), 0),
    "all voxels": lambda masks: masks.zero_(),
    "a view": lambda masks: masks[0].flatten()[:3].fill_(0),
    "a detached twin": lambda masks: masks.detach().fill_(0),
    "copied into": lambda masks: masks.copy_(torch.zeros(masks.shape)),
    "by NumPy": lambda masks: masks.numpy().fill(0),
    "other memory": lambda masks: masks.set_(torch.zeros_like(masks)),
    "data": lambda masks: setattr(masks, "data", torch.zeros_like(masks)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("side", [0, 1], ids=["prediction", "reference"])
@pytest.mark.parametrize("as_list", [False, True], ids=["batch", "list"])
def test_a_change_in_place_is_seen(change, side, as_list):
    # What NumPy does is seen where the memory is its own: that of a tensor made from an array.
    masks = [torch.from_numpy(np.ones((1, 1, 2, 3), dtype=np.uint8)) for _ in range(2)]
    if change != "by NumPy":
        masks = [each.clone() for each in masks]

    def dice() -> float:
        return Dice(2)(*([each[0]] if as_list else each for each in masks)).item()

    assert dice() == dice() == 1.0
    CHANGES[change](masks[side])
    assert dice() < 1.0
    masks[side].fill_(1)
    assert dice() == 1.0


def test_arrays_are_shared_as_long_as_they_hold_the_same(counted):
    arrays = [np.ones((1, 1, 2, 3), dtype=dtype) for dtype in (np.int16, np.float32)]
    prediction, reference = map(torch.from_numpy, arrays)
    assert compared(prediction, reference) is compared(prediction, reference)
    before = compared(prediction, reference)
    arrays[1][0, 0, 0, 0] = 0
    assert compared(prediction, reference) is not before
    assert compared(prediction, reference).counts.referred.tolist() == [[5, 0]]


FORMS = {
    "uint8": lambda masks: masks.to(torch.uint8),
    "int64": lambda masks: masks.long(),
    "channels": lambda masks: torch.cat([masks == 1, masks == 2], 1),
    "MetaTensor": lambda masks: MetaTensor(masks.to(torch.uint8)) + 0,
    "view": lambda masks: torch.cat([masks, masks]).to(torch.uint8)[2:],
    "cases": list,
    "cases of MetaTensor": lambda masks: decollate_batch(collated(masks)),
    "sizes": lambda masks: [masks[0].clone(), masks[1, :, :3].clone()],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gone", [0, 1], ids=["prediction", "reference"])
def test_what_was_found_goes_with_the_tensors(form, gone):
    sides = [FORMS[form](masks) for masks in random_maps()]
    found = comparisons(*sides, num_classes=None if form == "channels" else 3, include_background=form == "channels")
    for comparison in found:
        comparison.counts
    alive = [weakref.ref(comparison) for comparison in found]
    del found, comparison
    assert None not in [each() for each in alive]
    sides[gone] = None
    assert [each() for each in alive] == [None] * len(alive)


def test_memory_that_is_given_to_others_is_not_mistaken():
    # Allocators give memory, and Python identities, back at once: each round tends to see those of the last one.
    for ones in range(48):
        reference = torch.ones(1, 1, 6, 8)
        prediction = torch.zeros(48)
        prediction[:ones] = 1
        assert Recall(2)(prediction.view(1, 1, 6, 8), reference).item() == ones / 48


def test_only_the_last_ones_are_kept():
    masks = [random_maps() for _ in range(KEPT + 1)]
    first = weakref.ref(compared(*masks[0]))
    for pair in masks[1:KEPT]:
        compared(*pair)
    assert first() is compared(*masks[0]) is not None
    compared(*masks[KEPT])
    assert first() is None


def test_a_buffer_that_is_filled_again_and_again_keeps_one():
    prediction, reference = random_maps()
    before = weakref.ref(compared(prediction, reference))
    for _ in range(3):
        prediction.copy_(reference)
        now = compared(prediction, reference)
        assert before() is None
        before = weakref.ref(now)
        del now


def test_threads_do_not_share():
    prediction, reference = random_maps()
    mine, theirs, values = compared(prediction, reference), [], []
    expected = Dice(3)(prediction, reference)

    def work() -> None:
        theirs.append(compared(prediction, reference))
        values.append(Dice(3)(prediction, reference))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len({mine, *theirs}) == 5
    assert all(torch.equal(found, expected) for found in values)
    # What a thread kept goes with it, even though the tensors live on.
    alive = [weakref.ref(each) for each in theirs]
    theirs.clear()
    assert [each() for each in alive] == [None] * 4
    assert compared(prediction, reference) is mine


def test_tensors_that_die_in_another_thread_take_along_what_was_found():
    masks = random_maps()
    found = weakref.ref(compared(*masks))
    thread = threading.Thread(target=masks.clear)
    thread.start()
    thread.join(timeout=60)
    assert found() is None


def test_nothing_is_kept_where_changes_are_not_counted():
    with torch.inference_mode():
        prediction, reference = random_maps()
        before = compared(prediction, reference)
        assert compared(prediction, reference) is not before
        prediction.copy_(reference)
        assert Dice(3)(prediction, reference).tolist() == [[1, 1], [1, 1]]
    assert found_on([prediction]) is not found_on([prediction])


def test_looking_leaves_the_affine_alone():
    label = MetaTensor(torch.ones(1, 1, 2, 2), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))
    meta = dict(label.meta)
    compared(label, label, 2)
    assert label.meta == meta
    assert not label.is_batch
