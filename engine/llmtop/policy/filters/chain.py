"""Filters in a row over one output: what comes out, what each did, and who rejected it.

A text is one leaf. Of a structured output (a parsed JSON value) every string is a leaf: filters
that change texts go leaf by leaf and keep the structure; filters that judge see all leaves, joined
by line ends. Keys, numbers and truths are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from llmtop.model import Item
from llmtop.policy.filters.duplicate import DigestMemory, Duplicate
from llmtop.policy.filters.verdicts import (
    Changed,
    Filter,
    FilterContext,
    OnReject,
    Pass,
    Rejected,
    Seen,
    Verdict,
)

_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One filter, and what follows when it rejects."""

    filter: Filter
    on_reject: OnReject = "keep"
    """"keep": the item is rejected; "retry": it is asked again first."""
    max_asks: int = 1
    """How often an item is asked at the most because of this filter, the first time included."""
    explain: bool = False
    """Whether the reason goes into the next prompt."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Who rejected an output, why, and what follows."""

    use: str
    place: int
    """Position in the chain, from 1."""
    rule: str
    reason: str
    text: str
    """What was rejected, as the earlier filters left it."""
    step: Step

    @property
    def message(self) -> str:
        """One sentence for `error.message`."""
        return f"{self.rule}: {self.reason}"

    def is_asked_again(self, asks: int) -> bool:
        """Whether an item that has been asked `asks` times is asked once more."""
        return self.step.on_reject == "retry" and asks < self.step.max_asks

    @property
    def explanation(self) -> str | None:
        """What the next prompt says about it, or None."""
        if not self.step.explain:
            return None
        return f"Your previous answer could not be used: it {self.reason}. Answer again, without that fault."


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What became of an output."""

    output: Any
    """As the filters left it, also where it was rejected."""
    trail: tuple[Mapping[str, Any], ...]
    """What each filter that did something did, for `Result.filters`: use, place, hits and what or reason."""
    rejected_by: Rejection | None = None


class FilterChain:
    """Runs its filters in order; the first that rejects ends it. Holds no state of a run."""

    def __init__(self, steps: Sequence[Step], *, remember: int = 0) -> None:
        self.steps = tuple(steps)
        self._remember = remember

    def __repr__(self) -> str:
        return f"FilterChain({', '.join(step.filter.name for step in self.steps)})"

    def __len__(self) -> int:
        return len(self.steps)

    def memory(self) -> DigestMemory:
        """Return a new memory of outputs, as large as the chain needs: one for each run."""
        return DigestMemory(max(1, self._remember))

    def apart(self) -> tuple[FilterChain, ...]:
        """Return each filter as a chain of its own, for whoever wants to see what each one does."""
        return tuple(FilterChain((step,), remember=self._remember) for step in self.steps)

    def run(self, output: Any, item: Item, seen: Seen) -> ChainResult:
        """Filter an output: a text, or a parsed JSON value. Raises for none."""
        passage = self.passage(output, item, seen)
        passage.go_on()
        return passage.result

    def passage(self, output: Any, item: Item, seen: Seen, elsewhere: Collection[int] = ()) -> Passage:
        """Begin to filter an output, for a caller that asks the filters at the places `elsewhere` itself."""
        return Passage(self.steps, output, item, seen, elsewhere)

    def remember(self, output: Any, item: Item, seen: Seen) -> None:
        """Tell `seen` of an output that was accepted before, as the filters that compare outputs would."""
        context = FilterContext(item, seen, output)
        for step in self.steps:
            if step.filter.name == Duplicate.name:
                step.filter.apply(_whole(output), context)


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter that the chain does not run itself, and the texts of the output to ask it about."""

    place: int
    texts: tuple[str, ...]


class Passage:
    """One output on its way through a chain."""

    def __init__(
        self, steps: Sequence[Step], output: Any, item: Item, seen: Seen, elsewhere: Collection[int]
    ) -> None:
        self._steps = steps
        self._elsewhere = elsewhere
        self._output = output
        self._context = FilterContext(item, seen, output)
        self._trail: list[Mapping[str, Any]] = []
        self._rejection: Rejection | None = None
        self._place = 1

    @property
    def result(self) -> ChainResult:
        """What became of the output so far."""
        return ChainResult(self._output, tuple(self._trail), self._rejection)

    def go_on(self) -> Asked | None:
        """Run filters until one is to be asked elsewhere, which is returned; None: it is through."""
        while self._place <= len(self._steps) and self._rejection is None:
            rule = self._steps[self._place - 1].filter
            if self._place in self._elsewhere:
                return Asked(self._place, tuple(_texts(self._output)))
            self._take(rule.name, *_applied(rule, self._output, self._context))
        return None

    def told(self, verdicts: Sequence[Verdict]) -> None:
        """Go past the filter that was asked elsewhere: its verdicts on the texts, in their order."""
        rule = _AsTold(self._steps[self._place - 1].filter.name, verdicts)
        self._take(rule.name, *_applied(rule, self._output, self._context))

    def _take(self, name: str, output: Any, verdict: Verdict) -> None:
        place, self._place = self._place, self._place + 1
        if isinstance(verdict, Pass):
            return
        self._output = output
        entry = {"use": name, "place": place, "hits": verdict.hits}
        if isinstance(verdict, Rejected):
            self._trail.append({**entry, "reason": verdict.reason})
            text, step = _whole(output), self._steps[place - 1]
            self._rejection = Rejection(name, place, verdict.rule, verdict.reason, text, step)
            return
        self._trail.append({**entry, "what": verdict.what})
        self._context = replace(self._context, value=output)


