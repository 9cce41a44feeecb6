"""Streams of messages as doors: Kafka topics and Pub/Sub subscriptions whose messages become items of jobs."""
