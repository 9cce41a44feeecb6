"""Other front doors than HTTP clients: what happens elsewhere, in a bucket for example, becomes jobs."""
