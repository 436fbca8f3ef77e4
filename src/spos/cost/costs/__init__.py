"""The costs, one file each."""
