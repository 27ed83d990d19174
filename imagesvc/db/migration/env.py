"""What alembic runs: the migrations, on the connection that `db/migrate.py` opened."""

from alembic import context

from imagesvc.db import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
