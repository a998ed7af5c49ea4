from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from llmtop.adapters.simulator import (
    PROFILES,
    CapacityStep,
    FaultStep,
    Profile,
    load_profile,
    profile_from,
)
from llmtop.adapters.simulator.vocabulary import (
    BATCH_LINE_TROUBLES,
    BATCH_TROUBLES,
    FAULT_KINDS,
    PACK_TROUBLES,
)
from llmtop.errors import ConfigError, LlmtopError

GUIDE = Path(__file__).parents[3] / "docs" / "simulator.md"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile": "fst"}, "did you mean `fast`?"),
        ({"profil": "fast"}, "did you mean `profile`?"),
        ({"concurency": 3}, "did you mean `concurrency`?"),
        ({"profile": 3}, "profile: is 3"),
        ({"concurrency": True}, "a whole number"),
        ({"concurrency": 2.5}, "a whole number"),
        ({"concurrency": -1}, "from 0"),
        ({"latency_s": "1"}, "a number"),
        ({"latency_s": math.nan}, "from 0"),
        ({"latency_s": math.inf}, "from 0"),
        ({"latency": "unifrm"}, "did you mean `uniform`?"),
        ({"latency": "uniform", "latency_min_s": 2, "latency_max_s": 1}, "below latency_min_s"),
        ({"rate_headers": 1}, "true or false"),
        ({"models": "one"}, "a list of texts"),
        ({"models": [1]}, "a list of texts"),
        ({"faults": {"http_5000": 0.1}}, "did you mean `http_500`?"),
        ({"faults": {"http_500": 0.6, "hang": 0.6}}, "add up to 1 at most"),
        ({"faults": {"http_500": 1.5}}, "from 0 to 1"),
        ({"faults": [1]}, "a table of shares"),
        ({"pack_trouble": {"droped": 1}}, "did you mean `dropped`?"),
        ({"always_fail": "("}, "not a regular expression"),
        ({"always_fail_kind": "http_501"}, "did you mean"),
        ({"id_pattern": "id=.*"}, "no group"),
        ({"concurrency_status": 500}, "429, 503 or 529"),
        ({"fault_steps": [{"from_s": 1, "kind": "hang"}]}, "without to_s"),
        ({"fault_steps": [{"from_s": 2, "to_s": 1, "kind": "hang"}]}, "not after from_s"),
        ({"fault_steps": [{"from_s": 0, "to_s": 1, "kind": "hung"}]}, "did you mean `hang`?"),
        ({"fault_steps": {"kind": "hang"}}, "a list of tables"),
        ({"fault_steps": ["hang"]}, "Use tables"),
        ({"capacity_steps": [{"at_s": 1, "factor": 1, "faktor": 1}]}, "did you mean `factor`?"),
        ({"capacity_steps": [{"at_s": 2, "factor": 1}, {"at_s": 1, "factor": 1}]}, "in order"),
        ({"capacity_steps": [{"at_s": 20, "factor": 1}], "capacity_repeat_s": 10}, "longer than the last"),
    ],
)
def test_a_wrong_setting_is_a_config_error_that_says_what_would_be_right(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(settings)

    assert said in str(caught.value)


def test_settings_override_the_named_profile() -> None:
    profile = load_profile(
        {
            "profile": "two_per_second",
            "requests_per_second": 3,
            "faults": {"http_500": 0.5},
            "fault_steps": [{"from_s": 1, "to_s": 2, "kind": "hang"}],
            "capacity_steps": [{"at_s": 20, "factor": 0.5}],
            "models": ["a"],
        }
    )

    assert (profile.requests_per_second, profile.burst, profile.latency_max_s) == (3.0, 2.0, 5.0)
    assert profile.faults == {"http_500": 0.5}
    assert profile.fault_steps == (FaultStep(1.0, 2.0, "hang", 1.0),)
    assert profile.capacity_steps == (CapacityStep(20.0, 0.5),)
    assert profile.models == ("a",)


def test_without_a_name_it_is_the_quickstart_profile() -> None:
    assert load_profile({}) == PROFILES["quickstart"]


def test_a_file_describes_a_profile_and_may_start_from_a_named_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('profile = "fast"\nconcurrency = 7\n[faults]\nhttp_500 = 0.25\n')

    profile = profile_from(str(file))

    assert (profile.name, profile.concurrency, profile.latency_s) == ("mine", 7, 0.05)
    assert profile.faults == {"http_500": 0.25}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"concurrency = ", "not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "larger than 1 MiB"),
        (b"concurency = 1", "did you mean `concurrency`?"),
        (b"profile = 'fst'", "did you mean `fast`?"),
        (b"profile = 3", "profile: is 3"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)

    with pytest.raises(LlmtopError) as caught:
        profile_from(str(file))

    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_that_is_missing_or_a_folder_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()

    with pytest.raises(ConfigError, match="does not exist"):
        profile_from(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="not a file"):
        profile_from(str(tmp_path / "folder.toml"))


def test_every_named_profile_has_a_line_of_description() -> None:
    for name, profile in PROFILES.items():
        assert profile.name == name
        assert 10 < len(profile.description) < 100


def test_the_guide_names_every_setting_profile_fault_and_trouble() -> None:
    guide = GUIDE.read_text("utf-8")
    names = [*(each.name for each in fields(Profile)), *PROFILES, *FAULT_KINDS, *PACK_TROUBLES]
    names += [*BATCH_LINE_TROUBLES, *BATCH_TROUBLES]

    assert [name for name in names if f"`{name}`" not in guide] == []
