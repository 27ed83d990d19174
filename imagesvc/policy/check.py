"""authorize: the one permission check."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.domain.image import Image
from imagesvc.policy import rule

_ANSWER_S = 1.0
_ANSWERS_MAX = 4096
# Each role holds those after it, as in Keystone's defaults.
_IMPLIED = ("admin", "manager", "member", "reader")


def implied_roles(roles: frozenset[str]) -> list[str]:
    """The roles with those that they imply."""
    held = set(roles)
    for position, role in enumerate(_IMPLIED):
        if role in held:
            held.update(_IMPLIED[position:])
    return sorted(held)


class Enforcer:
    """The rule table as configured."""

    def __init__(self, conf: cfg.ConfigOpts, clock: Callable[[], float] = time.monotonic) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(rule.list_rules())
        # oslo.policy takes rules away for a moment while it reads a changed file.
        self._lock = threading.Lock()
        self._clock = clock
        self._answers: dict[Hashable, bool] = {}
        self._answers_until = 0.0

    def load(self) -> None:
        """Read the policy file now, not at the first question. Raises what it provokes."""
        self._enforcer.load_rules(force_reload=True)

    def rule(self, action: str) -> str:
        """The rule of an action as it is in force, in the language of policy files."""
        with self._lock:
            self._enforcer.load_rules()
            return str(self._enforcer.rules[action])

    def allows(
        self, ctx: RequestContext, action: str, target: Image | Mapping[str, Any] | None = None
    ) -> bool:
        """Whether the caller may do `action` to a target that it sees.

        A target that is no image names the project that it belongs to as `owner`. The same
        question has the same answer for a second; then policy files are looked at again.
        """
        facts = {**_facts(target)}
        facts["owner"] = facts.get("owner") or "-"
        question = (
            action, *sorted(facts.items()), ctx.roles, ctx.project_id, ctx.user_id,
            ctx.service_user_id, ctx.service_roles,
        )  # fmt: skip
        now = self._clock()
        if now >= self._answers_until or len(self._answers) >= _ANSWERS_MAX:
            self._answers, self._answers_until = {}, now + _ANSWER_S
        answers = self._answers  # that of this moment: another thread may begin a new one
        if question not in answers:
            answers[question] = self._ask(ctx, action, facts)
        return answers[question]

    def _ask(self, ctx: RequestContext, action: str, facts: dict[str, Any]) -> bool:
        credentials = {
            "roles": implied_roles(ctx.roles),
            "project_id": ctx.project_id or "",
            "user_id": ctx.user_id or "",
            "service_user_id": ctx.service_user_id or "",
            "service_roles": sorted(ctx.service_roles),
        }
        with self._lock:
            return bool(self._enforcer.authorize(action, facts, credentials))

    def authorize(
        self, ctx: RequestContext, action: str, target: Image | Mapping[str, Any] | None = None
    ) -> None:
        """Raise Forbidden if the caller may not do `action`."""
        if not self.allows(ctx, action, target):
            raise errors.Forbidden(action=action)


def _facts(target: Image | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if target is None:
        return {}
    if isinstance(target, Image):
        return {"owner": target.owner, "visibility": str(target.visibility)}
    return target
