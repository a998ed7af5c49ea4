"""Items to look at: those of the pictures and of the tests."""

from __future__ import annotations

import json

from llmtop.listing import AttemptRow, ItemDetail, ItemRow, ItemState, JobDetail, JobOutcome
from llmtop.model import RunCounts
from llmtop_tui.sample import AT


def _row(seq: int, state: ItemState, preview: str = "", error: tuple[str, str] | None = None) -> ItemRow:
    is_over = state in {"done", "rejected", "failed"}
    return ItemRow(
        seq=seq,
        id=f"m-{seq}",
        state=state,
        attempts=0 if state == "pending" else 2 if state == "failed" else 1,
        latency_ms=812 + seq % 97 if is_over else None,
        input_tokens=480 if is_over else None,
        output_tokens=81 if is_over else None,
        cost_pusd=34_000_000 if is_over else None,
        error_type=error[0] if error else None,
        error_message=error[1] if error else None,
        finished_at=AT - 60 if is_over else None,
        preview=preview,
    )


REJECTED = _row(12277, "rejected", error=("filtered", "reject: 12 foreign words, the limit is 10"))
_DONE = "De motie vraagt de regering om de treinverbinding te behouden."
ITEMS = (
    _row(12411, "in_flight"),
    _row(12412, "in_flight"),
    REJECTED,
    _row(11903, "rejected", error=("filtered", "scripts: nothing is left")),
    _row(884, "failed", error=("context_length", "the prompt has 40,112 tokens, the model takes 32,768")),
    *(_row(seq, "pending") for seq in range(12413, 12423)),
    *(_row(seq, "done", _DONE) for seq in range(8)),
)
_PROMPT = "Leg uit:\nMotie over het behoud van de treinverbinding\nDe Kamer, gehoord de beraadslaging, ..."
_RAW = "De motie vraagt geld.\nThe motion and which because of the filthy trains ...\nlageinkomen gaan voor."
_OUT = "De motie vraagt geld.\nThe motion and which because of the filthy trains ...\nlaag inkomen gaan voor."
_BODY = {"model": "mistral-small-2603", "choices": [{"message": {"role": "assistant", "content": _RAW}}]}
ITEM = ItemDetail(
    row=REJECTED,
    messages=(
        {"role": "system", "content": "Je bent een geduldige uitlegger."},
        {"role": "user", "content": _PROMPT},
    ),
    messages_note="",
    result={
        "id": REJECTED.id,
        "status": "rejected",
        "output": _OUT,
        "model": "mistral-small-2603",
        "pack_id": "p00824",
        "filters": [
            {"use": "scripts", "place": 1, "hits": 1, "what": "line 2: Arabic 94 % of letters"},
            {"use": "typos", "place": 3, "hits": 1, "what": "1 typos mended"},
            {"use": "reject", "place": 4, "hits": 12, "reason": "12 foreign words, the limit is 10"},
        ],
    },
    attempts=(
        AttemptRow(
            id=824,
            number=1,
            started_at=AT - 62.5,
            ended_at=AT - 60,
            outcome="ok",
            http_status=200,
            error_type=None,
            error_message=None,
            retry_after_s=None,
            latency_ms=2500,
            cost_pusd=34_000_000,
            is_maybe_billed=False,
            request_id="req_7d1c",
            body=json.dumps(_BODY, ensure_ascii=False),
        ),
    ),
)
JOB_DETAIL = JobDetail(
    2,
    RunCounts(9000, done=8, rejected=2, failed=1),
    (
        JobOutcome("context_length", 1, AT - 1200, "the prompt has 40,112 tokens, the model takes 32,768"),
        JobOutcome("open", 8989, None, ""),
        JobOutcome("answered", 10, AT - 60, ""),
    ),
)
