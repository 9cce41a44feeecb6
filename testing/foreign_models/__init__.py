"""Scripts that make the models of others for tests/data/models: each with packages of its own."""
