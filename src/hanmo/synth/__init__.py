"""Drawn handwriting: characters from strokes and from fonts, by writers with habits of their own, on paper.

strokes      a model of the writing hand: stroke medians to pictures
fonts        glyphs of fonts, and how fonts lay out strokes
paper        characters on pages, as people photograph and scan them

noise        random numbers by key: the same for any batch size, on any device
morphology   thicker and thinner lines
mix          strokes and fonts behind one call, chosen by weight
templates    characters as print shows them, for nets that compare handwriting with print
recipe       what to draw, from TOML
samples      a recipe's samples, and sheets to look at
online       a recipe's samples as pen strokes, and files of them
packs        a recipe drawn into a pack, in parts that can be resumed
sheets       photographs of whole sheets with a character in each cell, and their truth

Imports go one way, which import-linter checks: packs, online and sheets, samples, recipe, mix and templates, then
fonts, then strokes and paper (which do not import each other), then noise and morphology.
"""
