"""The Celery app, the messages that travel, and publishing with confirms.

Messages are hints; the database is the truth.
"""
