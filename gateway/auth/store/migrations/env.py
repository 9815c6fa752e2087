"""Runs migrations on the connection that the store hands over; there is no command line for it."""

from alembic import context

from gateway.auth.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
