"""From files to training data: sample files and folders of pictures -> samples -> a pack -> contact sheets.

sample     one labelled picture, or one character as pen strokes
gnt        CASIA's ``.gnt`` files, plain, xz-compressed or in a zip archive
pot        CASIA's ``.pot`` files of pen strokes, in the same wrappings
records    what both kinds of files have in common: records one after another
archive    the members of a zip archive, checked
folder     folders of pictures, one a character
read       any mix of the two, by name, glob or directory
pack       the normalised samples of a data set as memory-mapped arrays
filling    what is collected about samples while a pack is written
squares    samples -> normalised squares, on one process or several
split      training and test halves that share no writer
signature  pen strokes -> path-signature planes
sheet      a labelled contact sheet
fonts      a font for its captions
"""
