"""Corpora, datasets, losses, objectives, the training loop and evaluation."""
