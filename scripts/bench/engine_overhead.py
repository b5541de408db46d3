"""What a training step costs in our Trainer and in MONAI's, over a bare PyTorch loop on the same network and data.

Run: python scripts/bench/engine_overhead.py [--rounds 7]. Prints medians of rounds that alternate between the three,
and their ratios; the machine's other work then falls on all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet

from monai_seg.engines import Trainer

STEPS = 4


def parts(features: tuple[int, ...]) -> tuple[torch.nn.Module, torch.optim.Optimizer, DiceCELoss]:
    torch.manual_seed(0)
    network = BasicUNet(spatial_dims=3, in_channels=1, out_channels=3, features=features)
    return network, torch.optim.AdamW(network.parameters(), 1e-3), DiceCELoss(to_onehot_y=True, softmax=True)


def loader() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    samples = [
        {
            "image": torch.randn(1, 40, 56, 40, generator=generator),
            "label": torch.randint(0, 3, (1, 40, 56, 40), generator=generator),
        }
        for _ in range(2 * STEPS)
    ]
    return DataLoader(Dataset(samples), batch_size=2)


def bare(features: tuple[int, ...]) -> Callable[[], None]:
    network, optimizer, loss_function = parts(features)
    data = loader()

    def epoch() -> None:
        network.train()
        for batch in data:
            optimizer.zero_grad(set_to_none=True)
            loss_function(network(batch["image"]), batch["label"]).backward()
            optimizer.step()

    return epoch


def engine(kind: type, features: tuple[int, ...]) -> Callable[[], None]:
    network, optimizer, loss_function = parts(features)
    data = loader()

    def epoch() -> None:
        kind(
            device=torch.device("cpu"),
            max_epochs=1,
            train_data_loader=data,
            network=network,
            optimizer=optimizer,
            loss_function=loss_function,
            amp=False,
        ).run()

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for features in ((4, 4, 8, 8, 8, 4), (16, 16, 32, 64, 128, 16)):
        epochs = {
            "bare PyTorch loop": bare(features),
            "monai_seg Trainer": engine(Trainer, features),
            "MONAI SupervisedTrainer": engine(SupervisedTrainer, features),
        }
        times: dict[str, list[float]] = {name: [] for name in epochs}
        for _ in range(rounds + 1):  # the first round warms up
            for name, epoch in epochs.items():
                began = time.perf_counter()
                epoch()
                times[name].append((time.perf_counter() - began) / STEPS)
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        base = medians["bare PyTorch loop"]
        print(f"BasicUNet 3D {features}, batch 2 x 40 x 56 x 40")  # noqa: T201
        for name, value in medians.items():
            print(f"  {name:<24} {value * 1000:7.1f} ms per step   x{value / base:.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
