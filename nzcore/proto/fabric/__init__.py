"""Floor 3: the message fabric between nodes, as machines (spec/fabric.md)."""
