"""Tiny random checkpoints of every supported family and variant, and what transformers makes of them: logits, a greedy
continuation, tokens of odd texts, rendered prompts. The test crates/lm/tests/families.rs compares.

    python scripts/golden_families.py FOLDER     write them into FOLDER (about 5 MB)
    ... --small                                  only few of them, and fewer texts: what is committed (< 400 kB)

Needs what scripts/requirements-golden.txt names, and for the adapters PEFT (scripts/requirements-peft.txt); without it
they are left out, and said so. The templates here are this project's own: they use what well-known ones use.
"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

HERE = pathlib.Path(__file__).resolve().parent
SIZE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256)
LLAMA3 = dict(
    rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
YARN = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=64)
# name: (family, settings, number format, tokenizer)
CASES = {
    "gemma3": (Gemma3TextConfig, dict(num_key_value_heads=2, head_dim=16, sliding_window=40, query_pre_attn_scalar=24, layer_types=["sliding_attention", "full_attention"]), "float32", None),
    "llama": (LlamaConfig, dict(num_key_value_heads=4), "float32", "sentencepiece"),
    "llama3": (LlamaConfig, dict(num_key_value_heads=2, rope_parameters=LLAMA3, tie_word_embeddings=True, head_dim=16), "float32", "llama3"),
    "llama-linear": (LlamaConfig, dict(num_key_value_heads=1, rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=2.0)), "float32", None),
    "llama-biases": (LlamaConfig, dict(num_key_value_heads=2, attention_bias=True, mlp_bias=True), "float32", None),
    "llama-f16": (LlamaConfig, dict(num_key_value_heads=2), "float16", None),
    "llama-sharded": (LlamaConfig, dict(num_key_value_heads=2, rms_norm_eps=1e-5), "float32", None),
    "qwen2": (Qwen2Config, dict(num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6)), "bfloat16", "qwen"),
    "qwen2-f32": (Qwen2Config, dict(num_key_value_heads=2), "float32", None),
    "qwen2-window": (Qwen2Config, dict(num_key_value_heads=2, use_sliding_window=True, sliding_window=40, max_window_layers=1), "float32", None),
    "qwen2-yarn": (Qwen2Config, dict(num_key_value_heads=2, rope_parameters=YARN), "float32", None),
    "qwen3": (Qwen3Config, dict(num_key_value_heads=2, head_dim=16, tie_word_embeddings=True), "float32", "qwen"),
    "qwen3-biases": (Qwen3Config, dict(num_key_value_heads=1, head_dim=16, attention_bias=True), "float32", None),
    "qwen3-bf16": (Qwen3Config, dict(num_key_value_heads=2, head_dim=8), "bfloat16", None),
}
SMALL = ["llama3", "qwen2", "qwen3"]
ADAPTED = {"llama": dict(r=4, lora_alpha=8), "qwen2": dict(r=3, lora_alpha=5, use_rslora=True),
           "qwen3": dict(r=2, lora_alpha=7, target_modules=["q_proj", "down_proj"], layers_to_transform=[1])}
TEXTS = [
    "", " ", "  two  blanks ", "\n\n\ttab\r\nend\n", "Hello, World! it's THE end; they'LL go.", "1234567 3.14 1,000",
    "ümlaut éàç 漢字 かな 한국어 🦀👩‍🚀 \u200d\ufeff\u00a0x", "def f(x):\n    return x**2  # no\n", "<|im_start|>user\nhi<|im_end|>",
    "a<s>b</s>c <unk>", "e\u0301 ﬁ Ⅷ ½", "x" * 40 + " " * 17 + "y", "\x00\x01\x7f", "<tool_call>\n{\"a\": 1}\n</tool_call>",
]
CORPUS = TEXTS + [
    "The assistant answers in a few words. The user asks what the low is and what the high is.",
    "def add(a, b):\n    return a + b\n\nfor i in range(10):\n    print(add(i, 2))\n",
] * 20

# A format of marks at both ends of a turn, with tools in the system text and answers of tools gathered in one turn.
MARKS = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "You may use these tools:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\nCall one as <tool_call>{\\"name\\": ..., \\"arguments\\": ...}</tool_call><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are of help.<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(asked=-1, seen=0) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.asked < 0 and message.role == "user" and message.content is string %}
        {%- set ns.asked = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content if message.content is defined and message.content is not none else '' %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' ~ message.role ~ '\\n' }}
        {%- if loop.index0 > ns.asked and (loop.last or thought) %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content }}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function is defined %}{% set call = call.function %}{% endif %}
            {%- if not loop.first or content %}{{- '\\n' }}{% endif %}
            {{- '<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{% else %}{{- call.arguments | tojson }}{% endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (loop.previtem.role != "tool") %}{{- '<|im_start|>user' }}{% endif %}
        {{- '\\n<tool_response>\\n' }}{{ message.content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{% endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""
# Headers, a date, tools in the first question, macros, defaults, filters.
HEADERS = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_question is defined %}
    {%- set tools_in_question = true %}
{%- endif %}
{%- macro head(role) -%}
<|start_header_id|>{{ role }}<|end_header_id|>

{% endmacro -%}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- head('system') }}
{%- if tools is not none %}
    {{- "Environment: shell\\n" }}
{%- endif %}
{{- "Today: " + strftime_now("%d %b %Y") + "\\n\\n" }}
{{- system ~ '<|eot_id|>' }}
{%- if tools_in_question and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("no first question to put the tools into") }}
    {%- endif %}
    {{- head('user') }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first + "<|eot_id|>" }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- head(message['role']) + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls|length != 1 %}
            {{- raise_exception("only one call at a time, not " ~ message.tool_calls|length) }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- head('assistant') }}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- head('ipython') }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- head('assistant') }}
{%- endif %}
"""
# The old bracket format: roles must take turns; the system text is put into the first question.
BRACKETS = """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must take turns: user, assistant, user, ...') }}{% endif %}{% if loop.index0 == 0 and system != false %}{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""
# What else occurs: marks of what the assistant said, loops with break and continue, list and dict filters, printed values.
ODDS = """{#- a comment -#}
{%- set roles = messages | map(attribute='role') | list %}
{{ roles }} {{ roles | unique | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{% for message in messages %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {%- if loop.index > 6 %}{% break %}{% endif %}
  {%- generation %}
[{{ loop.index }}/{{ loop.length }} {{ loop.first }} {{ message.role.upper() }} {{ message.role | capitalize }}]
  {% endgeneration %}
    {%- if message.content is string %}{{ message.content | replace('\\n', ' ') | trim }}
    {%- else %}{% for part in message.content or [] %}{{ part.text | default('(' ~ part.type ~ ')') }};{% endfor %}{% endif %}
{% endfor %}
{%- set sample = {'b': 1.5, 'a': [1, none, true, 'it\\'s', 1e-7, 1e20], 'nested': {'é': '\\t<&>'}} %}
{{ sample }} {{ sample | tojson }} {{ sample | tojson(indent=2) }} {{ sample | tojson(ensure_ascii=true, sort_keys=true) }}
{{ sample.items() | list }} {% for k, v in sample | dictsort %}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}
{{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 5 }} {{ -7 % 3 }} {{ 3.0 }} {{ 1e16 }} {{ true and 'yes' or 'no' }} {{ none }} {{ nothing }}|
{{ 'Abc'[1:] }} {{ 'abc'[::-1] }} {{ 'a,b,,c'.split(',') }} {{ '  x '.strip() }} {{ 'x'.startswith('x') }} {{ 'ab' * 3 }} {{ 'b' in 'abc' }}
{{ [3, 1, 2] | sort | first }} {{ [1, 2, 3] | last }} {{ [1, 2] + [3] }} {{ 'a b' | title }} {{ '12' | int + 1 }} {{ 'x' ~ 1 ~ true }}
{{ messages[0].get('content', 'none') is string }} {{ messages[0].name is defined }} {{ 'ab' | upper | lower | length }} {{ "%d" | length }}
{%- if add_generation_prompt %}
>{% endif %}
"""
TEMPLATES = {"marks": MARKS, "headers": HEADERS, "brackets": BRACKETS, "odds": ODDS}
TOKENIZER_TEMPLATE = {"qwen": "marks", "llama3": "headers", "sentencepiece": "brackets"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather", "description": "What the weather is like, 'now' \u2013 or \"later\" <b>&</b>.",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string", "description": "Where"}, "days": {"type": "integer", "default": 1, "minimum": 0.5}},
            "required": ["place"],
        },
    },
}
SUBMIT = {"type": "function", "function": {"name": "submit", "description": "", "parameters": {"type": "object", "properties": {}}}}
call = lambda name, arguments, id: {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
CONVERSATIONS = [
    dict(messages=[{"role": "user", "content": "Hi  there \n"}], open=True),
    dict(messages=[{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "2+2? ü 漢 🦀"}, {"role": "assistant", "content": "4"}, {"role": "user", "content": "<b>&\"' and\n\nnow?"}], open=True),
    dict(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"}], open=False),
    dict(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "because"}], open=False),
    dict(messages=[{"role": "system", "content": "S"}, {"role": "user", "content": "Weather?"}], tools=[WEATHER, SUBMIT], open=True),
    dict(messages=[
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"place": "Paris \u00e9", "days": 2, "exact": True, "x": None, "y": 0.1}, "c1")]},
        {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "{\"sky\": \"clear\"}"},
        {"role": "assistant", "content": "Clear."}, {"role": "user", "content": "Thanks"},
    ], tools=[WEATHER], open=True),
    dict(messages=[
        {"role": "user", "content": "Both?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call("get_weather", {"place": "A"}, "1"), call("get_weather", "{\"place\": \"B\"}", "2")]},
        {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"},
    ], tools=[WEATHER], open=True),
    dict(messages=[{"role": "assistant", "content": "first"}, {"role": "user", "content": "second"}], open=True),
    dict(messages=[{"role": "user", "content": "plain"}], open=True, more={"enable_thinking": False}),
    dict(messages=[{"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]}], open=True, only=["odds"]),
]
SPECIAL = {
    "qwen": dict(eos_token="<|im_end|>", pad_token="<|endoftext|>"),
    "llama3": dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"),
    "sentencepiece": dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>"),
}
# The splits that byte-level tokenizers of today use: words with one blank before, numbers in pieces, punctuation, blanks.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def tokenizer_of(kind, size):
    if kind == "sentencepiece":
        inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        inner.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, max_token_length=12)
        inner.train_from_iterator(CORPUS, trainer)
        # The bytes are ordinary tokens, as in a tokenizer that was made by SentencePiece.
        state = json.loads(inner.to_str())
        state["added_tokens"] = [token for token in state["added_tokens"] if not token["content"].startswith("<0x")]
        inner = Tokenizer.from_str(json.dumps(state))
    else:
        inner = Tokenizer(models.BPE())
        numbers = r"\p{N}" if kind == "qwen" else r"\p{N}{1,3}"
        if kind == "qwen":
            inner.normalizer = normalizers.NFC()
        inner.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(WORDS % numbers), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ])
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
        inner.train_from_iterator(CORPUS, trainer)
        marks = (
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] if kind == "qwen"
            else ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        )
        inner.add_special_tokens(marks)
        if kind == "qwen":
            inner.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL[kind])
    tokenizer.chat_template = TEMPLATES[TOKENIZER_TEMPLATE[kind]]
    return tokenizer


def prompts(tokenizer, name):
    out = []
    for case in CONVERSATIONS:
        if "only" in case and name not in case["only"]:
            continue
        try:
            text = tokenizer.apply_chat_template(
                case["messages"], tools=case.get("tools"), add_generation_prompt=case["open"], tokenize=False,
                chat_template=TEMPLATES[name], **case.get("more", {}),
            )
            result = dict(text=text)
        except Exception as error:  # what the template refuses, and how
            result = dict(error=str(error))
        case = {key: value for key, value in case.items() if key != "only"}
        out.append(dict(template=name, **case, **result))
    return out


@torch.no_grad()
def expected(model, tokens, new):
    logits = model(torch.tensor([tokens])).logits[0]
    greedy = list(tokens)
    for _ in range(new):
        greedy.append(int(model(torch.tensor([greedy])).logits[0, -1].argmax()))
    return logits, greedy[len(tokens):]


def make(name, folder, small):
    kind, settings, dtype, tokenizer_kind = CASES[name]
    torch.manual_seed(sum(map(ord, name)))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vocab = 96
    if tokenizer_kind:
        tokenizer = tokenizer_of(tokenizer_kind, 300 if tokenizer_kind != "sentencepiece" else 520)
        tokenizer.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        vocab = len(tokenizer) + 3
        texts = [dict(text=t, tokens=tokenizer(t, add_special_tokens=False)["input_ids"]) for t in TEXTS]
        for t in texts:
            t["decoded"] = tokenizer.decode(t["tokens"], clean_up_tokenization_spaces=False)
        # A moment that both sides name.
        import transformers.utils.chat_template_utils as utils
        from datetime import datetime

        class Fixed(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime(2025, 3, 9, 14, 5, 6)

        utils.datetime = Fixed
        templates = sorted(TEMPLATES) if tokenizer_kind == "llama3" and not small else [TOKENIZER_TEMPLATE[tokenizer_kind]]
        if small and tokenizer_kind == "llama3":
            templates += ["brackets", "odds"]
        said = [one for template in templates for one in prompts(tokenizer, template)]
        (folder / "expected_text.json").write_text(
            json.dumps(dict(templates={t: TEMPLATES[t] for t in templates}, texts=texts, prompts=said), ensure_ascii=False)
        )
    config = kind(vocab_size=vocab, bos_token_id=None, eos_token_id=None, pad_token_id=None, **SIZE, **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + (1.0 if parameter.dim() == 1 else 0.0))
    model = model.to(getattr(torch, dtype))
    if tokenizer_kind:
        ids = [tokenizer.eos_token_id, 5]
        model.generation_config.eos_token_id = ids
        model.config.eos_token_id = ids[0]
    model.save_pretrained(folder, max_shard_size="20KB" if name.endswith("sharded") else "50GB")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(0, vocab, (40 if small else 150,)).tolist()
    logits, greedy = expected(model, tokens, 30)
    picked = list(range(len(tokens))) if not small else [0, 13, 39]
    save_file({"logits": logits[picked].contiguous()}, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps(dict(tokens=tokens, rows=picked, greedy=greedy)))
    if name in ADAPTED:
        adapt(name, folder, model, tokens, picked)


def adapt(name, folder, model, tokens, picked):
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        print(f"SKIPPED: no adapter for {name}: {error}")
        return
    settings = dict(target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = get_peft_model(model, LoraConfig(**{**settings, **ADAPTED[name]})).eval()
    adapted.save_pretrained(folder / "adapter")
    logits, _ = expected(adapted, tokens, 0)
    save_file({"logits": logits[picked].contiguous()}, folder / "adapter" / "expected.safetensors")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    for name in SMALL if arguments.small else CASES:
        make(name, arguments.folder / name, arguments.small)
        size = sum(f.stat().st_size for f in (arguments.folder / name).rglob("*") if f.is_file())
        print(f"{name}: {size // 1000} kB")
    if not arguments.small:
        index = json.loads((arguments.folder / "llama-sharded" / "model.safetensors.index.json").read_text())
        assert len(set(index["weight_map"].values())) > 2, "the sharded checkpoint has no shards"


if __name__ == "__main__":
    main()
