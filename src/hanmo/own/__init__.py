"""Characters of one's own and one's own hand, added to a bundle without training and without PyTorch.

hand        handwriting drawn in NumPy from the packaged strokes
reference   drawn handwriting of a reader's characters: what their features look like
pictures    pictures, fonts and strokes as squares, with a few views of each
prototypes  pictures of new characters -> rows of the last layer
adaptation  labelled or unlabelled pictures of one writer -> a change of the features
"""
