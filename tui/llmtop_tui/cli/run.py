"""`llmtop run` and `llmtop demo`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Annotated

import llmtop
from llmtop.errors import StateError, UsageError
from llmtop.snapshot import RunLine
from llmtop_tui.cli.common import Common, option
from llmtop_tui.cli.configs import (
    AllowCodeOption,
    ConcurrencyOption,
    ConfigArguments,
    CostOption,
    LimitOption,
    OutputOption,
    RequestsOption,
    SetOption,
    TokensOption,
    load_all,
)
from llmtop_tui.cli.plan import show_plans
from llmtop_tui.cli.starting import DisplayOption, SlowOption, Start, start

YesOption = Annotated[
    bool, option("--yes", help="Ask nothing: start although no cap is set and it may cost over $10.")
]
FreshOption = Annotated[bool, option("--fresh", help="Always a new run; deletes nothing.")]
DetachOption = Annotated[
    bool, option("--detach", help="Leave the engine in the background; print run id and pid.")
]
ExitZeroOption = Annotated[bool, option("--exit-zero", help="Exit 0 although items failed or were rejected.")]


def run(
    common: Common,
    configs: ConfigArguments,
    display: DisplayOption = None,
    detach: DetachOption = False,
    resume: Annotated[
        str | None,
        option("--resume", metavar="[RUN]", help="Go on with this run; alone: with the config's newest one."),
    ] = None,
    fresh: FreshOption = False,
    limit: LimitOption = None,
    set_: SetOption = None,
    concurrency: ConcurrencyOption = None,
    max_requests_per_minute: RequestsOption = None,
    max_tokens_per_minute: TokensOption = None,
    max_cost: CostOption = None,
    output: OutputOption = None,
    dry_run: Annotated[bool, option("--dry-run", help="As `llmtop plan`: nothing is sent.")] = False,
    yes: YesOption = False,
    exit_zero: ExitZeroOption = False,
    allow_code: AllowCodeOption = False,
    slow: SlowOption = False,
    metrics_port: Annotated[
        int | None,
        option(
            "--metrics-port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve figures for Prometheus on 127.0.0.1 (extra `metrics`).",
        ),
    ] = None,
) -> int:
    """Start the runs of these TOML files, with the dashboard.

    All in one process. An unfinished run of the same config goes on where
    it was; a finished one does nothing.
    """
    flags = {
        "input.limit": limit,
        "execution.concurrency": concurrency,
        "limits.requests_per_minute": max_requests_per_minute,
        "limits.tokens_per_minute": max_tokens_per_minute,
        "budget.max_cost": max_cost,
        "output.path": output,
    }
    if fresh and resume is not None:
        raise UsageError("--fresh", "contradicts --resume", "Keep one of them")
    loaded = load_all(configs, overrides=set_ or (), flags=flags)
    if dry_run:
        return show_plans(common, loaded, allow_code=allow_code)
    if resume is not None and len(loaded) != 1:
        raise UsageError(
            "--resume",
            f"names one run, and there are {len(loaded)} configs",
            "Leave it out: resuming is the default",
        )
    resumed = loaded[0].name if resume == BARE_RESUME else resume
    how = Start(display, detach, resumed, fresh, yes, exit_zero, slow, allow_code, metrics_port)
    return start(common, loaded, how)


BARE_RESUME = ""


def fill_bare_resume(words: list[str]) -> list[str]:
    """Give `--resume` without a RUN its empty value: the parser knows no optional ones.

    The next word is a RUN unless it is an option or looks like a config file.
    """
    filled: list[str] = []
    for at, word in enumerate(words):
        if word == "--":
            return filled + words[at:]
        following = words[at + 1] if at + 1 < len(words) else "-"
        if word == "--resume" and (following.startswith("-") or _is_config(following)):
            filled.append(f"--resume={BARE_RESUME}")
        else:
            filled.append(word)
    return filled


def _is_config(word: str) -> bool:
    return word.endswith(".toml") or "/" in word or "*" in word


def demo(
    common: Common,
    display: DisplayOption = None,
    detach: DetachOption = False,
    fresh: FreshOption = False,
    limit: LimitOption = None,
    exit_zero: ExitZeroOption = False,
    slow: SlowOption = False,
) -> int:
    """Run the quickstart on the embedded simulator.

    No key, no network, about a minute.
    """
    with ExitStack() as open_files:
        config = sample("quickstart.toml", open_files)
        home = common.home()
        results = home.folder / "demo"
        results.mkdir(mode=0o700, exist_ok=True)
        flags = {"input.limit": limit, "output.path": str(results / "explanations.jsonl")}
        loaded = load_all([str(config)], flags=flags)
        is_fresh = fresh or not _is_unfinished(home.runs(), loaded[0].name)
        return start(common, loaded, Start(display, detach, None, is_fresh, True, exit_zero, slow))


def _is_unfinished(lines: Sequence[RunLine], name: str) -> bool:
    """Return whether the newest run of this name has something left: a demo that is over begins anew."""
    newest = next((line for line in lines if line.name == name), None)
    return newest is not None and newest.state not in ("finished", "cancelled", "failed")


def sample(name: str, open_files: ExitStack) -> Path:
    """Return the path of a sample config: inside the installed package, else in the checkout."""
    packaged = resources.files(llmtop) / "sample_configs" / name
    if packaged.is_file():
        folder = open_files.enter_context(resources.as_file(resources.files(llmtop) / "sample_configs"))
        return folder / name
    checkout = Path(llmtop.__file__).resolve().parents[2] / "sample_configs" / name
    if checkout.is_file():
        return checkout
    raise StateError(name, "is missing from this installation", "Install llmtop-run again")