class _AsTold:
    """A filter that says what it was told, text by text."""

    sees: Literal["leaf", "whole"] = "leaf"

    def __init__(self, name: str, verdicts: Sequence[Verdict]) -> None:
        self.name = name
        self._verdicts = iter(verdicts)

    def apply(self, text: str, context: FilterContext) -> Verdict:
        return next(self._verdicts)


class FilterCounts:
    """Hits of one chain's filters, added up over a run: the state that the chain does not hold."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: what `use` calls the filters, in order."""
        self.names = tuple(names)
        self.hits = [0] * len(names)
        self.changed = [0] * len(names)
        self.rejected = [0] * len(names)
        self.asked_again = [0] * len(names)

    def add(self, trail: Iterable[Any], *, is_asked_again: bool = False) -> None:
        """Count what the filters did to one output; what is of another chain is left out.

        `is_asked_again`: its item was asked again, so that the rejection is not the last word.
        """
        for entry in trail:
            if self._is_ours(entry):
                place = entry["place"] - 1
                self.hits[place] += entry.get("hits", 0)
                if "reason" not in entry:
                    self.changed[place] += 1
                elif is_asked_again:
                    self.asked_again[place] += 1
                else:
                    self.rejected[place] += 1

    def _is_ours(self, entry: Any) -> bool:
        place = entry.get("place") if isinstance(entry, Mapping) else None
        if not isinstance(place, int) or not 1 <= place <= len(self.names):
            return False
        return bool(self.names[place - 1] == entry.get("use"))


def _applied(rule: Filter, output: Any, context: FilterContext) -> tuple[Any, Verdict]:
    if isinstance(output, str):
        verdict = _judged(rule, output, context)
        return (verdict.text if isinstance(verdict, Changed) else output), verdict
    if rule.sees == "whole":
        return output, rule.apply(_whole(output), context)
    return _LeafByLeaf(rule, context).applied(output)


def _judged(rule: Filter, text: str, context: FilterContext) -> Verdict:
    """Apply a filter to a leaf. One that leaves nothing of it has rejected it: blank is no answer."""
    verdict = rule.apply(text, context)
    if isinstance(verdict, Changed) and not verdict.text.strip() and text.strip():
        return Rejected(rule.name, f"has nothing left ({verdict.what})", verdict.hits)
    return verdict


class _LeafByLeaf:
    """One filter over all texts of a structured output; the first rejection stands."""

    def __init__(self, rule: Filter, context: FilterContext) -> None:
        self._rule = rule
        self._context = context
        self._hits = 0
        self._what: list[str] = []
        self._rejected: Rejected | None = None

    def applied(self, output: Any) -> tuple[Any, Verdict]:
        changed = _mapped(output, self._leaf, 0)
        if self._rejected is not None:
            return output, self._rejected
        if not self._what:
            return output, Pass()
        return changed, Changed("", self._hits, "; ".join(dict.fromkeys(self._what)))

    def _leaf(self, text: str) -> str:
        if self._rejected is not None:
            return text
        verdict = _judged(self._rule, text, self._context)
        if isinstance(verdict, Rejected):
            self._rejected = verdict
        elif isinstance(verdict, Changed):
            self._hits += verdict.hits
            self._what.append(verdict.what)
            return verdict.text
        return text


def _mapped(value: Any, leaf: Callable[[str], str], depth: int) -> Any:
    """Return the value with each of its texts mapped; what lies deeper than an answer may is left alone."""
    if isinstance(value, str):
        return leaf(value)
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: _mapped(inner, leaf, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(inner, leaf, depth + 1) for inner in value]
    return value


def _whole(output: Any) -> str:
    return output if isinstance(output, str) else "\n".join(_texts(output))


def _texts(output: Any) -> list[str]:
    leaves: list[str] = []

    def keep(text: str) -> str:
        leaves.append(text)
        return text

    _mapped(output, keep, 0)
    return leaves
