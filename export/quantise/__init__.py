"""Fewer bits: calibration, rounding, what it costs, and which layers to spare."""
