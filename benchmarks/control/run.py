"""Print how the tuner does against its targets, static settings and simple AIMD, in virtual time.

    python -m benchmarks.control [--quick] [--only WORD ...] [--plots FOLDER]

Each class of providers is run with several seeds; goodput is a share of what a clairvoyant client
gets from the same provider. The figures are of the product's own limiter and tuner.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.control.plots import draw_all
from benchmarks.control.scenarios import TARGETS, Scenario, Target, scenarios
from benchmarks.control.score import Score, Sharing, aimd, clairvoyant, score, shared, static, tuned

STATICS = (16, 64)
_SHARING = ("100 slots", "10/s, burst 20", "40 slots")


@dataclass(frozen=True, slots=True)
class Line:
    """One provider and seed: the tuner, and what it is compared with."""

    group: str
    name: str
    tuner: Score
    statics: tuple[Score, ...]
    aimd: Score


def one(place: tuple[int, int, int]) -> Line:
    """Run all clients on one provider. `place`: index of the scenario, count of random ones, seed."""
    index, random_count, seed = place
    scenario = scenarios(random_count=random_count)[index]
    ideal = clairvoyant(scenario, seed)
    return Line(
        scenario.group,
        scenario.name,
        score(scenario, tuned(scenario, seed).tally, ideal).without_tally(),
        tuple(score(scenario, static(scenario, seed, n).tally, ideal).without_tally() for n in STATICS),
        score(scenario, aimd(scenario, seed).tally, ideal).without_tally(),
    )


def two(place: tuple[str, int]) -> Sharing:
    """Run two clients on one provider."""
    name, seed = place
    return shared(next(s for s in scenarios(random_count=0) if s.name.startswith(name)), seed)


def verdict(shares: list[float], refusals: list[float], per_min: list[float], target: Target) -> str:
    """Say whether a class meets its target, and what it misses."""
    misses = []
    low = min(shares) if target.median < 0.97 or len(shares) < 20 else sorted(shares)[len(shares) // 10]
    if median(shares) < target.median - 0.0005 or low < target.worst - 0.0005:
        misses.append("goodput")
    is_rare = target.refusals is None and target.refusals_per_min is None
    if target.refusals is not None and median(refusals) <= target.refusals + 0.05:
        is_rare = True
    if target.refusals_per_min is not None and median(per_min) <= target.refusals_per_min + 0.2:
        is_rare = True
    return (
        "met"
        if not misses and is_rare
        else "missed: " + ", ".join(misses + ([] if is_rare else ["refusals"]))
    )


def show(lines: Sequence[Line]) -> None:
    """Print one row for each class, and one for each provider below it."""
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.group].append(line)
    print(
        f"{'class of provider':30} {'goodput':>14} {'target':>13} {'429/1000':>9} {'/min':>5} {'90 % in':>8}",
        end="",
    )
    print("".join(f"{f'static {n}':>16}" for n in STATICS) + f"{'AIMD':>16}  verdict")
    for group, found in groups.items():
        target = TARGETS[group]
        tuners = [line.tuner for line in found]
        shares, refusals = [t.share for t in tuners], [t.refusals_per_1000 for t in tuners]
        per_min = [t.refusals_per_min for t in tuners]
        settled = [t.settle_s for t in tuners if t.settle_s is not None]
        wanted = f"{target.median:.2f} ({target.worst:.2f})"
        print(f"{group:30} {median(shares):6.3f} ({min(shares):.3f}) {wanted:>13}", end="")
        print(f" {median(refusals):9.1f} {median(per_min):5.1f} {median(settled or [-1]):6.0f} s", end="")
        others = [[line.statics[n] for line in found] for n in range(len(STATICS))]
        for other in [*others, [line.aimd for line in found]]:
            share, refused = median(s.share for s in other), median(s.refusals_per_1000 for s in other)
            print(f"  {share:5.3f} {refused:5.0f}/k", end="  ")
        print(f" {verdict(shares, refusals, per_min, target)}")
        if group != "random providers":
            _show_providers(found)


def _show_providers(found: list[Line]) -> None:
    names: dict[str, list[Score]] = defaultdict(list)
    for line in found:
        names[line.name].append(line.tuner)
    for name, scores in names.items():
        shares = [s.share for s in scores]
        latency = median(s.latency_ratio for s in scores)
        print(f"    {name:26} {median(shares):6.3f} ({min(shares):.3f})", end="")
        print(f" {'':13} {median(s.refusals_per_1000 for s in scores):9.1f}   latency x {latency:.2f}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed and few random providers")
    parser.add_argument(
        "--only", nargs="*", default=[], help="only classes or providers with one of these words"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--random", type=int, default=40, help="how many random providers")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plots", type=Path, help="write the plots of the documentation here, and stop")
    given = parser.parse_args()
    if given.plots is not None:
        draw_all(given.plots)
        return
    seeds, count = (1, 8) if given.quick else (given.seeds, given.random)
    start = time.monotonic()
    places = [
        (index, count, seed)
        for index, scenario in enumerate(scenarios(random_count=count))
        if _is_wanted(scenario, given.only)
        for seed in range(1, (1 if scenario.group == "random providers" else seeds) + 1)
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        show(list(pool.map(one, places)))
        if not given.only:
            _show_sharing(
                list(pool.map(two, [(name, seed) for name in _SHARING[:2] for seed in range(1, seeds + 1)]))
            )
    print(f"{len(places)} providers in {time.monotonic() - start:.0f} s")


def _show_sharing(found: list[Sharing]) -> None:
    total, jain = [s.total for s in found], [s.jain for s in found]
    refusals = median(s.refusals_per_1000 for s in found)
    print(f"{'two processes on one key':30} {median(total):6.3f} ({min(total):.3f})", end="")
    print(f"   0.97       {refusals:9.1f}", end="")
    print(f"   Jain {median(jain):.2f} ({min(jain):.2f}), target 0.85 (0.55)")


def _is_wanted(scenario: Scenario, words: list[str]) -> bool:
    return not words or any(word in f"{scenario.group} {scenario.name}" for word in words)


if __name__ == "__main__":
    main()
