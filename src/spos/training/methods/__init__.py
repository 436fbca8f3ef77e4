"""The training methods, one file each (:data:`spos.training.METHODS`)."""
