"""Floor 3: an authenticated channel of many streams, as one machine (spec/channel.md, NZ-CHANNEL-01)."""
