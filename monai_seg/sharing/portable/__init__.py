"""What goes along with a portable export, under ``scripts/``: it runs there alone, and imports none of this package."""
