"""The commented config that `llmtop init` writes. It loads as it stands."""

from __future__ import annotations

STARTER_CONFIG = '''\
# A run of llmtop. Check it with `llmtop plan llmtop.toml`, start it with `llmtop run llmtop.toml`.
# Every key is explained in docs/configuration.md. Relative paths are relative to this file.

# name = "explanations"              # default: this file's name

[provider]
kind = "openai"                      # OpenAI and everything compatible; "simulator": no key, no network
model = "gpt-5.4-mini"
# base_url = "https://openrouter.ai/api/v1"
# api_key_env = "OPENAI_API_KEY"     # the variable that holds the key, never the key itself; "" for none
# timeout = "120s"

[input]
path = "items.jsonl"                 # .jsonl .csv .tsv .txt, each also .gz; "-" for stdin
# id_field = "id"
# limit = 20                         # try it on a few items first

[request]
# system = "You explain things in plain words."
prompt = """
Explain in two sentences, in plain words:
{text}
"""                                  # {field} of the item; {{ and }} are literal braces
# temperature = 0.2
max_output_tokens = 300

[execution]
concurrency = "1-8-64"               # a number, MIN-MAX or MIN-START-MAX

# [limits]                           # what your provider allows you
# requests_per_minute = 500
# tokens_per_minute = 200000

# [budget]
# max_cost = 5.00                    # USD; the run pauses before it is passed

# [prices]                           # USD per million tokens, where the price table does not know the model
# input = 0.75
# output = 4.50

[output]
path = "results.jsonl"               # one line a finished item, written while the run goes
'''
