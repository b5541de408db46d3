"""What the generators draw with: smooth noise, soft edges, one stream of random numbers per case, files."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence

import numpy as np


def case_rng(seed: int, index: int) -> np.random.Generator:
    """Random numbers of one case, which depend neither on the other cases nor on the order of their making.

    Args:
        seed: seed of the data set.
        index: number of the case.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, index]))


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], sigma: float | Sequence[float] | np.ndarray
) -> np.ndarray:
    """Gaussian random field with mean 0 and standard deviation 1, smoothed by Fourier transform (hence periodic).

    Args:
        rng: source of the randomness.
        shape: size of the field.
        sigma: standard deviation of the smoothing kernel in elements, one for all axes or one for each.
    """
    sigmas = np.broadcast_to(sigma, len(shape))
    waves = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    exponent = sum((step * wave) ** 2 for step, wave in zip(sigmas, np.ix_(*waves), strict=True))
    kernel = np.exp(-2 * np.pi**2 * exponent)
    spectrum = np.fft.rfftn(rng.standard_normal(tuple(shape))) * kernel
    field = np.fft.irfftn(spectrum, s=tuple(shape), axes=range(len(shape)))
    return (field - field.mean()) / field.std()


def inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """Share of an element that lies inside of a shape: 1 deep inside, 0 far outside, 0.5 on the edge.

    Args:
        distance: signed distance to the edge, negative inside.
        softness: width of the transition, in the unit of the distance.
    """
    return 0.5 - 0.5 * np.tanh(distance / softness)


def paint(canvas: np.ndarray, value: float | Sequence[float] | np.ndarray, share: np.ndarray) -> None:
    """Lay a value over the canvas, in place.

    Args:
        canvas: intensities so far.
        value: intensity of the shape, or its colour.
        share: how much of each element the shape covers, 0 to 1.
    """
    canvas += (value - canvas) * share


def png(array: np.ndarray) -> bytes:
    """Content of a PNG file.

    Args:
        array: grey, RGB or RGBA picture, uint8, ``(H, W)`` or ``(H, W, C)``.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def nifti(array: np.ndarray, affine: np.ndarray) -> bytes:
    """Content of a compressed NIfTI file, in which sform and qform agree.

    Args:
        array: voxels, in the type in which they are written.
        affine: from voxels to millimetres.
    """
    import nibabel

    image = nibabel.Nifti1Image(array, affine)
    image.set_qform(affine, code=1)
    # A qform near half a turn (LPS) keeps about 1e-3 of precision; the sform follows it, so that all readers agree.
    image.set_sform(image.get_qform(), code=1)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"synthetic, monai-seg sample volumes"
    buffer = io.BytesIO()
    # Without a time and a name, the same voxels give the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(image.to_bytes())
    return buffer.getvalue()
