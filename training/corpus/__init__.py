"""Corpora: raw audio to train on, made here (techno loops) rather than collected."""
