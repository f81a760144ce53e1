"""Drawn handwriting: packaged stroke medians, a model of the writing hand, and recipes that make packs of it.

medians   the packaged strokes          strokes   hands, trajectories, pictures
noise     random numbers by key         render    pen paths to pixels
recipe    what to draw, from TOML
"""
