"""Sample aerial pictures: tiles of a made-up town from above, as `images/` and `masks/`.

Roofs are red, grey, brown and white; roads, yards and cars have the same colours, and shadows are as dark as dark
roofs. So no colour finds the buildings: their outlines and shadows do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monai_seg.data.samples.aerial_town import PAVEMENT, ROAD, WIDE, Box, Town, build_town, draw_box
from monai_seg.data.samples.fields import case_rng, inside, paint, png, smooth_noise

VERSION = 1
N_IMAGES = 10
N_FILES = 2 * N_IMAGES + 1
SIZE = 256
OTHER, BUILDING = 0, 1

_MARGIN = (WIDE - SIZE) // 2
_LAWN, _YARD, _ASPHALT, _KERB = (0.33, 0.40, 0.25), (0.60, 0.57, 0.53), (0.42, 0.42, 0.44), (0.66, 0.64, 0.61)
_CARS = ((0.9, 0.9, 0.9), (0.7, 0.7, 0.72), (0.15, 0.15, 0.17), (0.65, 0.15, 0.13), (0.2, 0.3, 0.55))

_README = """# Sample aerial pictures (synthetic)

{n_images} RGBA tiles of {size} x {size} pixels (`images/`, alpha is 255) with masks of the same name (`masks/`).

