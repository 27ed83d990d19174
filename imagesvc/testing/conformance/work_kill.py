"""Long work whose caller is killed while it begins or runs, whatever its kind."""

from collections.abc import Callable, Iterator
from typing import Any

from imagesvc.interface import base
from imagesvc.testing.conformance import child
from imagesvc.testing.conformance.base import DriverConformance


class KilledWork(DriverConformance):
    """The named points are those of the driver; without any it is killed at lines of its code."""

    def cut_short(
        self,
        driver: base.Driver,
        points: tuple[str, ...],
        method: str,
        arguments: Callable[[str], tuple[Any, ...]],
        named: Callable[[str], dict[str, Any]] = lambda _: {},
        **keywords: Any,
    ) -> Iterator[str]:
        """Begin the work in children that are killed; yields the token of each.

        `arguments` and `named` give a token's own, `keywords` are the same for all.
        """
        recipe = self.recipe(driver)
        for point in points:
            own = keywords | named(point)
            code = child.run_to_crash_point(recipe, point, method, *arguments(point), **own)
            assert code == -9, f"{point} was not passed"
            yield point
        if points:
            self.note(f"killed at {len(points)} named points")
            return
        steps = child.steps_of(recipe, method, *arguments("whole"), **keywords, **named("whole"))
        yield "whole"
        for step in steps:
            token = f"step-{step}"
            own = keywords | named(token)
            child.run_to_step(recipe, step, method, *arguments(token), **own)
            yield token
        self.note(f"killed at {len(steps)} lines")
