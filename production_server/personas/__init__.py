"""Faces and the personas that people say they are: rows of faces, decisions, and the classifier that learns of them."""
