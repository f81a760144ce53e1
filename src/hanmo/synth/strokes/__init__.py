"""Characters drawn from strokes: a hand, its slips, and the ink of its pen."""
