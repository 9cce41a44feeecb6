"""Alembic's environment: migrations run on the connection that `Database.migrate` gives, inside its transaction."""

from alembic import context

from production_server.jobs.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
