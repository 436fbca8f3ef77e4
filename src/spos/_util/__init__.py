"""What every room uses and none is about: errors, files, randomness, processes."""
