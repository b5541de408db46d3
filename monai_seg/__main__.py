"""``python -m monai_seg`` is ``monai-seg``."""

from monai_seg.cli import main

main()
