"""Whole clips of a spectrogram by a DCGAN: trials beside `scripts/stroke_trials.py`, no family."""
