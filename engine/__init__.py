"""Everything that runs audio, and everything that can be known of a model without training it."""
