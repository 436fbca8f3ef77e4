"""What the steps of a training train: one file a method."""
