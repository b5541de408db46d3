"""The error map as a picture to look at: small, with a legend, over the image where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_seg.review.block_counts import FN, FP, STATES, TN, TP, BlockCounts, BlockSums
from monai_seg.review.error_map import COLOURS, NAMES

LONGEST_SIDE = 2000
_SHORTEST_SIDE = 600  # smaller scenes are drawn with larger pixels
_DARK, _LIGHT = (24, 24, 24), (235, 235, 235)


class ErrorPicture:
    """Collects the rows of a scene, and draws them.

    A pixel of the picture stands for a square of the scene. It shows an error as soon as one of its pixels is one (the
    more frequent kind; missed where both are equal), otherwise a hit as soon as there is one: no error is hidden, but
    single ones look larger than they are. The legend has the true counts.

    Args:
        height, width: of the scene, in pixels.
        has_image: whether rows of an image will come too.
    """

    def __init__(self, height: int, width: int, has_image: bool = False) -> None:
        self.size = -(-max(height, width) // LONGEST_SIDE)
        self._counts = BlockCounts(height, width, self.size)
        self._grey = BlockSums(height, width, self.size, np.float64) if has_image else None

    def add(self, states: np.ndarray, image: np.ndarray | None = None) -> None:
        """Add the next rows.

        Shape:
            states ``(n, W)`` of `pixel_states`; image ``(n, W, C)``, of which the first three channels are taken.
        """
        self._counts.add(states)
        if self._grey is not None and image is not None:
            grey = image[..., :3].mean(axis=2, dtype=np.float32)
            self._grey.add(np.nan_to_num(grey, nan=0, posinf=0, neginf=0))

    def states(self) -> np.ndarray:
        """State that each pixel of the picture shows, uint8."""
        counts = self._counts.counts
        missed = (counts[..., FN] > 0) & (counts[..., FN] >= counts[..., FP])
        return np.select([missed, counts[..., FP] > 0, counts[..., TP] > 0], [FN, FP, TP], TN).astype(np.uint8)

    def draw(self) -> Image.Image:
        """The picture, RGB, with the legend below it."""
        states = self.states()
        drawn = np.array(COLOURS, np.float64)[states]
        if self._grey is not None:
            grey = _stretched(self._grey.sums / self._grey.pixels)[..., None]
            drawn = np.where((states == TN)[..., None], grey, 0.35 * grey + 0.65 * drawn)
        zoom = max(1, _SHORTEST_SIDE // max(states.shape))
        picture = Image.fromarray(drawn.astype(np.uint8).repeat(zoom, axis=0).repeat(zoom, axis=1))
        return _with_legend(picture, self._legend())

    def write(self, path: Path) -> None:
        """Write the picture as PNG."""
        self.draw().save(path, format="PNG")

    def _legend(self) -> list[tuple[tuple[int, int, int] | None, str]]:
        """Colour and text of each line."""
        totals = self._counts.counts.sum(axis=(0, 1))
        lines: list[tuple[tuple[int, int, int] | None, str]] = [
            (
                COLOURS[state],
                f"{NAMES[state]} ({STATES[state]})  {totals[state]:,} px  {totals[state] / totals.sum():.3%}",
            )
            for state in (TP, FP, FN, TN)
        ]
        if self.size > 1:
            text = f"a pixel shows {self.size} x {self.size} px: an error where any is one, else a hit where any is one"
            lines.append((None, text))
        return lines


def _stretched(grey: np.ndarray) -> np.ndarray:
    """Intensities from the 1st to the 99th percentile as 0 to 255."""
    low, high = np.percentile(grey, (1, 99))
    return np.clip((grey - low) / max(high - low, 1e-9), 0, 1) * 255


def _with_legend(picture: Image.Image, lines: list[tuple[tuple[int, int, int] | None, str]]) -> Image.Image:
    size = max(15, max(picture.size) // 70)
    font, step = ImageFont.load_default(size), round(1.6 * size)
    longest = max(font.getlength(text) for _, text in lines)
    width, top = max(picture.width, round(longest + 3 * size)), picture.height
    canvas = Image.new("RGB", (width, top + step * len(lines) + size), _DARK)
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, (colour, text) in enumerate(lines):
        y = top + size // 2 + number * step
        if colour is not None:
            draw.rectangle((size // 2, y + size // 5, size // 2 + size, y + size // 5 + size), colour, outline=_LIGHT)
        draw.text((2 * size, y), text, fill=_LIGHT, font=font)
    return canvas
