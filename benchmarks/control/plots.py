"""Line plots as SVG, drawn without a library: what the tuner did over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.control.client import Client, Clock, settings_for
from benchmarks.control.scenarios import Scenario, scenarios
from benchmarks.control.score import setup_of

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 260, 48, 12, 34, 30
_COLOURS = ("#4477AA", "#BB5566", "#228833")


@dataclass(frozen=True, slots=True)
class Series:
    """One line: points in time, drawn as steps."""

    name: str
    points: Sequence[tuple[float, float]]


def svg(title: str, unit: str, series: Sequence[Series]) -> str:
    """Return a picture of some lines over seconds, the axis from zero."""
    end = max(x for line in series for x, _ in line.points)
    top = 1.1 * max(y for line in series for _, y in line.points)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + width * x / end, _TOP + height * (1.0 - y / top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="16" font-size="14">{title}</text>',
    ]
    for part in range(5):
        x, y = place(end * part / 4, top * part / 4)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * part / 4:.3g}</text>')
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{end * part / 4:.0f} s</text>'
        )
    parts.append(f'<text x="{_LEFT}" y="30" fill="#666666">{unit}</text>')
    for number, line in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(_path(line, place, colour))
        parts.append(f'<text x="{_LEFT + 190 + 170 * number}" y="30" fill="{colour}">{line.name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _path(line: Series, place: Callable[[float, float], tuple[float, float]], colour: str) -> str:
    words: list[str] = []
    before: float | None = None
    for x, y in line.points:
        px, py = place(x, y)
        words.append(f"M{px:.1f} {py:.1f}" if before is None else f"L{px:.1f} {before:.1f}L{px:.1f} {py:.1f}")
        before = py
    return f'<path d="{"".join(words)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def follow(
    scenario: Scenario, seed: int
) -> tuple[Client, list[tuple[float, float]], list[tuple[float, float]]]:
    """Run one provider; return the client, and concurrency and request rate as they were set each second."""
    setup, clock = setup_of(scenario, seed), Clock()
    client = Client(
        clock, setup.world, setup.draw, settings_for(limits=setup.limits, packs=setup.packs), seed
    )
    concurrency, rates = [], []
    for second in range(int(scenario.end_s)):
        clock.run(float(second))
        concurrency.append((float(second), float(client.steering.tuner.concurrency)))
        rates.append((float(second), client.steering.tuner.requests.pace or 0.0))
    return client, concurrency, rates


def draw_all(folder: Path) -> None:
    """Write the plots of the documentation."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {f"{scenario.group}: {scenario.name}": scenario for scenario in scenarios(random_count=0)}

    moving = known["halves and doubles: 60 slots"]
    _, concurrency, _ = follow(moving, 1)
    truth = setup_of(moving, 1).truth
    allowed = [(second, float(truth(second).concurrency)) for second, _ in concurrency]
    lines = [Series("what the provider allows", allowed), Series("concurrency", concurrency)]
    _write(
        folder / "tuner-ceiling.svg", svg("A ceiling that halves and doubles", "requests in flight", lines)
    )

    paced = known["request bucket, unknown: 10/s, burst 20"]
    client, _, rates = follow(paced, 1)
    sent = client.tally.sent_at
    seen = [(float(s), sum(s <= at < s + 5 for at in sent) / 5.0) for s in range(0, int(paced.end_s), 5)]
    lines = [Series("sent, mean of 5 s", seen), Series("learned rate", rates)]
    _write(folder / "tuner-rate.svg", svg("An unknown 10 requests a second", "requests a second", lines))

    plateau = known["soft capacity: retrograde beyond 40"]
    _, concurrency, _ = follow(plateau, 1)
    _write(
        folder / "tuner-plateau.svg",
        svg(
            "More than 40 in flight only slow the provider down",
            "requests in flight",
            [Series("concurrency", concurrency)],
        ),
    )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    print(path)
