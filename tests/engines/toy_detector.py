"""What the tests of the detection engines share: a detector of nine weights, and bright squares for it to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, MetaTensor
from monai.data.utils import no_collation

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines import DetectionTrainer

CASES = 5


class ToyDetector(torch.nn.Module):
    """Guess one box from the mean intensity of an image. Its losses are means over the images of a batch.

    Args:
        dropout: of the mean intensity.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("score_threshold", torch.tensor(0.5))
        self.dropout = torch.nn.Dropout(dropout)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(1, 5)

    def forward(
        self, images: Sequence[torch.Tensor], targets: Sequence[Mapping[str, torch.Tensor]] | None = None
    ) -> Any:
        guesses = self.layer(self.dropout(torch.stack([image.mean().reshape(1) for image in images])))
        if not self.training:
            return [self._objects(image, guess) for image, guess in zip(images, guesses, strict=True)]
        known = [target["box"].mean(0) / 8 if len(target["box"]) else torch.zeros(4) for target in targets or ()]
        seen = torch.tensor([float(len(target["box"]) > 0) for target in targets or ()])
        return {
            "box": (guesses[:, :4] - torch.stack(known)).square().mean(),
            "score": torch.nn.functional.binary_cross_entropy_with_logits(guesses[:, 4], seen),
        }

    def _objects(self, image: torch.Tensor, guess: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "box": 8 * guess[None, :4],
            "label": torch.zeros(1, dtype=torch.int64),
            "label_scores": guess[4:].sigmoid(),
            "mask": torch.ones((1, *image.shape[1:]), dtype=torch.uint8),
        }


class ToyObjects(torch.utils.data.Dataset):
    """Images of differing size with 0 to 2 squares; ``data`` holds the records, as MONAI's datasets have it."""

    def __init__(self, folder: Path, count: int = CASES) -> None:
        self.data = [{"image": str(folder / f"case_{index}.png")} for index in range(count)]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Any) -> dict[str, torch.Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        draw = torch.Generator().manual_seed(1000 * epoch + index)
        boxes = [[1.0, 2.0, 4.0, 6.0], [5.0, 1.0, 7.0, 3.0]][: index % 3]
        mask = torch.zeros(len(boxes), 8 + index, 8, dtype=torch.uint8)
        for place, box in zip(mask, boxes, strict=True):
            top, left, bottom, right = map(int, box)
            place[top:bottom, left:right] = 1
        image = mask.sum(0, keepdim=True) + 0.1 * torch.randn(1, *mask.shape[1:], generator=draw)
        return {
            "image": MetaTensor(image, affine=torch.eye(4), meta={"filename_or_obj": self.data[index]["image"]}),
            "box": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "label": torch.zeros(len(boxes), dtype=torch.int64),
            "mask": MetaTensor(mask, affine=torch.eye(4)),
            "crowd": torch.zeros(len(boxes), dtype=torch.bool),
        }


def loader(cases: ToyObjects, batch_size: int, **options: Any) -> DataLoader:
    return DataLoader(cases, batch_size=batch_size, collate_fn=no_collation, **options)


def detection_trainer(
    folder: Path, epochs: int = 1, batch_size: int = 2, network: torch.nn.Module | None = None, **options: Any
) -> DetectionTrainer:
    """A trainer with plain gradient descent."""
    network, cases = network or ToyDetector(), ToyObjects(folder)
    batches = loader(cases, batch_size, sampler=EpochSampler(len(cases)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    return DetectionTrainer(torch.device("cpu"), epochs, batches, network, optimizer, **{"amp": False, **options})


def weights(engine: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in engine.network.parameters()])
