"""The error bodies of an OpenAI-like server, by the reference of its API. Pure."""

from __future__ import annotations

from typing import Any


class Complaint(Exception):
    """A request that is answered with an error status at once."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str | None = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, type_, param, code)
        self.reason = code or f"http_{status}"


def error_body(message: str, type_: str | None, param: str | None, code: str | int | None) -> dict[str, Any]:
    """Return `{"error": {...}}` as OpenAI writes it."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def not_json() -> Complaint:
    return Complaint(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid "
        "JSON.)",
    )


def no_model() -> Complaint:
    return Complaint(400, "you must provide a model parameter")


def missing(param: str) -> Complaint:
    return Complaint(
        400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def wrong_type(param: str, wanted: str) -> Complaint:
    return Complaint(400, f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")


def below(param: str, least: float, got: float) -> Complaint:
    return Complaint(
        400,
        f"Invalid '{param}': value below minimum value. "
        f"Expected a value >= {least:g}, but got {got:g} instead.",
        param=param,
        code="integer_below_min_value",
    )


def above(param: str, most: float, got: float) -> Complaint:
    return Complaint(
        400,
        f"Invalid '{param}': value above maximum value. "
        f"Expected a value <= {most:g}, but got {got:g} instead.",
        param=param,
        code="decimal_above_max_value",
    )


def invalid_value(param: str, message: str) -> Complaint:
    return Complaint(400, message, param=param, code="invalid_value")


def unsupported_parameter(param: str, instead: str) -> Complaint:
    return Complaint(
        400,
        f"Unsupported parameter: '{param}' is not supported with this model. Use '{instead}' instead.",
        param=param,
        code="unsupported_parameter",
    )


def word_json_missing() -> Complaint:
    return Complaint(
        400,
        "'messages' must contain the word 'json' in some form, to use 'response_format' "
        "of type 'json_object'.",
        param="messages",
    )


def invalid_schema(name: str, problem: str) -> Complaint:
    return Complaint(400, f"Invalid schema for response_format '{name}': {problem}", param="response_format")


def context_too_long(limit: int, prompt_tokens: int, output_tokens: int) -> Complaint:
    parts = f"your messages resulted in {prompt_tokens} tokens"
    if output_tokens:
        total = prompt_tokens + output_tokens
        parts = f"you requested {total} tokens ({prompt_tokens} in, {output_tokens} out)"
    return Complaint(
        400,
        f"This model's maximum context length is {limit} tokens. However, {parts}. "
        "Please reduce the length of the messages or completion.",
        param="messages",
        code="context_length_exceeded",
    )


def blocked() -> Complaint:
    return Complaint(
        400,
        "Your request was rejected as a result of our safety system.",
        code="content_policy_violation",
    )


def model_not_found(model: str) -> Complaint:
    return Complaint(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )


def no_key() -> Complaint:
    return Complaint(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def wrong_key(key: str, *, is_echoed: bool) -> Complaint:
    shown = key if is_echoed else f"{key[:3]}{'*' * 8}{key[-2:]}"
    return Complaint(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")


def unknown_url(method: str, path: str) -> Complaint:
    return Complaint(
        404, f"Unknown request URL: {method} {path}. Please check the URL for typos.", code="unknown_url"
    )


def wrong_method(method: str, path: str) -> Complaint:
    return Complaint(405, f"Not allowed to {method} on {path}.", code="method_not_supported")


def too_large() -> Complaint:
    return Complaint(413, "Request body is too large.", code="request_too_large")
