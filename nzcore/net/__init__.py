"""Floor 5: channels over real transports: listening, dialling, keeping one channel a peer (spec/channel.md §10)."""
