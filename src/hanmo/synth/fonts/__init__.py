"""Characters drawn from glyphs of fonts, and the layouts of strokes measured from them.

recipe         FontsRecipe: the fonts of a bank, from TOML
files          font files, and the glyphs in them
build          font files to a bank of glyphs (``hanmo glyphs``)
slim           glyphs of heavy fonts get the line width of a pen
variants       glyphs that show another character than they should, to be left out
registration   printed strokes fitted to a glyph
layouts        how fonts lay out strokes: measured for a bank, read for a charset
bank           GlyphBank: the file with all glyphs and layouts
glyphs         Glyphs: from classes and random keys to pictures, in a writer's hand

Hands, textures and tables are those of :mod:`hanmo.synth.strokes`.
"""
