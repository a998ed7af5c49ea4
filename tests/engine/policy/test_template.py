"""`{field}` of an item, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtop.config.schema import RequestConfig
from llmtop.errors import ConfigError, InputError
from llmtop.model import Item
from llmtop.policy.rendering import chat_request, needed_fields
from llmtop.policy.template import Template

NAMES = st.text(st.characters(exclude_characters='.[]:!{}\n"', codec="utf-8"), min_size=1).filter(
    lambda name: name == name.strip()
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "a { that is never closed (line 1, column 1"),
        ("a\nbc}", "a single } (line 2, column 3"),
        ("{}", "empty braces"),
        ("{ a }", "spaces around"),
        ("{a.b}", "an attribute"),
        ("{a[0]}", "an index"),
        ("{a:>9}", "a format spec"),
        ("{a!r}", "a conversion"),
        ("{a{b}}", "a brace"),
        ('{\n"a": 1}', "a line end"),
        ("{{{a.__class__}}}", "an attribute"),
        ("}{a}", "a single }"),
    ],
)
def test_anything_but_a_fields_name_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Template(text)

    assert said in str(caught.value)
    assert caught.value.where == "request.prompt"


def test_doubled_braces_are_literal_and_braces_in_values_are_data() -> None:
    template = Template('{{"q": "{q}"}} {{{q}}}')

    assert template.render({"q": "{q} {{x}}"}) == '{"q": "{q} {{x}}"} {{q} {{x}}}'
    assert template.fields == {"q"}


def test_values_that_are_no_text_go_in_as_compact_json_and_null_as_nothing() -> None:
    fields = {"a": None, "b": True, "c": 1.5, "d": [1, {"é": "ü"}], "e": "t"}

    assert Template("{a}|{b}|{c}|{d}|{e}").render(fields) == '|true|1.5|[1,{"é":"ü"}]|t'


def test_a_missing_field_is_an_input_error_that_names_it() -> None:
    with pytest.raises(InputError, match="titel"):
        Template("{titel}").render({"title": "x"})


@given(NAMES, st.text())
def test_any_field_is_filled_in_as_it_is(name: str, value: str) -> None:
    assert Template(f"<{{{name}}}>").render({name: value}) == f"<{value}>"


@given(st.text())
def test_a_text_with_doubled_braces_renders_to_itself(text: str) -> None:
    template = Template(text.replace("{", "{{").replace("}", "}}"))

    assert template.render({}) == text
    assert not template.fields


@given(st.text(alphabet="{}ab.[]:! \n"))
def test_a_template_is_taken_or_refused_and_nothing_else(text: str) -> None:
    try:
        template = Template(text)
    except ConfigError:
        return
    template.render(dict.fromkeys(template.fields, "x"))


def test_plain_fields_become_a_system_and_a_user_message() -> None:
    config = RequestConfig(system="Be {brief}", temperature=0.5, max_output_tokens=9, extra={"top_p": 1})

    request = chat_request(config, "m", Template("Hi {a}"), Item(0, "1", {"a": "you"}))

    assert request.messages == (
        {"role": "system", "content": "Be {brief}"},
        {"role": "user", "content": "Hi you"},
    )
    assert (request.model, request.temperature, request.max_output_tokens) == ("m", 0.5, 9)
    assert request.extra == {"top_p": 1}


def test_ready_messages_pass_through_untouched() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "{a}"}]}]

    request = chat_request(
        RequestConfig(system="s"), "m", Template("{a}"), Item(0, "1", {"messages": messages}, "messages")
    )

    assert list(request.messages) == messages


def test_a_batch_lines_body_is_taken_as_it_is_and_keeps_its_model() -> None:
    body = {"model": "own", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}

    request = chat_request(
        RequestConfig(), "m", None, Item(0, "1", {"custom_id": "1", "body": body}, "openai")
    )

    assert request.raw_body is body
    assert (request.model, request.max_output_tokens) == ("own", 5)


def test_an_anthropic_batch_lines_params_are_taken_as_they_are() -> None:
    params = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5, "system": "s"}

    request = chat_request(
        RequestConfig(), "m", None, Item(0, "1", {"custom_id": "1", "params": params}, "anthropic")
    )

    assert request.raw_body is params
    assert (request.model, request.max_output_tokens) == ("m", 5)
    assert [message["role"] for message in request.messages] == ["system", "user"]


def test_plain_fields_without_a_prompt_cannot_be_asked() -> None:
    with pytest.raises(InputError, match=r"line 7: .*Set request\.prompt"):
        chat_request(RequestConfig(), "m", None, Item(3, "1", {"a": 1}, line=7))


def test_no_prompt_means_that_no_plain_item_will_do() -> None:
    assert needed_fields(None) is None
    assert needed_fields(Template("none")) == frozenset()
