"""Mix-up, mirrored images at test time, the kept temperature, and small images first for a classifier."""

import pytest
import torch
from monai.inferers import SimpleInferer

from monai_seg.engines import LowResolutionFirst, MirrorAverage, MixUp, temperature_of
from monai_seg.networks import Classifier

CPU = torch.device("cpu")


def batch():
    return {"image": torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2), "label": torch.tensor([0, 1, 2, 1])}


def test_images_and_classes_are_mixed_alike():
    torch.manual_seed(5)
    images, targets = MixUp(3, alpha=1.0)(batch(), CPU)
    assert images.shape == (4, 1, 2, 2)
    assert torch.allclose(targets.sum(1), torch.ones(4))
    one_hot = torch.eye(3)[batch()["label"]]
    shares = [
        (share, order) for share in [targets.max().item(), *targets.flatten().tolist()]
        for order in torch.cartesian_prod(*[torch.arange(4)] * 4)
        if torch.allclose(one_hot * share + one_hot[order] * (1 - share), targets, atol=1e-5)
        and torch.allclose(batch()["image"] * share + batch()["image"][order] * (1 - share), images, atol=1e-5)
    ]  # fmt: skip
    assert shares, "no share and order explain both"


def test_draws_follow_the_generator_and_without_mix_up_nothing_changes():
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(MixUp(3, alpha=0.4)(batch(), CPU)[0])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    images, targets = MixUp(3, alpha=0.0)(batch(), CPU)
    assert torch.equal(images, batch()["image"])
    assert targets.tolist() == [0, 1, 2, 1]
    with pytest.raises(ValueError, match="alpha is -1"):
        MixUp(3, alpha=-1)


def test_an_image_and_its_mirror_image_get_the_same_scores():
    network = Classifier("compact", num_classes=3, image_size=16).eval()
    image = torch.rand(2, 1, 16, 16)
    inferer = MirrorAverage()
    with torch.no_grad():
        scores = inferer(image, network)
        assert torch.allclose(scores, inferer(image.flip(3), network), atol=1e-6)
        assert torch.allclose(scores, (network(image) + network(image.flip(3))) / 2, atol=1e-6)
        assert torch.equal(MirrorAverage(enabled=False)(image, network), SimpleInferer()(image, network))


class Progress:
    progress = 0.0


def test_small_images_first_leave_scores_alone():
    sizes = []

    def network(image):
        sizes.append(tuple(image.shape[2:]))
        return [image.mean((2, 3)), image.mean((2, 3))]

    schedule = Progress()
    inferer = LowResolutionFirst(schedule, share=0.5, scale=0.5)
    assert [each.shape for each in inferer(torch.rand(2, 1, 8, 8), network)] == [(2, 1), (2, 1)]
    schedule.progress = 0.6
    inferer(torch.rand(2, 1, 8, 8), network)
    assert sizes == [(4, 4), (8, 8)]


def test_temperature_of_a_classifier_alone():
    assert temperature_of(Classifier("compact", image_size=16)) == 1
    with pytest.raises(ValueError, match="Linear keeps no temperature"):
        temperature_of(torch.nn.Linear(1, 1))
