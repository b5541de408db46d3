"""Sample faces: portraits of made-up persons, as `images/` without masks.

The light is even: it shades the round of the head and casts no shadow. So shadows can be cast on them, as
`monai_seg.transforms.RandFaceShadowd` does, and their masks are exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monai_seg.data.samples.fields import case_rng, inside, png
from monai_seg.data.samples.portrait import (
    HALF_HEIGHT,
    HALF_WIDTH,
    PIXEL,
    SIZE,
    Person,
    Portrait,
    draw_eye,
    draw_face,
    draw_glasses,
    draw_hair,
    draw_mouth,
    draw_nose,
)

VERSION = 1
N_PERSONS = 20
N_PICTURES = 2  # of each person
N_IMAGES = N_PERSONS * N_PICTURES
N_FILES = N_IMAGES + 1

_CLOTH = ((0.17, 0.22, 0.33), (0.90, 0.90, 0.88), (0.25, 0.26, 0.27), (0.55, 0.18, 0.20), (0.24, 0.38, 0.30))

_README = """# Sample faces (synthetic)

{n_images} RGB portraits of {size} x {size} pixels (`images/`): {n_persons} persons with {n_pictures} pictures each;
`person_07_2.png` is the second picture of person 7.

**Nobody looks like this: no person was pictured.** monai-seg drew these files (`monai_seg.data.samples`, kind `faces`,
generator version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline works; they
say nothing about how well it works on photographs.

- No masks: the portraits have 0 cast shadows. Cast some on them to get images with masks.
- Look: skin, hair and eyes of many colours, some beards and glasses; the face fills the picture; plain background.
- Two pictures of a person differ in expression, pose, light, clothes and background. Keep them in one section:
  `group_by` is `person_(\\d+)`.
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
        person, picture = divmod(index, N_PICTURES)
        yield f"images/person_{person + 1:02d}_{picture + 1}.png", png(make_case(seed, index))
    text = _README.format(
        n_images=N_IMAGES, size=SIZE, n_persons=N_PERSONS, n_pictures=N_PICTURES, version=VERSION, seed=seed
    )
    yield "README.md", text.encode()


def make_case(seed: int, index: int) -> np.ndarray:
    """One portrait.

    Args:
        seed: seed of the data set.
        index: number of the picture; `N_PICTURES` in a row show the same person.

    Returns:
        Image, uint8, ``(SIZE, SIZE, 3)``.
    """
    person, rng = _person(seed, index // N_PICTURES), case_rng(seed, index)
    angle, scale = rng.normal(0, 0.04), rng.uniform(0.98, 1.02)
    row, col = (np.indices((SIZE, SIZE)) - (SIZE - 1) / 2) / (scale * SIZE)
    x = (col * np.cos(angle) + row * np.sin(angle)) / HALF_WIDTH + rng.normal(0, 0.015)
    y = (row * np.cos(angle) - col * np.sin(angle)) / HALF_HEIGHT + rng.normal(0, 0.01)
    portrait = Portrait(rng, np.empty((SIZE, SIZE, 3)), x, y)
    light = rng.uniform(-0.6, 0.6)
    _draw_behind(portrait, person)
    face = draw_face(portrait, person, light)
    gaze, smile = rng.normal(0, 0.012, 2), rng.uniform(-0.2, 1.0)
    for side in (-1, 1):
        draw_eye(portrait, person, side, gaze)
    draw_nose(portrait, person, light)
    draw_mouth(portrait, person, smile)
    draw_hair(portrait, person, face)
    if person.has_glasses:
        draw_glasses(portrait, person)
    return _expose(portrait)


def _person(seed: int, number: int) -> Person:
    rng = case_rng(seed, N_IMAGES + number)
    # The skins of all persons lie evenly between the lightest and the darkest one, in a mixed order.
    return Person.draw(rng, tone=(7 * number % N_PERSONS + rng.random()) / N_PERSONS)


def _draw_behind(portrait: Portrait, person: Person) -> None:
    """Plain background, long hair, neck, clothes with a collar, ears."""
    x, y, rng = np.abs(portrait.x), portrait.y, portrait.rng
    backdrop = rng.uniform(0.35, 0.85) + rng.normal(0, 0.05, 3)
    portrait.canvas[:] = backdrop * (1.0 + 0.04 * portrait.noise(60) - 0.06 * (x**2 + y**2))[..., None]
    if person.hair_length > 0.2:
        hang = np.maximum(np.hypot(x / 1.24, np.minimum(portrait.y, 0) / 1.16) - 1, y - person.hair_length)
        portrait.fill(hang + 0.03 * portrait.noise((12, 3)), person.hair * 0.7, 2.0)
        strands = portrait.noise((14, 0.9))
        portrait.shade(inside(hang / PIXEL, 2.0), (1 + 0.15 * strands)[..., None])
    portrait.fill(np.maximum(x - 0.6, 0.3 - y), person.skin * 0.72, 2.0)
    cloth = np.array(_CLOTH[rng.integers(len(_CLOTH))]) * rng.uniform(0.85, 1.1)
    shoulder = 0.93 - 0.18 * np.clip(x - 0.75, 0, 1) - y + 0.5 * np.clip(0.62 - x, 0, 1)
    weave = 1 + 0.03 * portrait.noise(1.0) + 0.05 * portrait.noise(10)
    portrait.fill(shoulder, cloth * weave[..., None], 1.2)
    collar = np.maximum(np.abs(y - 0.97 + 0.5 * (x - 0.55)) - 0.045, np.abs(x - 0.68) - 0.15)
    portrait.fill(np.maximum(collar, shoulder), cloth * 0.82, 1.2)
    if person.hair_length < 0.2:
        for side in (-1, 1):
            portrait.fill(portrait.ellipse(side * 1.0, 0.02, 0.12, 0.22), person.skin * 0.93, 1.2)
            portrait.fill(portrait.ellipse(side * 1.03, 0.02, 0.05, 0.13), person.skin * 0.75, 3.0)


def _expose(portrait: Portrait) -> np.ndarray:
    """What the camera makes of it: white balance, a little blur and noise, 8 bits."""
    from scipy import ndimage

    rng = portrait.rng
    tinted = portrait.canvas * rng.uniform(0.92, 1.05) * rng.uniform(0.97, 1.03, 3)
    seen = ndimage.gaussian_filter(tinted, (0.6, 0.6, 0)) + 0.008 * rng.standard_normal(tinted.shape)
    return np.rint(255 * seen.clip(0, 1)).astype(np.uint8)
