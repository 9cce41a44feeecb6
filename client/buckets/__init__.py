"""The commands about buckets: what lies there, and what arrives."""
