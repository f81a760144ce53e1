"""Pages: characters on paper, as people photograph and scan them.

config      PageConfig: the share of pages that get each effect, and its greatest strength
effects     the random numbers: which effects a page has, and noise for every pixel
placement   where the character, its neighbours and the writing on the back lie
printing    practice cells, ruled lines, a teacher's marks
spots       stains, and gaps in the ink
light       the light of the empty page, and the texture of the paper
optics      constant matrices: blurs, reductions, the cosine transform of JPEG
camera      what a camera takes and a program stores
page        write_page: all of it, in this order
"""
