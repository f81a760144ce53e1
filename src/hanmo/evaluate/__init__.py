"""How well a bundle reads: accuracy, calibration, confusions, and a report to look at. It needs no torch."""
