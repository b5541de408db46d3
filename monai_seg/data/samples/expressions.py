"""Sample expressions: made-up small grey faces of made-up people in five moods, as one folder for each class.

A face is drawn from the same few features whoever it is: brows, lids and mouth follow the mood, all else the person.
Classes are of unequal size, and the faces of a person are alike, as those of real collections are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monai_seg.data.samples.fields import case_rng, inside, paint, png, smooth_noise

VERSION = 1
SIZE = 64
N_PERSONS, FACES_OF_A_PERSON = 48, 5
N_IMAGES = N_PERSONS * FACES_OF_A_PERSON
N_FILES = N_IMAGES + 2

_README = """# Sample expressions (synthetic)

{n_images} grey faces of {size} x {size} pixels (`CLASS/PERSON_NUMBER.png`) of {n_persons} made-up people in five moods;
`identities.csv` tells the person of each.

**No person was ever seen.** monai-seg computed these files (`monai_seg.data.samples`, kind `expressions`, generator
version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline works; they say nothing
about how well it works on real faces.

- {counts}.
- The faces of a person are alike: split by person.
- Licence: CC0-1.0.
"""


@dataclass(frozen=True)
class _Mood:
    """How often a mood occurs, and how it moves a face; lengths are shares of the face's width."""

    share: float
    smile: float  # of the corners of the mouth, upwards
    gape: float  # height of the open mouth
    lids: float  # opening of the eyes, 1 = at rest
    brow: float  # height of the brows above their rest
    frown: float  # inner ends of the brows below the outer ones


MOODS = {
    "anger": _Mood(0.18, -0.05, 0.01, 0.75, -0.05, 0.09),
    "fear": _Mood(0.08, -0.03, 0.06, 1.45, 0.05, -0.07),
    "happiness": _Mood(0.40, 0.12, 0.03, 0.85, 0.01, 0.0),
    "sadness": _Mood(0.17, -0.10, 0.0, 0.7, 0.01, -0.08),
    "surprise": _Mood(0.17, 0.0, 0.13, 1.5, 0.08, 0.0),
}


def generate(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the data set, one after the other.

    Args:
        seed: seed of the data set.

    Returns:
        Path within the data set (with ``/``) and content of each file.
    """
    lines, counts = ["file,identity"], dict.fromkeys(MOODS, 0)
    for index in range(N_IMAGES):
        (person, number), mood = divmod(index, FACES_OF_A_PERSON), mood_of(seed, index)
        name = f"{mood}/{person:02d}_{number}.png"
        counts[mood] += 1
        lines.append(f"{name},person_{person:02d}")
        yield name, png(make_case(seed, index))
    yield "identities.csv", ("\n".join(lines) + "\n").encode()
    facts = {"n_images": N_IMAGES, "n_persons": N_PERSONS, "size": SIZE, "version": VERSION, "seed": seed}
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    yield "README.md", _README.format(**facts, counts=told).encode()


def mood_of(seed: int, index: int) -> str:
    """Mood of a case: a place of a shuffled list, so that the classes have their shares whatever the seed."""
    places = np.searchsorted(np.cumsum([mood.share for mood in MOODS.values()]), (np.arange(N_IMAGES) + 0.5) / N_IMAGES)
    return list(MOODS)[int(np.random.default_rng(seed).permutation(places)[index])]


def make_case(seed: int, index: int) -> np.ndarray:
    """One face.

    Args:
        seed: seed of the data set.
        index: number of the case, from 0: those of a person follow each other.

    Returns:
        Image ``(SIZE, SIZE)``, uint8.
    """
    return draw_face(seed, *divmod(index, FACES_OF_A_PERSON), mood_of(seed, index))


def draw_face(seed: int, person: int, number: int, mood: str) -> np.ndarray:
    """A face of a person in a mood.

    Args:
        seed: seed of the data set.
        person: number of the person, from 0, who decides on shape, skin and light.
        number: of the face of this person, from 0: turn, shift and strength of the mood.
        mood: one of `MOODS`.

    Returns:
        Image ``(SIZE, SIZE)``, uint8.
    """
    own, here = case_rng(seed, person), case_rng(seed, 1000 * (number + 1) + person)
    width, height = own.uniform(0.34, 0.42), own.uniform(0.44, 0.5)
    skin, shade = own.uniform(0.5, 0.85), own.uniform(0.05, 0.3)
    hair, eyes, thick = own.uniform(0.05, 0.45), own.uniform(0.17, 0.21), own.uniform(0.012, 0.02)
    x, y = _turned(here)
    canvas = np.full((SIZE, SIZE), own.uniform(0.1, 0.9)) + 0.05 * smooth_noise(here, (SIZE, SIZE), 6)
    paint(canvas, hair, inside(SIZE * 0.4 * (np.hypot(x / (width + 0.05), (y + 0.08) / (height + 0.03)) - 1), 1.5))
    face = SIZE * 0.4 * (np.hypot(x / width, (y - 0.03) / height) - 1)
    paint(canvas, skin * (1 + 0.25 * np.sign(own.uniform(-1, 1)) * x) + 0.08 * smooth_noise(own, (SIZE, SIZE), 2),
          inside(face, 1.2))  # fmt: skip
    _features(canvas, (x, y), MOODS[mood], here.uniform(0.55, 1.15), here, (skin - shade, eyes, thick))
    # Without grain, two faces would be near copies to who looks for such.
    noise = 0.025 * here.standard_normal(canvas.shape) + 0.06 * smooth_noise(here, canvas.shape, 1.2)
    return np.rint(255 * np.clip(canvas * here.uniform(0.8, 1.15) + noise, 0, 1)).astype(np.uint8)


def _turned(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the face, columns and rows in shares of the image, of a head a little aslant."""
    row, column = (np.indices((SIZE, SIZE)) + 0.5) / SIZE - 0.5
    turn, scale = rng.normal(0, 0.08), rng.uniform(0.94, 1.08)
    x, y = column - rng.normal(0, 0.02), row - rng.normal(0, 0.02)
    return (x * np.cos(turn) + y * np.sin(turn)) * scale, (y * np.cos(turn) - x * np.sin(turn)) * scale


def _features(
    canvas: np.ndarray,
    place: tuple[np.ndarray, np.ndarray],
    mood: _Mood,
    strength: float,
    rng: np.random.Generator,
    person: tuple[float, float, float],
) -> None:
    """Paint brows, eyes, nose and mouth in a mood."""
    (x, y), (dark, eyes, thick) = place, person
    lips, across = 0.5 * dark, rng.uniform(0.13, 0.16)
    opening = 1 + (mood.lids - 1) * strength
    for side in (-1, 1):
        away = side * x - eyes  # outwards from the middle of the eye
        paint(canvas, 0.9, inside(SIZE * 0.05 * (np.hypot(away / 0.065, (y + 0.08) / (0.028 * opening)) - 1), 0.5))
        paint(canvas, 0.1, inside(SIZE * 0.04 * (np.hypot(away / 0.026, (y + 0.08) / (0.026 * opening)) - 1), 0.5))
        line = y + 0.17 + strength * (mood.brow + mood.frown * away / 0.08)
        paint(canvas, 0.6 * dark, inside(SIZE * np.maximum(np.abs(line) - thick, np.abs(away) - 0.085), 0.6))
    paint(canvas, dark, 0.6 * inside(SIZE * np.maximum(np.abs(y - 0.09) - 0.012, np.abs(x) - 0.05), 1.0))
    bend = y - 0.24 + strength * mood.smile * ((x / across) ** 2 - 0.5)
    half = thick + strength * mood.gape * np.sqrt(np.clip(1 - (x / across) ** 2, 0, 1)) / 2
    paint(canvas, lips, inside(SIZE * np.maximum(np.abs(bend) - half - 0.008, np.abs(x) - across), 0.7))
    paint(canvas, 0.12, inside(SIZE * np.maximum(np.abs(bend) - half + 0.012, np.abs(x) - across + 0.02), 0.7))
