"""Sending and receiving files: disks in threads, the machines of `proto.files` in between (spec/files.md)."""
