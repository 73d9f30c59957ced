"""Labelled images as batches: a source, augmentation, and the pipeline that text goes through.

    config -> source (encoded images by index) -> crop and flip -> normalization -> batches

Held-out images skip the augmentation.
"""