**No such town exists, and no camera flew over it.** monai-seg computed these files (`monai_seg.data.samples`, kind
`aerial`, generator version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline
works; they say nothing about how well it works on real pictures.

- Masks: 0 other, 1 building. They look black in a viewer.
- Look: pitched and flat roofs of several colours along the roads of a town, some of them L-shaped, with shadows; lawns,
  trees, paved yards and cars.
- Licence: CC0-1.0.
"""


def generate(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the data set, one after the other.

    Args:
        seed: seed of the data set.

    Returns:
        Path within the data set (with ``/``) and content of each file.
    """
    for index in range(N_IMAGES):
        image, mask = make_case(seed, index)
        yield f"images/tile_{index:02d}.png", png(image)
        yield f"masks/tile_{index:02d}.png", png(mask)
    yield "README.md", _README.format(n_images=N_IMAGES, size=SIZE, version=VERSION, seed=seed).encode()


def make_case(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """One tile with its mask.

    Args:
        seed: seed of the data set.
        index: number of the case.

    Returns:
        Image, uint8, ``(SIZE, SIZE, 4)``, and mask, uint8, ``(SIZE, SIZE)``, of `OTHER` and `BUILDING`.
    """
    rng = case_rng(seed, index)
    town = build_town(rng)
    canvas = _ground(rng, town)
    _draw_cars(rng, canvas, town)
    _cast_shadows(canvas, town)
    _draw_roofs(rng, canvas, town)
    _draw_trees(rng, canvas, town)
    frame = slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN)
    mask = np.where(town.edge < 0, BUILDING, OTHER).astype(np.uint8)
    return _expose(rng, canvas)[frame], mask[frame]


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    return smooth_noise(rng, (WIDE, WIDE), sigma)[..., None]


def _ground(rng: np.random.Generator, town: Town) -> np.ndarray:
    """Lawns, yards, and the roads with pavement and dashes."""
    canvas = np.array(_LAWN) + 0.035 * _noise(rng, 1.2) + 0.03 * _noise(rng, 9) * (1.0, 0.5, 0.6)
    bare = inside(1.1 - _noise(rng, 14), 0.2)
    paint(canvas, np.array((0.55, 0.49, 0.38)) + 0.02 * _noise(rng, 1.5), bare)
    yard = np.array(_YARD) + rng.normal(0, 0.05) + 0.03 * _noise(rng, 6) + 0.015 * _noise(rng, 0.8)
    paint(canvas, yard, town.is_yard[..., None].astype(float))
    paint(canvas, np.array(_KERB) + 0.015 * _noise(rng, 1), inside(town.road - PAVEMENT, 0.6)[..., None])
    asphalt = np.array(_ASPHALT) + rng.normal(0, 0.03) + 0.02 * _noise(rng, 5) + 0.012 * _noise(rng, 0.8)
    paint(canvas, asphalt, inside(town.road - ROAD, 0.6)[..., None])
    dashes = inside(town.road - 0.5, 0.4) * (np.sin((town.along + town.across) / 2.5) > 0)
    paint(canvas, (0.85, 0.85, 0.82), 0.7 * dashes[..., None])
    return canvas


def _draw_cars(rng: np.random.Generator, canvas: np.ndarray, town: Town) -> None:
    """Parked at the kerb, and in the yards beside the buildings."""
    in_yard = town.is_yard & (town.road > PAVEMENT + 4)
    for border, gap, free, count in ((town.road, ROAD - 3.0, True, 26), (town.edge, 5.5, in_yard, 12)):
        places = np.argwhere(free & (np.abs(border - gap) < 0.5))
        # A car stands along what it is beside: the distance to that changes across, not along.
        change = np.abs(np.einsum("a,aij->ij", town.axes[0], np.stack(np.gradient(np.minimum(border, SIZE)))))
        for row, col in places[rng.integers(len(places), size=count)] if len(places) else ():
            half = np.array((2.1, 4.6) if change[row, col] > 0.7 else (4.6, 2.1))
            middle = np.array([town.along[row, col], town.across[row, col]])
            draw_box(canvas, town, Box(*middle, *(half + 0.9)), (0.2, 0.2, 0.22))
            draw_box(canvas, town, Box(*middle, *half), _CARS[rng.integers(len(_CARS))])
            window = np.where(half > 3, 0.35 * half, 0.0), np.where(half > 3, 0.2, 0.75) * half
            draw_box(canvas, town, Box(*(middle + window[0]), *window[1]), (0.22, 0.24, 0.28))


def _cast_shadows(canvas: np.ndarray, town: Town) -> None:
    """Walls keep the sun from the ground behind them."""
    from scipy import ndimage

    dark = np.zeros((WIDE, WIDE))
    for step in range(1, int(town.eaves.max()) + 1):
        moved = np.roll(town.eaves, np.rint(step * town.shadow).astype(int), axis=(0, 1))
        dark[moved >= step] = 1.0
    paint(canvas, canvas * (0.36, 0.40, 0.50), ndimage.gaussian_filter(dark, 0.8)[..., None])


def _draw_roofs(rng: np.random.Generator, canvas: np.ndarray, town: Town) -> None:
    """Slopes towards the sun are bright, the others dark; weather has left its marks."""
    slope = np.stack(np.gradient(town.roof)).clip(-1, 1)
    light = 1.0 + 0.32 * np.einsum("a,aij->ij", town.shadow, slope)
    weather = 1.0 + 0.05 * _noise(rng, 6) + 0.035 * _noise(rng, 1.0)
    paint(canvas, town.colour * light[..., None] * weather, inside(town.edge, 0.6)[..., None])


def _draw_trees(rng: np.random.Generator, canvas: np.ndarray, town: Town) -> None:
    """Round crowns in groups, never over a roof: the mask would not know whose pixels they are."""
    row, col = np.indices((WIDE, WIDE))
    room = np.minimum(town.edge, town.road - ROAD + 4)
    groves = np.exp(1.2 * smooth_noise(rng, (WIDE, WIDE), 16)) * (room > 4) * np.where(town.is_yard, 0.15, 1.0)
    leaves = _noise(rng, 1.3)
    chosen = rng.choice(groves.size, rng.integers(70, 130), p=groves.ravel() / groves.sum())
    for y, x in zip(*np.unravel_index(chosen, groves.shape), strict=True):
        radius = min(rng.uniform(3.5, 9.5), town.edge[y, x] - 1)
        box = slice(max(y - 24, 0), y + 25), slice(max(x - 24, 0), x + 25)
        down, right = row[box] - y, col[box] - x
        ragged = 0.8 * leaves[box][..., 0]
        fallen = np.hypot(down - radius * town.shadow[0], right - radius * town.shadow[1]) - radius
        on_ground = inside(fallen + ragged, 1.0) * (town.edge[box] > 0)
        paint(canvas[box], canvas[box] * (0.42, 0.46, 0.55), on_ground[..., None])
        sunny = -(down * town.shadow[0] + right * town.shadow[1]) / radius
        green = np.array((0.22, 0.33, 0.16)) * rng.uniform(0.75, 1.2) + rng.normal(0, 0.015, 3)
        crown = green * (1.0 + 0.35 * sunny + 0.18 * leaves[box][..., 0])[..., None]
        share = inside(np.hypot(down, right) - radius + ragged, 0.9) * (town.edge[box] > 0)
        paint(canvas[box], crown, share[..., None])


def _expose(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """What the camera makes of the town: tint, haze, blur, noise, 8 bits, and an alpha channel that says nothing."""
    from scipy import ndimage

    tinted = canvas * rng.uniform(0.92, 1.08) * rng.uniform(0.96, 1.04, 3) + rng.uniform(0.0, 0.03)
    blurred = ndimage.gaussian_filter(tinted, (0.6, 0.6, 0.0)) + 0.012 * rng.standard_normal(canvas.shape)
    colour = np.rint(255 * blurred.clip(0.0, 1.0)).astype(np.uint8)
    return np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=2)
