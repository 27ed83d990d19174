"""What an administrator does with users, projects and roles of the embedded identity."""

import re
import sqlite3
import uuid

from imagesvc.interface import errors, identity
from imagesvc_drivers.identity import account_file
from imagesvc_drivers.identity import password as passwords

DOMAIN_ID = "default"
ROLES = ("admin", "member", "reader", "service")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


class AccountAdmin:
    """Changes users, projects and roles; used by `imagesvc-manage` in the same file."""

    _file: account_file.AccountFile

    def create_project(self, name: str) -> str:
        """Make a project; gives its id. Raises AlreadyExists, InvalidArgument."""
        project_id = uuid.uuid4().hex
        with self._file.write() as conn:
            conn.execute("INSERT INTO project (id, name) VALUES (?, ?)", (project_id, _name(name)))
        return project_id

    def create_user(self, name: str, password: str) -> str:
        """Make a user; gives the id. Raises AlreadyExists, InvalidArgument."""
        user_id = uuid.uuid4().hex
        row = (user_id, _name(name), passwords.hash_password(password))
        with self._file.write() as conn:
            conn.execute("INSERT INTO user (id, name, password) VALUES (?, ?, ?)", row)
        return user_id

    def grant(self, user: str, project: str, role: str) -> None:
        """Give a user (id or name) a role on a project (id or name); again is success.

        Raises NotFound, InvalidArgument for an unknown role.
        """
        if role not in ROLES:
            raise errors.InvalidArgument(f"{role!r} is no role; roles are: {', '.join(ROLES)}.")
        with self._file.write() as conn:
            row = (require(conn, "user", user)[0], require(conn, "project", project)[0], role)
            conn.execute("INSERT OR IGNORE INTO user_role VALUES (?, ?, ?)", row)

    def withdraw(self, user: str, project: str, role: str) -> None:
        """Take a role away; the user's tokens lose it at once. Raises NotFound."""
        with self._file.write() as conn:
            row = (require(conn, "user", user)[0], require(conn, "project", project)[0], role)
            conn.execute(
                "DELETE FROM user_role WHERE user_id = ? AND project_id = ? AND role = ?", row
            )

    def set_password(self, user: str, password: str) -> None:
        """Change a password and end all tokens of the user. Raises NotFound, InvalidArgument."""
        hashed = passwords.hash_password(password)
        with self._file.write() as conn:
            user_id = require(conn, "user", user)[0]
            conn.execute("UPDATE user SET password = ? WHERE id = ?", (hashed, user_id))
            conn.execute("DELETE FROM token WHERE user_id = ?", (user_id,))
            conn.execute("DELETE FROM failure WHERE user_id = ?", (user_id,))

    def set_user_enabled(self, user: str, enabled: bool) -> None:
        """Enable or disable a user; disabling ends all tokens. Raises NotFound."""
        with self._file.write() as conn:
            user_id = require(conn, "user", user)[0]
            conn.execute("UPDATE user SET enabled = ? WHERE id = ?", (int(enabled), user_id))
            if not enabled:
                conn.execute("DELETE FROM token WHERE user_id = ?", (user_id,))

    def find_user(self, name_or_id: str) -> str:
        """Give a user's id. Raises NotFound."""
        with self._file.read() as conn:
            return require(conn, "user", name_or_id)[0]

    def find_project(self, name_or_id: str) -> identity.Project:
        """Find a project by id or name. Raises NotFound."""
        with self._file.read() as conn:
            project_id, name = require(conn, "project", name_or_id)
        return identity.Project(project_id, name, DOMAIN_ID)

    def list_projects(self, user_id: str | None = None) -> list[identity.Project]:
        """List enabled projects by name: all, or those where the user has a role."""
        with self._file.read() as conn:
            rows = conn.execute(
                "SELECT id, name FROM project WHERE enabled AND (?1 IS NULL OR id IN "
                "(SELECT project_id FROM user_role WHERE user_id = ?1)) ORDER BY name, id",
                (user_id,),
            ).fetchall()
        return [identity.Project(project_id, name, DOMAIN_ID) for project_id, name in rows]


_FIND = {
    "user": "SELECT id, name FROM user WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC LIMIT 1",
    "project": (
        "SELECT id, name FROM project WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC LIMIT 1"
    ),
}


def require(conn: sqlite3.Connection, noun: str, name_or_id: str) -> tuple[str, str]:
    """Give id and name of a user or project; an id wins over a name. Raises NotFound."""
    row: tuple[str, str] | None = conn.execute(_FIND[noun], (name_or_id,)).fetchone()
    if row is None:
        raise errors.NotFound(f"There is no {noun} {name_or_id}.")
    return row


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise errors.InvalidArgument("A name has 1 to 255 printable characters.")
    return name
