"""Characters drawn from glyphs of fonts, and where fonts place the strokes."""
