"""Floor 3: files sealed for one node without a channel to it, as two machines (spec/envelope.md, NZ-ENVELOPE-01)."""
