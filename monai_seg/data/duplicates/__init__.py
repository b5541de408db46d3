"""Copies of images within and between sections and data sets, and other ways in which a test can flatter a model."""
