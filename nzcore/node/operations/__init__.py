"""What the node does when an operation is called: one handler for each operation of the table."""
