"""Objects in buckets and directories: which may be read, how they are listed, how they are fetched."""
