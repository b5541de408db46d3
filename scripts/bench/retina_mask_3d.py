"""RetinaMask in volumes: what it learns of the sample nodules in four minutes of a processor.

Run: python scripts/bench/retina_mask_3d.py [--seconds 240] [--threads 1] [--data-seed 7]. Trains on volumes of one seed
of the sample data, and is judged on those of another one that nothing was chosen by: average precision of masks and
boxes over overlaps of 0.1 to 0.5, as usual for lesions. The budget is processor time of training, data included.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose, LoadImaged, RandFlipd, RandRotate90d, RandScaleIntensityd, ScaleIntensityRanged

from monai_seg.data import sample_data
from monai_seg.data.layouts import read_listing
from monai_seg.engines.precision import autocast_dtype
from monai_seg.metrics.detection import average_precision, image_objects, match_objects
from monai_seg.networks import RetinaMask
from monai_seg.transforms import InstanceAwared, LoadInstancesd

THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5]
LEARNING_RATE, BATCH_SIZE = 2e-3, 4


def network_3d(seed: int) -> RetinaMask:
    torch.manual_seed(seed)
    return RetinaMask(
        spatial_dims=3,
        fpn_channels=32,
        anchor_sizes=(8, 13),
        anchor_ratios=(1.0,),
        masks_per_batch=16,
        detections_per_image=20,
        nms_thresh=0.2,
    )


def samples(seed: int, kind: str = "nodules") -> list[dict]:
    """Loaded volumes with their objects."""
    records = read_listing(Path(sample_data(kind, seed=seed))).sections["unsplit"]
    loading = Compose(
        [
            LoadImaged(["image", "label"], ensure_channel_first=True),
            LoadInstancesd(class_names=["nodule"]),
            ScaleIntensityRanged("image", -1000, 200, 0, 1),
        ]
    )
    return [loading(record) for record in records]


def trained(data: list[dict], seconds: float, seed: int) -> tuple[RetinaMask, int]:
    """A network after so many seconds of processor time, and the number of its steps."""
    turned = InstanceAwared(
        Compose(
            [RandFlipd(["image", "mask"], 0.5, axis) for axis in range(3)] + [RandRotate90d(["image", "mask"], 0.5)]
        )
    ).set_random_state(seed)
    brightness = RandScaleIntensityd("image", 0.2, 0.5).set_random_state(seed)
    network = network_3d(seed).train()
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-2)
    dtype = autocast_dtype("auto", torch.device("cpu"))
    draw = np.random.default_rng(seed)
    begun, step, told = time.process_time(), 0, 0.0
    while (spent := (time.process_time() - begun) / seconds) < 1:
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min((step + 1) / 20, 0.5 + 0.5 * np.cos(np.pi * spent))
        batch = [brightness(turned(data[i])) for i in draw.choice(len(data), BATCH_SIZE, replace=False)]
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            losses = network([each["image"].as_tensor() for each in batch], batch)
        optimizer.zero_grad()
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        step += 1
        if spent - told > 0.1:
            told = spent
            sys.stderr.write(f"step {step}, {100 * spent:.0f}% of the time, loss {float(loss.detach()):.3f}\n")
    return network.eval(), step


def judged(network: RetinaMask, data: list[dict]) -> dict[str, float]:
    images = []
    with torch.inference_mode():
        for number, sample in enumerate(data):
            images.append(image_objects(f"{number:03d}", network(sample["image"].as_tensor()[None])[0], sample))
    return {
        kind: float(average_precision(match_objects(images, 0, kind, THRESHOLDS)).mean()) for kind in ("mask", "box")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the network and of the training volumes")
    parser.add_argument("--data-seed", type=int, default=7, help="of the volumes that judge")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network, steps = trained(samples(arguments.seed), arguments.seconds, arguments.seed)
    begun = time.process_time()
    data = samples(arguments.data_seed)
    found = judged(network, data)
    sys.stdout.write(
        f"{steps} steps in {arguments.seconds:.0f} s of processor time, "
        f"{sum(weight.numel() for weight in network.parameters()):,} parameters\n"
        f"{len(data)} other volumes with {sum(len(each['label']) for each in data)} nodules: "
        f"mask mAP@0.1:0.5 {found['mask']:.3f}, box mAP@0.1:0.5 {found['box']:.3f}, "
        f"{(time.process_time() - begun) / len(data):.2f} s per volume\n"
    )


if __name__ == "__main__":
    main()
