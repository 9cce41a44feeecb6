"""Front doors beside HTTP clients: what lies in buckets, and what is told of it, becomes jobs."""
