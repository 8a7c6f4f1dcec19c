"""Floor 7: the command line. A client of `control` and `ipc`; what needs the node's own parts imports them late."""
