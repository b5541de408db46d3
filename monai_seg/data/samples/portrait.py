"""A made-up face: the person, the canvas in the face's own coordinates, each feature. `faces` puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_seg.data.samples.fields import inside, paint, smooth_noise

SIZE = 256
HALF_HEIGHT, HALF_WIDTH = 0.46, 0.38  # of a face, as shares of the picture: those that RandFaceShadowd expects
PIXEL = 1 / (HALF_WIDTH * SIZE)  # in the face's own unit
BALD = -1.3  # a hairline behind the head

_SKIN = (
    (0.97, 0.85, 0.77),
    (0.92, 0.76, 0.65),
    (0.83, 0.65, 0.51),
    (0.69, 0.50, 0.36),
    (0.51, 0.35, 0.25),
    (0.35, 0.24, 0.18),
)
_HAIR = ((0.07, 0.06, 0.06), (0.16, 0.10, 0.08), (0.33, 0.21, 0.13), (0.50, 0.24, 0.12), (0.78, 0.62, 0.38))
_GREY = (0.62, 0.61, 0.60)
_IRIS = ((0.25, 0.15, 0.09), (0.36, 0.24, 0.13), (0.34, 0.36, 0.22), (0.38, 0.50, 0.60))


@dataclass(frozen=True)
class Person:
    """What stays the same between two pictures. Places and sizes are shares of the face's half width and height."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    jaw: float  # how much the face narrows towards the chin
    eye_place: tuple[float, float]
    eye_width: float
    brow_height: float
    brow_width: float
    nose: tuple[float, float]  # half width, lower end
    mouth: tuple[float, float]  # half width, height in the face
    lips: tuple[float, float]  # thickness of the upper and the lower one
    redness: float  # share of green and blue in the lips
    hair_line: float
    hair_length: float  # how far down it hangs; above the face's middle: short
    parting: float
    beard: float
    has_glasses: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, tone: float) -> Person:
        """Choose one.

        Args:
            rng: source of the randomness.
            tone: of the skin, 0 (light) to 1 (dark).
        """
        tone *= len(_SKIN) - 1
        skin = np.array([np.interp(tone, range(len(_SKIN)), channel) for channel in zip(*_SKIN, strict=True)])
        hairs = _HAIR if tone < 2 else _HAIR[:2]
        is_long, is_bearded = rng.random() < 0.5, rng.random() < 0.5
        return cls(
            skin=skin,
            hair=np.array(_GREY if rng.random() < 0.15 else hairs[rng.integers(len(hairs))]) * rng.uniform(0.85, 1.15),
            iris=np.array(_IRIS[rng.integers(len(_IRIS) if tone < 2 else 2)]),
            jaw=rng.uniform(0.14, 0.36),
            eye_place=(rng.uniform(0.37, 0.43), rng.uniform(-0.14, -0.06)),
            eye_width=rng.uniform(0.15, 0.19),
            brow_height=rng.uniform(0.13, 0.19),
            brow_width=rng.uniform(0.02, 0.045),
            nose=(rng.uniform(0.13, 0.2), rng.uniform(0.26, 0.34)),
            mouth=(rng.uniform(0.25, 0.33), rng.uniform(0.52, 0.6)),
            lips=(rng.uniform(0.035, 0.06), rng.uniform(0.06, 0.1)),
            redness=rng.uniform(0.58, 0.62) if is_long else rng.uniform(0.64, 0.76),
            hair_line=rng.uniform(-0.78, -0.58) if is_long or rng.random() < 0.8 else BALD,
            hair_length=rng.uniform(0.6, 1.3) if is_long else rng.uniform(-0.35, 0.0),
            parting=rng.uniform(-0.5, 0.5),
            beard=rng.uniform(0.25, 0.8) if is_bearded and not is_long else 0.0,
            has_glasses=bool(rng.random() < 0.2),
        )


