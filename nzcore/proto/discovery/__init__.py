"""Discovery on the local network: pseudonyms, what the network says, what is seen (NZ-DISCOVERY-01)."""
