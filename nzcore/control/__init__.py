"""Floor 3: the one table of what can be asked of a node, and who may ask it (spec/control.md)."""
