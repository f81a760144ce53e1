"""How well a bundle reads: accuracy, calibration, confusions, and a report to look at. No torch in this room."""
