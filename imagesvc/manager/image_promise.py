"""The breaking of a promise: who may, and what the audit trail says of it."""

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.domain import promise
from imagesvc.domain.image import Image
from imagesvc.manager.operation import Step
from imagesvc.policy.check import Enforcer


def break_it(op: Step, enforcer: Enforcer, ctx: RequestContext, image: Image, reason: str) -> bool:
    """Note that the promise of an image is broken, and why; False if there is none to break.

    The caller's change follows in the same transaction. Raises Forbidden, InvalidRequest.
    """
    text = promise.check_reason(reason)
    if image.provided_until is None or image.provided_until <= metadata.now():
        return False
    enforcer.authorize(ctx, "image:break_promise", image)
    op.detail["promise_broken"] = {"until": image.provided_until.isoformat(), "reason": text}
    return True
