"""Training methods, one file each (:data:`spos.training.METHODS`)."""
