"""Floor 0: what every other package speaks in. Imports nothing of ours and nothing slow."""
