"""The settings of a live run: how each is read, checked, applied and undone. One row a knob."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from llmtop.adapters import open_files
from llmtop.model import Change, Decision
from llmtop.policy.limiter import Resource
from llmtop.policy.pricing import pusd, usd

if TYPE_CHECKING:
    from llmtop.run.run import Run

MAX_CONCURRENCY = 4096
MAX_ITEMS_PER_REQUEST = 1000
_RATES_PER_S = (Decimal("1e-6"), Decimal("1e6"))
_MAX_COST_USD = Decimal(10**6)
_AUTO = "auto"


class BadKnob(Exception):
    """One sentence: which key, what is wrong, what would be right."""


Planned = tuple[Change, Callable[[], None]]
_Reader = Callable[["Run", str, str], Planned]


def read_knob(run: Run, key: str, text: str, origin: str) -> Planned:
    """Return the change that `key=text` means and how to apply it. Raises BadKnob; nothing is changed yet."""
    reader = KNOBS.get(key)
    if reader is None:
        near = difflib.get_close_matches(key, KNOBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KNOBS)}"
        raise BadKnob(f"{key} cannot be set live; {hint}")
    return reader(run, text.strip(), origin)


def _concurrency(run: Run, text: str, origin: str) -> Planned:
    if text == _AUTO:
        return _handed_back(run, "concurrency", "concurrency", str(run.lane.concurrency), origin)
    number = _whole("concurrency", text, 1, MAX_CONCURRENCY)
    if (most := open_files.most_requests()) is not None and number > most:
        raise BadKnob(
            f"concurrency={number}: the engine may open {open_files.limit()} files; {most} at the most,"
            f" or start it again behind `ulimit -n {number + open_files.BESIDE_REQUESTS}`"
        )
    old = run.lane.concurrency
    return Change("concurrency", str(old), str(number)), lambda: run.lane.set(concurrency=number, by=origin)


def _handed_back(run: Run, key: str, name: str, old: str, origin: str) -> Planned:
    """`KEY=auto`: the tuner moves again what a person has set."""
    if not run.lane.is_tuning:
        raise BadKnob(f"{key}=auto: the tuner is off; tuner=on switches it on and hands everything back")
    if name not in run.lane.pinned:
        raise BadKnob(f"{key} is not set by hand: the tuner has it, as far as its range goes")
    return Change(key, old, _AUTO), lambda: run.lane.hand_back(name, by=origin)


def _requests_per_second(run: Run, text: str, origin: str) -> Planned:
    return _request_rate(run, "requests_per_second", text, 1.0, origin)


def _requests_per_minute(run: Run, text: str, origin: str) -> Planned:
    return _request_rate(run, "requests_per_minute", text, 60.0, origin)


def _request_rate(run: Run, key: str, text: str, unit_s: float, origin: str) -> Planned:
    old = _shown(run.lane.stated(Resource.REQ), unit_s)
    if text == _AUTO:
        return _handed_back(run, key, f"rate:{Resource.REQ}", old, origin)
    rate = _rate(key, text, unit_s)
    return Change(key, old, _shown(rate, unit_s)), lambda: run.lane.set(request_rate=rate, by=origin)


def _tokens_per_minute(run: Run, text: str, origin: str) -> Planned:
    old = _shown(run.lane.stated(Resource.TOTAL), 60.0)
    if text == _AUTO:
        return _handed_back(run, "tokens_per_minute", f"rate:{Resource.TOTAL}", old, origin)
    rate = _rate("tokens_per_minute", text, 60.0)
    change = Change("tokens_per_minute", old, _shown(rate, 60.0))
    return change, lambda: run.lane.set(total_token_rate=rate, by=origin)


def _items_per_request(run: Run, text: str, origin: str) -> Planned:
    if text == _AUTO:
        return _handed_back(run, "items_per_request", "pack", str(run.parts.packs.size), origin)
    size = _whole("items_per_request", text, 1, MAX_ITEMS_PER_REQUEST)
    change = Change("items_per_request", str(run.parts.packs.size), str(size))
    return change, lambda: run.lane.set(items_per_request=size, by=origin)


def _max_cost(run: Run, text: str, origin: str) -> Planned:
    budget = run.parts.accounts.budget
    new = None if text in ("none", "off") else _money(text)
    old_words = "none" if budget.cap is None else usd(budget.cap)
    new_words = "none" if new is None else usd(new)
    if new is not None and not run.parts.accounts.pricer.is_known:
        raise BadKnob("max_cost: the price of the model is unknown, so no cap can hold; give [prices]")

    def apply() -> None:
        budget.set_cap(new)
        run.decided(Decision(run.wall(), "budget", old_words, new_words, f"set by {origin}", origin))
        if run.standing.halt is not None and run.standing.halt.reason == "budget":
            run.unhalt()
        run.parts.submitter.poke()

    return Change("max_cost", old_words, new_words), apply


def _tuner(run: Run, text: str, origin: str) -> Planned:
    if text not in ("on", "off"):
        raise BadKnob(f"tuner is {text!r}, and must be on or off")
    old = "on" if run.lane.is_tuning else "off"
    return Change("tuner", old, text), lambda: run.lane.tune(text == "on", by=origin)


KNOBS: dict[str, _Reader] = {
    "concurrency": _concurrency,
    "requests_per_second": _requests_per_second,
    "requests_per_minute": _requests_per_minute,
    "tokens_per_minute": _tokens_per_minute,
    "items_per_request": _items_per_request,
    "max_cost": _max_cost,
    "tuner": _tuner,
}


def _whole(key: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdecimal() or not low <= int(text[:10]) <= high:
        raise BadKnob(f"{key} is {text[:40]!r}, and must be a whole number from {low} to {high}")
    return int(text)


def _rate(key: str, text: str, unit_s: float) -> float | None:
    if text in ("none", "off"):
        return None
    number = _decimal(text)
    low, high = (rate * Decimal(unit_s) for rate in _RATES_PER_S)
    if number is None or not low <= number <= high:
        raise BadKnob(f"{key} is {text[:40]!r}, and must be a number from {low:f} to {high:f}, or none")
    return float(number) / unit_s


def _money(text: str) -> int:
    number = _decimal(text.removeprefix("$"))
    if number is None or not 0 < number <= _MAX_COST_USD:
        raise BadKnob(f"max_cost is {text[:40]!r}, and must be an amount of USD above 0, or none")
    return pusd(number)


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _shown(per_s: float | None, unit_s: float) -> str:
    return "none" if per_s is None else f"{per_s * unit_s:.10g}"
