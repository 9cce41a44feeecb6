"""The worker: takes chunks from the broker, runs models on their items, and stores what comes out."""
