"""Triggers that make the audit trail append-only, and note each new row as unsealed."""

from collections.abc import Iterator

_MESSAGE = "the audit trail is append-only"
_GUARDED = ("audit", "audit_seal")

_NOTE_SQLITE = """
CREATE TRIGGER audit_unsealed_note AFTER INSERT ON audit
BEGIN INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id); END
"""
_NOTE_POSTGRESQL = (
    """
CREATE OR REPLACE FUNCTION audit_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id); RETURN NULL; END $$
""",
    """
CREATE TRIGGER audit_unsealed_note AFTER INSERT ON audit
FOR EACH ROW EXECUTE FUNCTION audit_note()
""",
)
_REFUSE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{_MESSAGE}' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""


def statements() -> Iterator[tuple[str, str, str]]:
    """(table after whose creation it runs, dialect, statement)."""
    yield "audit", "sqlite", _NOTE_SQLITE
    for statement in _NOTE_POSTGRESQL:
        yield "audit", "postgresql", statement
    for table in _GUARDED:
        for verb in ("UPDATE", "DELETE"):
            yield (
                table,
                "sqlite",
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END",
            )
        yield table, "postgresql", _REFUSE_FUNCTION
        yield (
            table,
            "postgresql",
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
        )
