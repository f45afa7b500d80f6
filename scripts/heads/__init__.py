"""A trial of heads for notes and chords: `python -m scripts.heads --help`."""
