"""Paths through latents: their shapes, what is heard along them, and which ways are short."""
