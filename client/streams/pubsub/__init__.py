"""Topics and subscriptions of Google's Pub/Sub, by google-cloud-pubsub: the one package of the client that knows it."""
