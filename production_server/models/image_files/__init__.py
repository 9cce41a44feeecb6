"""Image files: hostile bytes of several formats, opened within limits and made into upright pixels of 8 bits."""
