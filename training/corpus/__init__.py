"""Corpora: raw audio to train on, made here or copied with its licence."""
