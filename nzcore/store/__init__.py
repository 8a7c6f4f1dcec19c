"""Floor 5: disk. The sealed key-value store, the vault, the home's lock, and the bridge to asyncio libraries."""
