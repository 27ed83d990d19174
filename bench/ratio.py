"""How results are told: the median of pairwise ratios with quartiles."""

import os
import statistics
from collections.abc import Sequence

WIDTH_MAX = 0.40


def report(
    row: str, ours: Sequence[float], peer: Sequence[float], what: str, note: str = ""
) -> float:
    """Print one line for pairs of figures and return the median ratio ours / peer."""
    ratios = [left / right for left, right in zip(ours, peer, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
    verdict = "inconclusive" if high - low > WIDTH_MAX * middle else "ok"
    load = os.getloadavg()[0]
    print(
        f"{row}  {what}: median ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}), "
        f"ours {statistics.median(ours):.3f}, peer {statistics.median(peer):.3f}, "
        f"{len(ratios)} pairs, load {load:.1f}, {verdict}{'; ' + note if note else ''}"
    )
    return middle
