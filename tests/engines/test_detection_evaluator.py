"""Evaluation of detectors: one output for each image, in float32, from whichever network is asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Events
from toy_detector import CASES, ToyDetector, ToyObjects, loader

from monai_seg.engines import DetectionEvaluator
from monai_seg.engines.detection import NonFiniteImageError, score_threshold_of
from monai_seg.engines.trainer import case_files


def evaluator(folder, batch_size: int = 2, network: torch.nn.Module | None = None, **options: Any):
    cases = ToyObjects(folder)
    network = network or ToyDetector()
    return DetectionEvaluator(torch.device("cpu"), loader(cases, batch_size), network, **{"amp": False, **options})


def collected(engine) -> list[tuple[dict, dict]]:
    """Pairs of sample and output, over all images."""
    pairs: list[tuple[dict, dict]] = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: pairs.extend(zip(e.state.batch, e.state.output, strict=True))
    )
    engine.run()
    return pairs


def test_each_image_has_its_own_output(tmp_path):
    """MONAI's evaluator took two images apart into twenty outputs."""
    pairs = collected(evaluator(tmp_path))
    assert len(pairs) == CASES
    for (sample, output), record in zip(pairs, ToyObjects(tmp_path).data, strict=True):
        assert case_files([sample]) == [record["image"]]
        assert output.keys() == {"image", "pred"}
        assert output["image"].meta["filename_or_obj"] == record["image"]
        assert output["pred"]["mask"].shape[1:] == sample["mask"].shape[1:]
        assert len(sample["label"]) == len(sample["box"])  # what was annotated is still there


def test_the_batch_size_does_not_matter(tmp_path):
    one, all_at_once = (collected(evaluator(tmp_path, size)) for size in (1, CASES))
    for (_, first), (_, second) in zip(one, all_at_once, strict=True):
        for name, value in first["pred"].items():
            assert torch.equal(value, second["pred"][name])


def test_postprocessing_sees_an_image_with_its_objects(tmp_path):
    def flipped(sample):
        assert {"image", "box", "pred"} <= sample.keys()
        mask = torch.flip(sample["pred"]["mask"], (1,)) * 0
        return sample | {"pred": sample["pred"] | {"mask": mask, "kept": torch.ones(1)}}

    for _, output in collected(evaluator(tmp_path, postprocessing=flipped)):
        assert output["pred"]["mask"].max() == 0
        assert "kept" in output["pred"]


@pytest.mark.parametrize("amp", [True, False])
def test_numbers_come_as_float32_and_labels_as_they_are(tmp_path, amp):
    network, seen = ToyDetector(), {}
    network.layer.register_forward_hook(
        lambda module, inputs, output: seen.update(network=output.dtype, mode=network.training)
    )
    engine = evaluator(tmp_path, network=network, amp=amp)
    formats = {name: value.dtype for name, value in collected(engine)[0][1]["pred"].items()}
    assert seen["network"] == (torch.bfloat16 if amp else torch.float32)
    assert formats == {
        "box": torch.float32,
        "label": torch.int64,
        "label_scores": torch.float32,
        "mask": torch.uint8,
    }
    assert seen["mode"] is False


def test_another_network_may_take_the_place_of_the_first(tmp_path):
    """As for an average of the weights, that a handler lets validate."""
    other = ToyDetector()
    torch.nn.init.zeros_(other.layer.weight)
    engine = evaluator(tmp_path)
    before = collected(engine)[0][1]["pred"]["box"]
    engine.network = other
    after = collected(engine)[0][1]["pred"]["box"]
    assert not torch.equal(before, after)
    assert torch.equal(after[0], 8 * other.layer.bias[:4])


def test_an_inferer_gets_the_images_and_the_network(tmp_path):
    calls = []

    def inferer(images, network):
        calls.append((len(images), network))
        return network(images)

    network = ToyDetector()
    pairs = collected(evaluator(tmp_path, network=network, inferer=inferer))
    assert len(pairs) == CASES
    assert calls == [(2, network), (2, network), (1, network)]


def test_an_image_that_is_not_finite_is_named(tmp_path):
    engine = evaluator(tmp_path)
    sound = ToyObjects.__getitem__

    class OneBroken(ToyObjects):
        def __getitem__(self, key):
            sample = sound(self, key)
            sample["image"] = sample["image"] * (float("inf") if key == 4 else 1)
            return sample

    engine.data_loader.dataset.__class__ = OneBroken
    with pytest.raises(NonFiniteImageError, match=r"^[^,]*case_4\.png holds NaN or infinite values"):
        engine.run()


def test_a_network_of_another_kind_keeps_no_threshold():
    assert float(score_threshold_of(ToyDetector())) == 0.5
    with pytest.raises(ValueError, match="Linear keeps no score_threshold: it is no detector of this project"):
        score_threshold_of(torch.nn.Linear(1, 1))