@dataclass(frozen=True)
class Portrait:
    """The canvas of one picture, with the face's own coordinates: 1 is its half width or height."""

    rng: np.random.Generator
    canvas: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def noise(self, sigma: float | Sequence[float]) -> np.ndarray:
        return smooth_noise(self.rng, self.x.shape, sigma)

    def around(self, x: float, y: float, reach: float) -> Portrait:
        """A square part, which is faster to draw on; what is drawn there is drawn on the whole."""
        is_near = np.maximum(np.abs(self.x - x), np.abs(self.y - y)) < reach
        window = _bounds(is_near)
        return Portrait(self.rng, self.canvas[window], self.x[window], self.y[window])

    def fill(
        self, distance: np.ndarray, colour: Sequence[float] | np.ndarray, softness: float, share: float = 1
    ) -> None:
        """Paint where the distance (in the face's unit) is negative; the softness is in pixels."""
        self._lay(colour, share * inside(distance / PIXEL, softness))

    def shade(self, share: np.ndarray, factor: float | Sequence[float] | np.ndarray) -> None:
        """Multiply the colours, where the share is 1 with the whole factor."""
        self._lay(self.canvas * np.asarray(factor), share)

    def _lay(self, colour: Sequence[float] | np.ndarray, share: np.ndarray) -> None:
        """Paint, and leave out the rows and columns where nothing would be seen: features are small."""
        window = _bounds(share > 1e-3)
        colours = np.broadcast_to(np.asarray(colour), self.canvas.shape)[window]
        paint(self.canvas[window], colours, share[window][..., None])

    def ellipse(self, x: float, y: float, half_x: float, half_y: float) -> np.ndarray:
        """Distance to an ellipse, close enough near its edge."""
        return (np.hypot((self.x - x) / half_x, (self.y - y) / half_y) - 1) * min(half_x, half_y)

    def blot(self, x: float, y: float, half_x: float, half_y: float) -> np.ndarray:
        """1 in the middle, and falling off as a bell."""
        return np.exp(-(((self.x - x) / half_x) ** 2) - ((self.y - y) / half_y) ** 2)


