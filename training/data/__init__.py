"""What batches are made of: folders, files, the cache, crops."""
