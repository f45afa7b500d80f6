"""`rtf-bench`: how fast, how late and how evenly an exported model runs."""
