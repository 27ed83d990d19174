"""Tokens: issue, show, revoke."""

import datetime
from typing import Any

import falcon
import msgspec

from imagesvc import context, errors
from imagesvc.api import validate
from imagesvc.api.identity import catalog, project
from imagesvc.interface import identity
from imagesvc.manager import login as logins

_SUBJECT = "X-Subject-Token"


class Named(msgspec.Struct):
    """A domain, by id or name."""

    id: str | None = None
    name: str | None = None


class User(msgspec.Struct):
    """Who logs in."""

    password: str
    id: str | None = None
    name: str | None = None
    domain: Named = msgspec.field(default_factory=Named)

    def __repr__(self) -> str:
        return "User(...)"


class Password(msgspec.Struct):
    """The method `password`."""

    user: User


class Token(msgspec.Struct):
    """The method `token`."""

    id: str

    def __repr__(self) -> str:
        return "Token(...)"


class Method(msgspec.Struct):
    """How the caller proves who it is."""

    methods: list[str]
    password: Password | None = None
    token: Token | None = None


class ScopeProject(msgspec.Struct):
    """A project, by id, or by name and domain."""

    id: str | None = None
    name: str | None = None
    domain: Named = msgspec.field(default_factory=Named)


class Scope(msgspec.Struct):
    """What the token is for."""

    project: ScopeProject | None = None


class Auth(msgspec.Struct):
    """The content of a login."""

    identity: Method
    scope: Scope | str | None = None


class Login(msgspec.Struct):
    """Body of a login."""

    auth: Auth


def scope_of(asked: Scope | str | None) -> identity.LoginScope:
    """The scope in the words of the identity contract."""
    if not isinstance(asked, Scope) or asked.project is None:
        return identity.LoginScope()
    named = asked.project
    return identity.LoginScope(
        project_id=named.id,
        project_name=named.name if named.id is None else None,
        domain=named.domain.id or named.domain.name,
    )


def _time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render(login: identity.Login, services: list[dict[str, Any]] | None) -> dict[str, Any]:
    """A token's content; the token itself travels in a header."""
    who = login.identity
    domain = project.render_domain(who.domain_id)
    body: dict[str, Any] = {
        "methods": list(login.methods),
        "user": {
            "id": who.user_id,
            "name": who.user_name,
            "domain": domain,
            "password_expires_at": None,
        },
        "audit_ids": [],
        "issued_at": _time(login.issued_at),
        "expires_at": _time(who.expires_at) if who.expires_at else None,
    }
    if who.project_id is not None:
        body["project"] = {"id": who.project_id, "name": who.project_name, "domain": domain}
        body["is_domain"] = False
        body["roles"] = [{"id": role, "name": role} for role in sorted(who.roles)]
        if services is not None:
            body["catalog"] = services
    return {"token": body}


def nobody(req: falcon.Request) -> context.RequestContext:
    """The caller before it has proved who it is."""
    return context.RequestContext(
        None, None, request_id=req.context.request_id, remote=req.remote_addr
    )


class LoginResource:
    """`POST /v3/auth/tokens`, and what its token may do to a token."""

    anonymous = True

    def __init__(self, service: Any) -> None:
        self._identity: identity.IdentityDriver = service.identity
        self._logins: logins.LoginManager = service.logins
        self._catalog = catalog.Catalog(service)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Issue a token."""
        auth = validate.body(req, Login).auth
        login = self._log_in(nobody(req), auth.identity, scope_of(auth.scope))
        resp.status = falcon.HTTP_201
        self._answer(req, resp, login)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show a token."""
        self._answer(req, resp, self._subject(req))

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Revoke a token."""
        self._identity.revoke(self._subject(req).token)
        resp.status = falcon.HTTP_204

    def _log_in(
        self, ctx: context.RequestContext, method: Method, scope: identity.LoginScope
    ) -> identity.Login:
        if method.methods == ["token"] and method.token is not None:
            return self._logins.rescope(ctx, method.token.id, scope)
        if method.methods != ["password"] or method.password is None:
            raise errors.InvalidRequest("The method must be one of: password, token.")
        user = method.password.user
        domain = user.domain.id or user.domain.name or ""
        return self._logins.log_in(ctx, user.id or user.name or "", user.password, scope, domain)

    def _subject(self, req: falcon.Request) -> identity.Login:
        """The token that is spoken of: the caller's own, or any for an administrator."""
        caller_token = req.get_header("X-Auth-Token")
        subject_token = req.get_header(_SUBJECT)
        if not caller_token:
            raise errors.Unauthorized
        headers = {"x-auth-token": caller_token}
        caller = self._identity.authenticate(
            identity.AuthRequest(req.method, req.relative_uri, headers, req.remote_addr)
        )
        if not subject_token:
            raise errors.InvalidRequest(f"The header {_SUBJECT} is missing.")
        subject = self._identity.describe(subject_token)
        if subject.identity.user_id != caller.user_id and not caller.is_admin:
            raise errors.NotFound("No such token was found.")
        return subject

    def _answer(self, req: falcon.Request, resp: falcon.Response, login: identity.Login) -> None:
        resp.set_header(_SUBJECT, login.token)
        resp.append_header("Vary", "X-Auth-Token")
        services = None if req.has_param("nocatalog") else self._catalog.render(req)
        resp.media = render(login, services)
