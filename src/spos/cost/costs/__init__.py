"""Built-in costs, one file each."""
