"""Model families: one file each, gathered by `registry`."""
