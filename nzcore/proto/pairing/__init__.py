"""Floor 3: two people compare three words and so know that nobody stands between their nodes (spec/pairing.md)."""
