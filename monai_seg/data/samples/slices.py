"""Sample slices: made-up MR slices of heads with tumours, as `images/` and a COCO file.

Tumours are blobs of any shape, bright, dark or with a rim, in tissue with folds that are as bright as they; some slices
have none, some have several. Two slices of a patient are near copies of each other, as they are in a scanner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from monai_seg.data.samples.fields import case_rng, inside, paint, png, smooth_noise

VERSION = 1
N_PATIENTS, SLICES_OF_A_PATIENT = 24, 2
N_IMAGES = N_PATIENTS * SLICES_OF_A_PATIENT
N_FILES = N_IMAGES + 2
HEIGHT, WIDTH = 128, 104
CATEGORY = {"id": 3, "name": "tumor"}  # ids of categories need not begin at 1

_MOST_TUMOURS = 3
_README = """# Sample slices (synthetic)

{n_images} grey images of {width} x {height} pixels (`images/PATIENT_SLICE.png`) of {n_patients} made-up patients, and
`annotations.json` in COCO's form with one polygon for each tumour.

**No patient was ever seen.** monai-seg computed these files (`monai_seg.data.samples`, kind `slices`,
generator version {version}, seed {seed}); the same seed gives the same bytes. They show that a pipeline works; they say
nothing about how well it works on real heads.

- One category, {category}. 0 to {most} tumours in a slice.
- Two slices of a patient are near copies: split by the part of the name before `_`.
- Licence: CC0-1.0.
"""


def generate(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of the data set, one after the other.

    Args:
        seed: seed of the data set.

    Returns:
        Path within the data set (with ``/``) and content of each file.
    """
    images: list[dict] = []
    annotations: list[dict] = []
    for patient in range(N_PATIENTS):
        for number in range(SLICES_OF_A_PATIENT):
            image, tumours = make_case(seed, patient, number)
            name = f"{patient:03d}_{10 + number:02d}.png"
            images.append({"id": len(images) + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
            for tumour in tumours:
                annotations.append(_annotation(tumour, len(annotations) + 1, len(images)))
            yield f"images/{name}", png(image)
    content = {"images": images, "annotations": annotations, "categories": [CATEGORY]}
    yield "annotations.json", (json.dumps(content) + "\n").encode()
    facts = {"n_images": N_IMAGES, "n_patients": N_PATIENTS, "width": WIDTH, "height": HEIGHT, "version": VERSION}
    text = _README.format(**facts, seed=seed, category=f"{CATEGORY['id']} = {CATEGORY['name']}", most=_MOST_TUMOURS)
    yield "README.md", text.encode()


def make_case(seed: int, patient: int, number: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """One slice and its tumours.

    Args:
        seed: seed of the data set.
        patient: number of the patient, from 0.
        number: of the slice, from 0; what changes from slice to slice is small.

    Returns:
        Image ``(HEIGHT, WIDTH)``, uint8, and the outline ``(N, 2)`` of each tumour, rows and columns of its edge.
    """
    rng = case_rng(seed, patient)
    step = 0.06 * number
    canvas, brain = _head(rng, step)
    outlines = [_tumour(rng, canvas, brain, step) for _ in range(int(rng.integers(0, _MOST_TUMOURS + 1)))]
    noise = case_rng(seed, 1000 * (number + 1) + patient).standard_normal(canvas.shape)
    exposed = np.clip(canvas + 0.025 * noise, 0.0, 1.0)
    return np.rint(255 * exposed).astype(np.uint8), [outline for outline in outlines if outline is not None]


def _head(rng: np.random.Generator, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Skull, fluid and folded tissue; and how deep in the brain each pixel lies, in pixels."""
    row, column = np.indices((HEIGHT, WIDTH), dtype=float)
    centre = (HEIGHT / 2 + rng.uniform(-3, 3), WIDTH / 2 + rng.uniform(-3, 3))
    radii = (HEIGHT * rng.uniform(0.39, 0.43) * (1 - step / 3), WIDTH * rng.uniform(0.39, 0.44) * (1 - step / 3))
    bent = 2.0 * smooth_noise(rng, (HEIGHT, WIDTH), 12)
    reach = np.hypot((row - centre[0]) / radii[0], (column - centre[1]) / radii[1])
    depth = (1 - reach) * min(radii) + bent
    folds = smooth_noise(rng, (HEIGHT, WIDTH), 3.0) + step * smooth_noise(rng, (HEIGHT, WIDTH), 3.0)
    canvas = np.zeros((HEIGHT, WIDTH))
    paint(canvas, 0.35, inside(-(depth + 7), 1.5))
    paint(canvas, 0.08, inside(-(depth + 4), 1.0))
    tissue = 0.42 + 0.10 * np.tanh(1.5 * folds) + 0.05 * smooth_noise(rng, (HEIGHT, WIDTH), 20)
    paint(canvas, tissue, inside(-depth, 1.2))
    for side in (-1, 1):  # the two ventricles
        gap = np.hypot((row - centre[0]) / (13 * (1 + step)), (column - centre[1] - 6 * side) / 3.5) - 1 + 0.1 * folds
        paint(canvas, 0.1, inside(4 * gap, 1.5))
    return canvas, depth


def _tumour(rng: np.random.Generator, canvas: np.ndarray, depth: np.ndarray, step: float) -> np.ndarray | None:
    """Paint a blob into the brain; its outline, or None where there is no room for it."""
    from skimage.measure import find_contours

    turn, far = rng.uniform(0, 2 * np.pi), 0.72 * np.sqrt(rng.uniform())
    row = HEIGHT / 2 + 0.38 * HEIGHT * far * np.sin(turn) + 30 * step
    column = WIDTH / 2 + 0.38 * WIDTH * far * np.cos(turn)
    if depth[int(row), int(column)] < 4:  # within another one, or outside
        return None
    radius, stretch, angle = rng.uniform(5.0, 14.0) * (1 - step), rng.uniform(1.0, 1.6), rng.uniform(0, np.pi)
    y, x = np.indices(canvas.shape) - np.array([row, column])[:, None, None]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    edge = np.hypot(along / stretch, across) - radius + 1.2 * smooth_noise(rng, canvas.shape, 5)
    edge = np.maximum(edge, 2 - depth)  # none grows out of the brain, or into another one
    shade, rim = rng.choice([0.72, 0.66, 0.22]), rng.random() < 0.5
    paint(canvas, shade + 0.05 * smooth_noise(rng, canvas.shape, 2), 0.9 * inside(edge, 1.3))
    if rim:
        paint(canvas, 0.85, 0.7 * np.exp(-((edge / 1.6) ** 2)))
    np.minimum(depth, edge, out=depth)
    contours = find_contours(np.pad(edge, 1, constant_values=9.0), 0.0)
    outline = max(contours, key=len, default=np.zeros((0, 2))) - 1
    return outline if len(outline) > 16 else None


def _annotation(outline: np.ndarray, number: int, image_id: int) -> dict:
    """A tumour in COCO's terms: x and y of edges, half a pixel beyond those of pixel centres."""
    points = np.clip(outline[:-1, ::-1] + 0.5, 0, [WIDTH, HEIGHT]).round(1)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    x, y = points.T
    area = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    return {
        "id": number,
        "image_id": image_id,
        "category_id": CATEGORY["id"],
        "iscrowd": 0,
        "segmentation": [points.ravel().tolist()],
        "bbox": [float(left), float(top), round(float(right - left), 1), round(float(bottom - top), 1)],
        "area": round(area, 1),
    }
