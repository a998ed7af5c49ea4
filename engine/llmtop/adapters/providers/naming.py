"""Names an error: HTTP status and complaint to a type, an outcome, and whether asking again helps.

The body is tested before the status, and codes and types before message texts, since texts change.
The rows are those of the retry tables in docs/providers.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from llmtop.adapters.providers.complaints import Complaint
from llmtop.model import ErrorType, Outcome

_MONEY = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "insufficient_balance",
        "insufficient_credits",
        "billing_error",
    }
)
_KEY = frozenset(
    {
        "invalid_api_key",
        "api_key_invalid",
        "invalid_authentication",
        "invalid_issuer",
        "authentication_error",
        "account_deactivated",
        "unsupported_country_region_territory",
    }
)
_MODEL = frozenset(
    {
        "model_not_found",
        "model_not_available",
        "model_decommissioned",
        "deploymentnotfound",
        "invalid_model",
    }
)
_FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "invalid_prompt"}
)
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_BAD_ANSWER = frozenset({"json_validate_failed"})
"""The model's own JSON was broken (Groq): a new answer may be better."""
_OVERLOADED = frozenset({"server_is_overloaded", "overloaded_error", "overloaded", "engine_overloaded"})

_MONEY_TEXT = re.compile(
    r"insufficient (?:balance|credit|fund)|out of credit|no credits|credit balance|(?:spend|spending) limit"
    r"|add (?:more )?credits"
)
_NO_CREDIT_TEXT = re.compile(r"credit balance is too low|reached your specified (?:api )?usage limit")
"""Money that is gone, under a status of 400 (Anthropic)."""
_DAILY_TEXT = re.compile(r"per[- _]?day|daily|\brpd\b|\btpd\b")
_TOO_LONG_TEXT = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum context|prompt is too long|input is too long"
    r"|too many (?:input )?tokens|reduce the length|inputs tokens \+ max_new_tokens"
    r"|exceed context limit|token count .{0,60}exceeds"
)
_MODEL_TEXT = re.compile(r"not a valid model|model .{0,200}(?:does not exist|not found)|no such model")
_KEY_TEXT = re.compile(r"api key not valid|(?:invalid|incorrect|missing) api[ _-]?key")
_FILTERED_TEXT = re.compile(r"content (?:management )?policy|content filter|flagged|moderation")
_OVERLOADED_TEXT = re.compile(
    r"overload|server (?:is )?busy|maximum pending requests|at capacity|no capacity|loading model"
)
_CONCURRENCY_TEXT = re.compile(
    r"concurren|simultaneous|parallel requests|too many (?:open )?connections|in[- ]flight"
)
_TOKENS_TEXT = re.compile(r"tokens? per|\btpm\b|\btpd\b|token rate")
_REQUESTS_TEXT = re.compile(r"requests? per|\brpm\b|\brps\b|\brpd\b|request rate")

_LONGEST_DAILY_WAIT_S = 900.0
Scope = Literal["requests", "tokens", "concurrency"]


@dataclass(frozen=True, slots=True)
class Name:
    """What an error is. A refusal uses up no try; what is final is not repeated."""

    type: ErrorType
    outcome: Outcome
    scope: Scope | None = None

    @property
    def is_counted(self) -> bool:
        """Whether it uses up one of the item's tries: neither refusals nor stops do."""
        return not self.outcome.is_refusal and not self.outcome.is_stop

    @property
    def is_final(self) -> bool:
        """Whether asking again cannot help the item."""
        return self.outcome is Outcome.BAD


def name_error(status: int, said: Complaint, wait_s: float | None, exhausted: Scope | None) -> Name:
    """Name the error of an answer with `status`, 400 to 599.

    `wait_s`: what the server asked to wait. `exhausted`: the limit that its headers show as used up.
    """
    if status < 500 and (stop := _stop(status, said, wait_s)) is not None:
        return stop
    if status in (402, 429, 498):
        return _refusal(said, exhausted)
    if status in (503, 529) and (overload := _overload(status, said)) is not None:
        return overload
    if status == 408:
        return Name("timeout", Outcome.FAULT)
    if said.words & _TOO_LONG:
        return Name("context_length", Outcome.BAD)
    if said.words & _BAD_ANSWER:
        return Name("invalid_response", Outcome.FAULT)
    if status >= 500 or status in (409, 425):
        return Name("server_error", Outcome.FAULT)
    return _bad(said)


