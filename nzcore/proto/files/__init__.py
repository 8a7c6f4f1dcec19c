"""Files between two nodes (spec/files.md): what is sent, under which names, and in which order."""
