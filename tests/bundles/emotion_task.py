"""The bundle of emotions as its tests know it: class folders of tiny patterns with persons, and a tiny network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bundle_tasks import Task, save

CLASSES = ["anger", "fear", "happiness", "sadness", "surprise"]


@dataclass(frozen=True, eq=False)
class EmotionTask(Task):
    """A bundle of whole images; its data set is one folder for each class."""

    def write(self, folder: Path, count: int, seed: int = 0, shape: tuple[int, ...] = (), first: int = 0) -> Path:
        """Make a data set: a bright stripe whose place tells the class; each person shows every class once.

        Args:
            count: of persons.
        """
        lines = ["file,identity"]
        for person in range(first, first + count):
            for number, name in enumerate(self.class_names):
                draw = np.random.default_rng((seed, person, number))
                image = draw.normal(70 + 5 * (person % 4), 12, shape or self.shape)
                step = image.shape[0] // len(self.class_names)
                image[number * step : (number + 1) * step] += 110
                file = self.image_file.format(name, person)
                save(folder / file, np.clip(image, 0, 255).astype(np.uint8))
                lines.append(f"{file},person {person}")
        (folder / "identities.csv").write_text("\n".join(lines) + "\n")
        return folder


EMOTIONS = EmotionTask(
    name="face_emotion_classification",
    class_names=CLASSES,
    metrics=["file", "person", "reference", "prediction", *(f"probability_{name}" for name in CLASSES)],
    label_values=(),
    image_file="{}/{:02}.png",
    mask_file="",
    shape=(20, 24),
    channels=1,
    training_size=(32, 32),
    intensity_limit=3,
    overrides={"image_size": 32, "architecture": "compact", "average_decay": 0.0, "keep": "best"},
)
