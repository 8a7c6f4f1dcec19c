"""Floor 3: who may do what. For now one view fed by pairing; replicated statements will feed the same view."""
