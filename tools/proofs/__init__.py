"""The long proofs behind `tools/prove`: what takes too long, or needs too much, for every run of the tests."""
