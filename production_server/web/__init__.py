"""The web process: validates what comes in, hands it to `jobs`, and shows what became of it. Runs no model."""
