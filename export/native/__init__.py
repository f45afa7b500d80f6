"""Trained model -> native file: lowered, fused, laid out, packed."""
