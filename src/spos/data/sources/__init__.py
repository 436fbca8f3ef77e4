"""Data sources: one module each, which registers a function in :data:`spos.data.SOURCES`."""
