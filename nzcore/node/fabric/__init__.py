"""Floor 6: publish, request and deliver between the services of nodes (spec/fabric.md)."""
