"""What tests of nzcore and of its modules stand on: whole networks in memory, virtual time, checks to conform to."""
