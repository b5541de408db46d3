"""A run as a bundle that can be sent to somebody: as data alone, or for plain MONAI."""
