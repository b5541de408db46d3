"""What every detector of the project promises, as tests to be inherited: give `network` and `size`."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor


def box_target(*boxes: tuple[float, ...], size: tuple[int, ...], label: int = 0) -> dict[str, torch.Tensor]:
    """Filled boxes with whole edges, as objects."""
    dims = len(size)
    mask = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for place, box in zip(mask, boxes, strict=True):
        place[tuple(slice(int(a), int(b)) for a, b in zip(box[:dims], box[dims:], strict=True))] = 1
    return {
        "box": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 2 * dims),
        "label": torch.full((len(boxes),), label, dtype=torch.int64),
        "mask": mask,
    }


class DetectorContract:
    """Inherit as ``Test...`` with two class attributes.

    size: of an image, not square, larger than the anchors.
    has_masks: whether it gives masks.
    """

    size: tuple[int, ...]
    has_masks = True

    def make(self, **options) -> torch.nn.Module:
        raise NotImplementedError

    @pytest.fixture
    def network(self):
        torch.manual_seed(0)
        return self.make(score_thresh=0.0)

    @property
    def dims(self) -> int:
        return len(self.size)

    def image(self, count: int = 2) -> torch.Tensor:
        return torch.rand(count, 1, *self.size, generator=torch.Generator().manual_seed(1))

    def object(self) -> dict[str, torch.Tensor]:
        low, high = [4.0] * self.dims, [length - 8.0 for length in self.size]
        return box_target((*low, *high), size=self.size)

    def nothing(self) -> dict[str, torch.Tensor]:
        return box_target(size=self.size)

    def test_evaluation_gives_objects_of_each_image(self, network):
        network.eval()
        other = torch.rand(1, *(length - 7 for length in self.size))
        with torch.inference_mode():
            found = network([self.image()[0], MetaTensor(other)])
        assert len(found) == 2
        for objects, image in zip(found, (self.image()[0], other), strict=True):
            count = len(objects["label"])
            assert count > 0
            assert objects["box"].shape == (count, 2 * self.dims)
            assert objects["box"].dtype == objects["label_scores"].dtype == torch.float32
            assert objects["label"].dtype == torch.int64
            assert set(objects["label"].tolist()) == {0}
            assert (objects["label_scores"].diff() <= 0).all()
            assert ((objects["label_scores"] >= 0) & (objects["label_scores"] <= 1)).all()
            limit = torch.tensor(image.shape[1:], dtype=torch.float32)
            assert (objects["box"] >= 0).all()
            assert (objects["box"][:, self.dims :] <= limit).all()
            assert ("mask" in objects) == self.has_masks
            if self.has_masks:
                assert objects["mask"].shape == (count, *image.shape[1:])
                assert objects["mask"].dtype == torch.uint8
                assert objects["mask"].max() <= 1

    def test_a_batch_is_a_list_of_its_images(self, network):
        network.eval()
        with torch.inference_mode():
            batch, listed = network(self.image()), network(list(self.image()))
        for one, two in zip(batch, listed, strict=True):
            for name in one:
                assert torch.equal(one[name], two[name])

    @pytest.mark.parametrize("objects", [(0, 1), (0, 0)], ids=["one image without", "no object at all"])
    @pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "bfloat16"])
    def test_each_weight_learns_whatever_the_batch_holds(self, network, objects, dtype):
        network.train()
        targets = [self.object() if each else self.nothing() for each in objects]
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            losses = network(self.image(), targets)
        assert len(losses) >= 2
        assert all(loss.ndim == 0 and torch.isfinite(loss) and loss.requires_grad for loss in losses.values())
        sum(losses.values()).backward()
        without = [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]
        assert without == []  # several processes would wait for them
        assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.requires_grad)

    @pytest.mark.parametrize("kind", ["whole image", "one pixel", "larger than the anchors are small", "many"])
    def test_extreme_objects(self, network, kind):
        network.train()
        ones, whole = tuple([1.0] * self.dims), tuple(float(length) for length in self.size)
        draw = torch.Generator().manual_seed(2)
        target = {
            "whole image": lambda: box_target((*[0.0] * self.dims, *whole), size=self.size),
            "one pixel": lambda: box_target((*[0.0] * self.dims, *ones), size=self.size),
            "larger than the anchors are small": self.object,
            "many": lambda: box_target(
                *[
                    (*(low := torch.rand(self.dims, generator=draw).mul(10).floor()).tolist(), *(low + 3).tolist())
                    for _ in range(1000 if self.dims == 2 else 100)
                ],
                size=self.size,
            ),
        }[kind]()
        losses = network(self.image(1), [target])
        assert all(torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()

    def test_tiny_image(self, network):
        tiny = torch.rand(1, 1, *[5] * self.dims)
        network.eval()
        with torch.inference_mode():
            found = network(tiny)[0]
        assert (found["box"] <= 5).all()
        losses = network.train()(tiny, [box_target((*[1.0] * self.dims, *[3.0] * self.dims), size=(5,) * self.dims)])
        assert all(torch.isfinite(loss) for loss in losses.values())

    def test_a_box_without_area_is_left_out(self, network):
        network.train()
        target = box_target((*[4.0] * self.dims, *[4.0] * self.dims), size=self.size)
        losses = network(self.image(1), [target])
        assert all(torch.isfinite(loss) for loss in losses.values())

    def test_wrong_input_says_which_image(self, network):
        broken = self.image()
        broken[1].view(-1)[5] = float("nan")
        with pytest.raises(ValueError, match="image 1 of the batch holds NaN"):
            network.eval()(broken)
        with pytest.raises(ValueError, match=r"image 0 of the batch has shape \(2,"):
            network.eval()(torch.rand(1, 2, *self.size))
        with pytest.raises(ValueError, match="targets for 2 images are needed in training, given are none"):
            network.train()(self.image())
        stranger = self.object() | {"label": torch.tensor([1])}
        with pytest.raises(ValueError, match="image 1 has an object of class 1; the network knows 1, counted from 0"):
            network.train()(self.image(), [self.object(), stranger])
        with pytest.raises(ValueError, match="the target of image 0 disagrees with itself: 1 of box, 0 of label"):
            network.train()(self.image(1), [self.object() | {"label": torch.zeros(0, dtype=torch.int64)}])

    def test_score_threshold_lies_with_the_weights(self, network):
        network.score_threshold.fill_(0.7)
        other = self.make()
        other.load_state_dict(network.state_dict())
        assert float(other.score_threshold) == pytest.approx(0.7)

    def test_same_seed_same_losses(self):
        losses = []
        for _ in range(2):
            torch.manual_seed(0)
            losses.append(self.make().train()(self.image(), [self.object(), self.nothing()]))
        assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])
