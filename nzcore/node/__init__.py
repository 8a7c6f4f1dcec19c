"""Floor 6: the only place where the parts are put together into a node."""
