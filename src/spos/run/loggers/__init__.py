"""Programs that show the curves of a run: one file each."""
