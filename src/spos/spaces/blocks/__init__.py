"""Building blocks of search spaces and published networks, in plain torch."""