def _bounds(is_part: np.ndarray) -> tuple[slice, slice]:
    """The smallest window that holds all of a part, empty where there is none."""
    rows, columns = (np.flatnonzero(is_part.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def draw_face(portrait: Portrait, person: Person, light: float) -> np.ndarray:
    """Skin with the round of the head; gives the distance to its outline."""
    below = np.clip(portrait.y, 0, None)
    width = 1.0 - person.jaw * below**1.6
    radius = np.hypot(portrait.x / width, portrait.y / 0.985)
    distance = radius - 1
    tint = 1 + 0.015 * portrait.noise(9)[..., None] + 0.018 * portrait.noise(1.2)[..., None]
    skin = person.skin * tint
    portrait.fill(distance, skin, 1.0)
    depth = np.sqrt(np.clip(1 - radius**2, 0.0, 1.0))
    # Even light from the front, a little from above and from one side; no part is hidden from it.
    lit = 0.72 + 0.3 * depth + 0.09 * light * portrait.x - 0.07 * portrait.y
    portrait.shade(inside(distance / PIXEL, 1.0), (lit[..., None]) ** (0.9, 1.0, 1.08))
    for side in (-1, 1):
        portrait.shade(0.5 * portrait.blot(side * 0.5, 0.28, 0.24, 0.18), (1.06, 0.92, 0.92))
        portrait.shade(portrait.blot(side * 0.39, person.eye_place[1] - 0.04, 0.24, 0.13), (0.86, 0.82, 0.82))
        portrait.shade(0.5 * portrait.blot(side * 0.36, person.eye_place[1] + 0.15, 0.17, 0.04), 0.85)
        fold = np.abs(portrait.x - side * (0.22 + 0.55 * (portrait.y - 0.3))) / 0.03
        portrait.shade(0.16 * np.exp(-(fold**2)) * portrait.blot(side * 0.3, 0.42, 0.2, 0.12), 0.6)
    portrait.shade(portrait.blot(0, 0.76, 0.2, 0.05), 0.9)
    portrait.shade(portrait.blot(0, 0.86, 0.18, 0.08), 1.04)
    return distance


def draw_eye(portrait: Portrait, person: Person, side: int, gaze: np.ndarray) -> None:
    """Lids, white, iris with a highlight, lashes, brow."""
    portrait = portrait.around(side * person.eye_place[0], person.eye_place[1], reach=0.36)
    x, y = side * portrait.x - person.eye_place[0], portrait.y - person.eye_place[1]
    inner = np.clip(1 - (x / person.eye_width) ** 2, -2, 1)
    above, under = -0.068 * inner - 0.02 * x / person.eye_width, 0.045 * inner - 0.02 * x / person.eye_width
    opening = np.maximum(above - y, y - under)
    portrait.fill(opening, np.array((0.93, 0.91, 0.89)) * (0.75 + 0.25 * inner.clip(0, 1))[..., None], 0.8)
    iris = np.hypot(x - side * gaze[0], 1.15 * (y - gaze[1] + 0.01))
    ring = person.iris * (0.75 + 0.5 * (iris / 0.075))[..., None]
    portrait.fill(np.maximum(opening, iris - 0.075), ring, 0.8)
    portrait.fill(np.maximum(opening, np.abs(iris - 0.075) - 0.006), person.iris * 0.45, 0.8)
    portrait.fill(np.maximum(opening, iris - 0.033), (0.04, 0.04, 0.04), 0.8)
    portrait.fill(np.hypot(portrait.x - side * person.eye_place[0] + 0.022, y + 0.035) - 0.013, (0.97, 0.97, 0.97), 0.7)
    lashes = np.where(np.abs(x) < person.eye_width * 1.03, np.abs(y - above) - 0.012, 1.0)
    portrait.fill(lashes, person.hair * 0.3 + person.skin * 0.1, 0.9)
    crease = np.where(np.abs(x) < person.eye_width, np.abs(y - above + 0.045) - 0.004, 1.0)
    portrait.fill(crease, person.skin * 0.62, 1.3, 0.6)
    arc = y + person.brow_height - 0.05 + 0.05 * np.cos(6 * (x - 0.04))
    taper = person.brow_width * np.clip(1 - ((x - 0.01) / 0.25) ** 2, 0, 1) ** 0.5
    brow = np.where(np.abs(x - 0.01) < 0.25, np.abs(arc) - taper, 1.0)
    portrait.fill(brow + 0.008 * portrait.noise((1.5, 0.8)), person.hair * 0.7, 1.6, 0.8)


def draw_nose(portrait: Portrait, person: Person, light: float) -> None:
    """Soft flanks, a bright ridge, wings and nostrils."""
    half, end = person.nose
    portrait = portrait.around(0.0, end - 0.2, reach=0.6)
    for side in (-1, 1):
        flank = portrait.blot(side * half * 0.72, end - 0.2, half * 0.35, 0.22)
        portrait.shade(flank * (0.75 - side * light * 0.4), 0.88)
        wing = np.abs(portrait.ellipse(side * half * 0.72, end - 0.035, half * 0.42, 0.062))
        outer = side * portrait.x > half * 0.7
        portrait.shade(np.exp(-((wing / 0.018) ** 2)) * outer, 0.82)
        nostril = portrait.ellipse(side * half * 0.42, end + 0.008, half * 0.26, 0.02)
        portrait.fill(nostril, person.skin * 0.32, 1.6, 0.85)
    portrait.shade(portrait.blot(0, end - 0.22, 0.05, 0.26), 1.07)
    portrait.shade(portrait.blot(0.01, end - 0.07, 0.06, 0.045), 1.09)
    portrait.shade(portrait.blot(0, end + 0.045, half * 0.8, 0.03), 0.84)


def draw_mouth(portrait: Portrait, person: Person, smile: float) -> None:
    """Lips with the line between them, and teeth in a broad smile."""
    half, height = person.mouth
    portrait = portrait.around(0.0, height, reach=0.5)
    half *= 1 + 0.12 * smile
    across = portrait.x / half
    y = portrait.y - height + 0.05 * smile * across**2
    arch = np.clip(1 - across**2, 0, 1)
    dip, peaks = np.exp(-((portrait.x / 0.05) ** 2)), np.exp(-((across / 0.35) ** 2))
    bow = person.lips[0] * arch * (1 - 0.35 * dip + 0.25 * peaks)
    gap = 0.05 * max(smile - 0.55, 0) * arch
    beyond = np.where(np.abs(across) < 1, 0.0, 1.0)
    red = person.skin * (0.9, person.redness, person.redness)
    portrait.fill(np.maximum(-bow - gap - y, y) + beyond, red * 0.88, 1.3)
    lower = person.lips[1] * arch**0.8
    portrait.fill(np.maximum(-y, y - lower - gap) + beyond, red, 1.3)
    portrait.shade(portrait.blot(0, height + gap.max() + 0.045, half * 0.4, 0.02), 1.1)
    portrait.fill(np.abs(y) - gap - 0.003 + beyond, (0.20, 0.09, 0.09) if smile < 0.6 else (0.93, 0.91, 0.87), 0.9)
    portrait.fill(np.abs(y + gap) - 0.004 + beyond, red * 0.35, 0.9)
    portrait.shade(portrait.blot(0, height + person.lips[1] + 0.07, half * 0.6, 0.03), 0.88)


def draw_hair(portrait: Portrait, person: Person, face: np.ndarray) -> None:
    """The beard, and the hair before the face: above the hairline and down to the temples."""
    x, y = portrait.x, portrait.y
    strands = portrait.noise((9, 0.8))
    if person.beard:
        half, height = person.mouth
        cheek = inside((0.42 + 0.2 * np.cos(2.2 * x) - y) / PIXEL, 8) * inside((face + 0.02) / PIXEL, 4)
        mouth = inside(portrait.ellipse(0, height + 0.02, half * 0.95, 0.11) / PIXEL, 4)
        grain = np.clip(0.8 + 0.3 * portrait.noise(0.8), 0, 1)
        paint(portrait.canvas, person.hair, (person.beard * cheek * (1 - mouth) * grain)[..., None])
    if person.hair_line == BALD:
        return
    swing = 0.1 * np.cos(3 * (x - person.parting)) - 0.75 * np.clip(np.abs(x) - 0.5, 0, None) ** 1.5
    line = person.hair_line + swing
    cap = np.hypot(x / 1.13, y / 1.12) - 1
    shell = np.maximum(np.minimum(y - line, 0.94 - np.hypot(x, y)), cap)  # above the line, and about the head
    front = np.maximum(shell, y - np.clip(person.hair_length, -0.3, 0.1)) + 0.012 * strands
    sheen = 1 + 0.22 * strands + 0.25 * np.exp(-(((np.hypot(x, y) - 0.92) / 0.12) ** 2)) - 0.2 * (cap > -0.06)
    portrait.fill(front, person.hair * sheen[..., None], 1.4)


def draw_glasses(portrait: Portrait, person: Person) -> None:
    x, y = np.abs(portrait.x) - person.eye_place[0], portrait.y - person.eye_place[1] - 0.02
    lens = (np.abs(x / 0.29) ** 4 + np.abs(y / 0.2) ** 4) ** 0.25 - 1
    portrait.shade(inside(lens * 0.2 / PIXEL, 1.0), 1.04)
    bridge = np.where(np.abs(portrait.x) < person.eye_place[0] - 0.28, np.abs(y + 0.06) - 0.012, 1.0)
    temple = np.where((x > 0.28) & (np.abs(portrait.x) < 1.0), np.abs(y + 0.07) - 0.014, 1.0)
    for part in (np.abs(lens) * 0.2 - 0.012, bridge, temple):
        portrait.fill(part, (0.13, 0.11, 0.11), 0.8)
