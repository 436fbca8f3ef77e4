"""What every package uses: errors, files, randomness, processes, registries."""
