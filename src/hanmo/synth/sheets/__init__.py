"""Drawn photographs of whole sheets with a character in each cell, and the truth of every cell.

geometry   boxes in rows and columns, and what print consists of: lines, circles and texts, all in millimetres
forms      parts that several papers share: rules, guides in a cell, frames, titles, captions
papers     the kinds of paper: practice sheets, composition paper, exam grids, forms, ...
printing   print drawn in pixels
text       which character is written in which cell, which cells stay empty
pens       pens and inks
writing    one writer's characters on the paper, crossed-out ones, a teacher's marks
camera     where a point of a bent page lies in the photograph, and the other way round
photo      the photograph: the desk, light, blur, noise
draw       draw_sheet: all of it, in this order; write_sheet: a picture with its truth as files
"""
