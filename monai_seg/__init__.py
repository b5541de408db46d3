"""monai-seg: from a folder of images and masks to an honest, reproducible, shareable MONAI bundle.

Importing this package imports neither torch nor MONAI; each room imports what it uses.
"""

__version__ = "0.1.0"
