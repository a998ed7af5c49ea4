"""Money: spent, reserved, the cap, where it will end, what was saved."""

from __future__ import annotations

from llmtop.snapshot import CostView
from llmtop_tui import format as fmt
from llmtop_tui.ink import Line, Span, line, said, spread, width_of
from llmtop_tui.looks import Looks, Role
from llmtop_tui.panels.words import TIGHT, skeleton, wished
from llmtop_tui.plot import bar, marked
from llmtop_tui.scene import Scene

TITLE = "Cost"


def lines(scene: Scene, width: int, height: int, looks: Looks) -> list[Line]:
    """Spent of the cap, bar with the projection, reserved, projected end, saved."""
    if scene.snapshot is None:
        return skeleton(("spent", "cap", "reserved", "at end", "saved"), 9)[:height]
    c = scene.snapshot.cost
    cap = wished(scene, "max_cost", fmt.money(c.cap_pusd) if c.cap_pusd is not None else "no cap", looks)
    is_tight = width < TIGHT
    share = "" if not c.cap_pusd else fmt.percent(c.spent_pusd / c.cap_pusd)
    return [
        spread(
            line("spent " if is_tight else "spent    ", *_spent(c), " of " if is_tight else "  of ", cap),
            line((share, "strong")),
            width,
        ),
        _bar(c, width, looks),
        _reserved(c, width),
        line("at end   ", *_projection(c, looks, 0 if width < TIGHT else width - 9)),
        line(
            "saved " if width < TIGHT else "saved    ",
            (fmt.round_money(c.saved_cache_pusd), "strong"),
            " cache " if width < TIGHT else " cache  ",
            (fmt.round_money(c.saved_batch_pusd), "strong"),
            " batch",
        ),
    ][:height]


def short(scene: Scene, width: int, looks: Looks) -> Line:
    """One line: spent of the cap, bar, projected end."""
    head = line((" cost ", "muted"))
    if scene.snapshot is None:
        return line(*head, ("-", "muted"))
    c = scene.snapshot.cost
    cap = wished(scene, "max_cost", fmt.money(c.cap_pusd) if c.cap_pusd is not None else "no cap", looks)
    saved = c.saved_cache_pusd + c.saved_batch_pusd
    spans: list[Span] = [*head, *_spent(c), (" of ", "plain"), cap, ("  ", "plain")]
    if width >= 76:
        spans += _bar(c, max(8, width // 4 - 2), looks)
    spans += [
        ("  end ", "plain"),
        *_projection(c, looks, 0),
    ]
    if saved:
        spans.append((f"  saved {fmt.round_money(saved)}", "plain"))
    return tuple(spans)


def _spent(c: CostView) -> Line:
    if not c.is_price_known and c.spent_pusd == 0:
        return line(("price unknown", "warn"))
    least = ">=" if c.is_at_least else ""
    return line((f"{least}{fmt.money(c.spent_pusd)}", "strong"))


def _bar(c: CostView, width: int, looks: Looks) -> Line:
    glyphs = looks.glyphs
    if not c.cap_pusd:
        return line(("price " + said(c.price_origin, width - 6), "muted"))
    text = bar(c.spent_pusd / c.cap_pusd, width, glyphs.full, glyphs.empty)
    filled = text.count(glyphs.full)
    if c.projected_pusd is not None:
        text = marked(text, min(c.projected_pusd / c.cap_pusd, 1.0), glyphs.projection)
    return line((text[:filled], _role(c, "good")), (text[filled:], "muted"))


def _role(c: CostView, calm: Role) -> Role:
    if c.cap_pusd is not None and c.spent_pusd + c.reserved_pusd >= c.cap_pusd:
        return "bad"
    return "warn" if c.does_cap_hold is False else calm


def _reserved(c: CostView, width: int) -> Line:
    parts: list[Span] = [("reserved ", "plain"), (fmt.money(c.reserved_pusd), "strong")]
    if width >= TIGHT:
        parts.append((f"  {said(c.price_origin, 30)}", "muted"))
    return tuple(parts)


def _projection(c: CostView, looks: Looks, room: int) -> Line:
    """What the run will have cost and whether the cap holds; between them the range, where there is room."""
    expected = line((fmt.round_money(c.projected_pusd), _role(c, "strong")))
    holds: Line = ()
    if c.does_cap_hold is not None:
        word = "cap holds" if c.does_cap_hold else f"{looks.glyphs.warn} over cap"
        holds = line((word, "plain" if c.does_cap_hold else "warn"))
    if c.projected_low_pusd is not None and c.projected_high_pusd is not None:
        low, high = fmt.round_money(c.projected_low_pusd), fmt.round_money(c.projected_high_pusd)
        whole = (*expected, *line(f" ({low[1:]}-{high[1:]})"), *(line(" ", *holds) if holds else ()))
        if width_of(whole) <= room:
            return whole
    return (*expected, *(line("  ", *holds) if holds else ()))
