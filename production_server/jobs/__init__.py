"""What was asked and what became of it: the database is the truth, the broker only carries references to it."""
