"""An image as an annotation file lists it, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_seg.data.layouts.files import stem


@dataclass
class AnnotatedImage:
    """An image as an annotation file lists it.

    Args:
        file_name: as written.
        size: height and width, as written; None where they are not.
        annotations: of this image, in COCO's terms, see `monai_seg.data.annotations`.
    """

    file_name: str
    size: list[int] | None
    annotations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def case(self) -> str:
        """The name of the case, also where the file was named on Windows."""
        return stem(self.file_name.replace("\\", "/"))


def find_image(file_name: str, folder: Path) -> Path | None:
    """Where an annotated image lies: beside the annotation file, in ``images/`` there or above, or where its path says.

    Args:
        file_name: as written, also with Windows' separators, a URL or a folder of another machine before it.
        folder: that of the annotation file.
    """
    written = Path(file_name.replace("\\", "/"))
    for base in (folder, folder / "images", folder.parent, folder.parent / "images"):
        for candidate in (base / written, base / written.name):
            if candidate.is_file():
                return candidate
    return None
