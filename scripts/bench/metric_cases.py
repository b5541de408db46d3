"""What `metrics.py` scores: label maps made up from a seed, or hippocampi of the Medical Segmentation Decathlon."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

HIPPOCAMPUS_SIZE = 64


@dataclass(frozen=True)
class Case:
    """A batch of predictions and references, and how to score it.

    Attributes:
        title: what it is, for the table.
        prediction, reference: label maps ``(B, 1, H, W[, D])``, uint8, 0 is background; no class is empty.
        num_classes: number of classes with background.
        spacing_mm: size of a voxel along each axis; 1 stands for a pixel.
        tolerance_mm: tolerance of the surface Dice, the same for all classes.
    """

    title: str
    prediction: torch.Tensor
    reference: torch.Tensor
    num_classes: int
    spacing_mm: tuple[float, ...]
    tolerance_mm: float


def smooth_noise(shape: tuple[int, ...], step: int, generator: torch.Generator) -> torch.Tensor:
    """Normal noise that changes over about ``step`` voxels."""
    coarse = torch.randn(1, 1, *(max(2, length // step + 1) for length in shape), generator=generator)
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    return torch.nn.functional.interpolate(coarse, size=shape, mode=mode, align_corners=True)[0, 0]


def uniform(low: float, high: float, count: int, generator: torch.Generator) -> list[float]:
    return (low + (high - low) * torch.rand(count, generator=generator)).tolist()


def blob(noise: torch.Tensor, centre: list[float], radii: list[float]) -> torch.Tensor:
    """An ellipsoid (ellipse) with an uneven surface, all lengths in voxels: ``noise.shape``, bool."""
    squares = torch.zeros(())
    for axis, (length, middle, radius) in enumerate(zip(noise.shape, centre, radii, strict=True)):
        square = ((torch.arange(length) - middle) / radius).square()
        squares = squares + square.view([-1 if each == axis else 1 for each in range(noise.ndim)])
    return squares < 1 + 0.3 * noise


def warped(labels: torch.Tensor, shift: float, step: int, generator: torch.Generator) -> torch.Tensor:
    """Label maps ``(B, 1, ...)`` after smooth displacements of about ``shift`` voxels along each axis."""
    shape = tuple(labels.shape[2:])
    found = []
    for each in labels[:, 0]:
        places = []
        for axis, length in enumerate(shape):
            moved = smooth_noise(shape, step, generator).mul_(shift)
            moved += torch.arange(length).view([-1 if other == axis else 1 for other in range(len(shape))])
            places.append(moved.round_().clamp_(0, length - 1).long())
        found.append(each[tuple(places)])
    return torch.stack(found)[:, None]


def pictures(generator: torch.Generator) -> torch.Tensor:
    """Three blobs in each of eight pictures of 512 x 512 pixels."""
    labels = torch.zeros(8, 1, 512, 512, dtype=torch.uint8)
    for picture in labels[:, 0]:
        for _ in range(3):
            noise = smooth_noise((512, 512), 32, generator)
            picture[blob(noise, uniform(110, 400, 2, generator), uniform(30, 100, 2, generator))] = 1
    return labels


def good_pictures(generator: torch.Generator, folder: Path | None) -> Case:
    reference = pictures(generator)
    prediction = warped(reference, 6, 32, generator)
    return Case("2D 8x1x512x512, good, 7 px", prediction, reference, 2, (1.0, 1.0), 7.0)


def bad_pictures(generator: torch.Generator, folder: Path | None) -> Case:
    reference = pictures(generator)
    prediction = warped(reference.roll((40, -40), (2, 3)), 25, 64, generator)
    return Case("2D 8x1x512x512, bad, 7 px", prediction, reference, 2, (1.0, 1.0), 7.0)


def noisy_pictures(generator: torch.Generator, folder: Path | None) -> Case:
    reference = pictures(generator)
    prediction = warped(reference, 6, 32, generator)
    prediction ^= (torch.rand(prediction.shape, generator=generator) < 0.05).to(torch.uint8)
    return Case("2D 8x1x512x512, salt and pepper, 7 px", prediction, reference, 2, (1.0, 1.0), 7.0)


def made_up_hippocampi(batch: int, generator: torch.Generator) -> torch.Tensor:
    shape = (HIPPOCAMPUS_SIZE,) * 3
    labels = torch.zeros(batch, 1, *shape, dtype=torch.uint8)
    anterior = torch.arange(HIPPOCAMPUS_SIZE)[:, None] >= HIPPOCAMPUS_SIZE // 2 + 2
    for volume in labels[:, 0]:
        radii = [extent * factor for extent, factor in zip((9, 17, 7), uniform(0.8, 1.2, 3, generator), strict=True)]
        whole = blob(smooth_noise(shape, 8, generator), uniform(29, 35, 3, generator), radii)
        volume[whole] = 2
        volume[whole & anterior] = 1
    return labels


def hippocampi_of(folder: Path, batch: int) -> torch.Tensor:
    """The first label maps of a folder in the layout of the Decathlon, in the middle of 64 x 64 x 64 voxels."""
    import nibabel

    files = sorted(folder.glob("labelsTr/[!.]*.nii.gz"))[:batch]
    if len(files) < batch:
        raise SystemExit(f"{folder} holds {len(files)} of {batch} files labelsTr/*.nii.gz; give the dataset's folder")
    labels = torch.zeros(batch, 1, *(HIPPOCAMPUS_SIZE,) * 3, dtype=torch.uint8)
    for volume, file in zip(labels[:, 0], files, strict=True):
        found = torch.as_tensor(nibabel.load(file).get_fdata()).to(torch.uint8)
        starts = [(HIPPOCAMPUS_SIZE - length) // 2 for length in found.shape]
        if min(starts) < 0:
            raise SystemExit(f"{file} has {tuple(found.shape)} voxels, more than {HIPPOCAMPUS_SIZE} along an axis")
        volume[tuple(slice(start, start + n) for start, n in zip(starts, found.shape, strict=True))] = found
    return labels


def hippocampi(batch: int) -> Callable[[torch.Generator, Path | None], Case]:
    def make(generator: torch.Generator, folder: Path | None) -> Case:
        reference = hippocampi_of(folder, batch) if folder else made_up_hippocampi(batch, generator)
        source = "hippocampi" if folder else "made-up hippocampi"
        prediction = warped(reference, 2, 8, generator)
        return Case(f"3D {batch}x3x64x64x64, {source}, 2 mm", prediction, reference, 3, (1.0, 1.0, 1.0), 2.0)

    return make


def organs(generator: torch.Generator, folder: Path | None) -> Case:
    """Fourteen blobs with mean radii from 80 mm down to 5 mm, the small ones over the large ones."""
    shape, spacing_mm, count = (256, 256, 128), (1.5, 1.5, 2.0), 14
    reference = torch.zeros(1, 1, *shape, dtype=torch.uint8)
    noise = smooth_noise(shape, 16, generator)
    for label in range(1, count + 1):
        mean_mm = 80 * (5 / 80) ** ((label - 1) / (count - 1))
        radii_mm = [mean_mm * factor for factor in uniform(0.7, 1.3, 3, generator)]
        centre = [length * share for length, share in zip(shape, uniform(0.2, 0.8, 3, generator), strict=True)]
        radii = [radius / size for radius, size in zip(radii_mm, spacing_mm, strict=True)]
        reference[0, 0][blob(noise, centre, radii)] = label
    prediction = warped(reference, 2, 16, generator)
    title = f"3D 1x{count + 1}x256x256x128, organs, 1.5 x 1.5 x 2 mm, 3 mm"
    return Case(title, prediction, reference, count + 1, spacing_mm, 3.0)


MAKERS: dict[str, Callable[[torch.Generator, Path | None], Case]] = {
    "2d-good": good_pictures,
    "2d-bad": bad_pictures,
    "2d-noise": noisy_pictures,
    "hippocampus-1": hippocampi(1),
    "hippocampus-8": hippocampi(8),
    "organs": organs,
}


def make_case(name: str, seed: int = 0, hippocampus: Path | None = None) -> Case:
    """One of `MAKERS`; the same for the same seed, whichever others are made."""
    generator = torch.Generator().manual_seed(seed + zlib.crc32(name.encode()))
    return MAKERS[name](generator, hippocampus)
