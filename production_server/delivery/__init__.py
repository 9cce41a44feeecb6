"""Versions that come by `git push`: a bare repository, what its hooks do, and finishing what died halfway."""
