"""Annotated objects: what annotation programs export, brought into one form, checked, and drawn as masks.

An annotation is a dictionary in COCO's terms, but for the class, which goes by its name: ``category``;
``segmentation``, a list of polygons ``[x0, y0, x1, y1, ...]`` in pixels or a run-length code ``{"size", "counts"}``;
``bbox`` ``[x, y, width, height]``; ``iscrowd``, 1 for a crowd that nobody counted. Pixel (0, 0) reaches from 0 to 1.
"""
