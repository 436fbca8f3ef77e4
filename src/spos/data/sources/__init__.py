"""Where images come from: one file a source, each gives a ``spos.data.assemble.Source``."""
