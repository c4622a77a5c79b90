"""Data of every kind: where samples come from, how they are read, in which units networks see them, and batches."""
