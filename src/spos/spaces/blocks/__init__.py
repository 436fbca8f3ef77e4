"""Blocks that search spaces and published networks are made of, in plain torch."""
