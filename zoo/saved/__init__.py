"""Models that were trained already: what an index says of them, their cards, fetching, publishing, checking."""
