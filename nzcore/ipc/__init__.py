"""Floor 5: the local face of `control`, a server on Trio and a blocking client (spec/control.md §6: NZ-IPC-01)."""
