"""Characters drawn from strokes: a model of the writing hand.

hand            StyleConfig: how much hands differ; the habits of single writers
abbreviations   components that hurried hands write in a shorter form, and where they occur
structure       corners and hooks of strokes, parts of characters
bank            the strokes of a charset and their forms, as tables on a device
layouts         where strokes stand: displacements from the print, and blends of several fonts' layouts
motion          geometry: how the pen moves, bends and turns strokes
contacts        strokes go on touching what they touched
pen             pen paths to strokes, as a tablet records them
render          pen paths to pixels
texture         grain, dry spots, ragged edges, the scanner
writer          StrokeBank: all of it, from classes and random keys to pictures

Nothing here knows of fonts or pages.
"""
