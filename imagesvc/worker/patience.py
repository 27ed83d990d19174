"""Waiting for another region: as long as `[worker] retry_s` from its last sign of life."""

import random
import time
from collections.abc import Callable

from imagesvc import errors
from imagesvc.worker.flow import StepContext, Wait

_AWAY_SINCE, _AWAY_TRIES = "away_since", "away_tries"
_PAUSE_MAX_S = 60.0


def patient(ctx: StepContext, work: Callable[[], Wait | None]) -> Wait | None:
    """What `work` answers; while the other region is away, a wait that says why.

    Raises RegionAway when it has been away for too long, and what `work` raises.
    """
    try:
        answer = work()
    except errors.RegionAway as exc:
        now = time.time()
        since = ctx.memo.get(_AWAY_SINCE) or now
        tries = ctx.memo.get(_AWAY_TRIES, 0) + 1
        if now - since >= ctx.service.conf.worker.retry_s:
            raise
        ctx.memo.put(**{_AWAY_SINCE: since, _AWAY_TRIES: tries})
        pause_s = min(2.0**tries, _PAUSE_MAX_S) * random.uniform(0.5, 1.0)  # noqa: S311
        return Wait(pause_s, exc.text, exc.operator_message)
    heard(ctx)
    return answer


def heard(ctx: StepContext) -> None:
    """The other region gave a sign of life: its time begins anew."""
    if ctx.memo.get(_AWAY_SINCE):
        ctx.memo.put(**{_AWAY_SINCE: None, _AWAY_TRIES: 0})