def _stop(status: int, said: Complaint, wait_s: float | None) -> Name | None:
    """Return what only a person can mend: money, key, permission, model, address."""
    if is_in_flight_budget(said) and wait_s is not None:
        return None
    is_money_text = status in (402, 403, 429) and wait_s is None and _MONEY_TEXT.search(said.lowered)
    is_credit_text = status == 400 and _NO_CREDIT_TEXT.search(said.lowered)
    if status == 402 or said.words & _MONEY or is_money_text or is_credit_text:
        return Name("quota_exhausted", Outcome.STOP_BILLING)
    if status == 429:
        is_daily = _DAILY_TEXT.search(said.lowered) or _has_daily_quota(said)
        is_long = wait_s is None or wait_s > _LONGEST_DAILY_WAIT_S
        return Name("quota_exhausted", Outcome.STOP_BILLING) if is_daily and is_long else None
    if said.words & _KEY or status in (401, 407) or (status == 400 and _KEY_TEXT.search(said.lowered)):
        return Name("authentication", Outcome.STOP_ACCESS)
    if said.words & _MODEL or status in (404, 405, 410) or _MODEL_TEXT.search(said.lowered):
        return Name("bad_request", Outcome.STOP_ACCESS)
    if (status == 403 or "failed_precondition" in said.words) and _about_the_item(said) is None:
        return Name("authentication", Outcome.STOP_ACCESS)
    return None


def is_in_flight_budget(said: Complaint) -> bool:
    """Whether the money is only reserved by running requests (OpenRouter): waiting helps."""
    return said.metadata.get("limit_source") == "openrouter_in_flight_budget"


def _has_daily_quota(said: Complaint) -> bool:
    """Whether Google's `QuotaFailure` names a quota per day."""
    if not isinstance(said.details, list):
        return False
    for detail in said.details[:20]:
        violations = detail.get("violations") if isinstance(detail, dict) else None
        for violation in violations[:20] if isinstance(violations, list) else ():
            if isinstance(violation, dict) and "PerDay" in str(violation.get("quotaId", "")):
                return True
    return False


def _refusal(said: Complaint, exhausted: Scope | None) -> Name:
    text = said.lowered
    if "slow_down" in said.words:
        return Name("rate_limit", Outcome.REFUSED_RAMP)
    if _CONCURRENCY_TEXT.search(text) or any("concurren" in word for word in said.words):
        return Name("rate_limit", Outcome.REFUSED_CONCURRENCY, "concurrency")
    if "tokens" in said.words or _TOKENS_TEXT.search(text):
        return Name("rate_limit", Outcome.REFUSED_RATE, "tokens")
    if "requests" in said.words or _REQUESTS_TEXT.search(text):
        return Name("rate_limit", Outcome.REFUSED_RATE, "requests")
    if exhausted is not None:
        return Name("rate_limit", Outcome.REFUSED_RATE, exhausted)
    if said.words & _OVERLOADED or "overload" in text:
        return Name("overloaded", Outcome.REFUSED_OVERLOAD)
    return Name("rate_limit", Outcome.REFUSED_UNKNOWN)


def _overload(status: int, said: Complaint) -> Name | None:
    if "slow_down" in said.words:
        return Name("overloaded", Outcome.REFUSED_RAMP)
    if status == 529 or said.words & _OVERLOADED or _OVERLOADED_TEXT.search(said.lowered):
        return Name("overloaded", Outcome.REFUSED_OVERLOAD)
    return None


def _about_the_item(said: Complaint) -> Name | None:
    """Return what is wrong with this very prompt, where the complaint says so."""
    if said.words & _TOO_LONG or _TOO_LONG_TEXT.search(said.lowered):
        return Name("context_length", Outcome.BAD)
    is_moderated = "flagged_input" in said.metadata or "reasons" in said.metadata
    if said.words & _FILTERED or is_moderated or _FILTERED_TEXT.search(said.lowered):
        return Name("content_filter", Outcome.BAD)
    return None


def _bad(said: Complaint) -> Name:
    return _about_the_item(said) or Name("bad_request", Outcome.BAD)
