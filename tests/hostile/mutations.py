"""Damages files as disks, networks and attackers do, always the same for equal seeds."""

from __future__ import annotations

import random

import yaml

_NUMBERS = (
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x01",
)
_TEXTS = (
    b"{",
    b"}",
    b"[",
    b"null",
    b"-1",
    b"1e999",
    b'"',
    b"\\u0000",
    b"../../",
    b"!!python/object/apply:os.system",
    b"&a *a",
)


def mutations(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """`count` damaged copies of `data`."""
    draw = random.Random(seed)
    return [_mutated(data, draw) for _ in range(count)]


def _mutated(data: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        data = draw.choice(_KINDS)(data, draw)
    return data


def _flipped(data: bytes, draw: random.Random) -> bytes:
    copy = bytearray(data)
    for _ in range(min(len(copy), draw.choice((1, 3, 30)))):
        copy[draw.randrange(len(copy))] = draw.randrange(256)
    return bytes(copy)


def _cut_off(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _cut_out(data: bytes, draw: random.Random) -> bytes:
    start, length = _span(data, draw)
    return data[:start] + data[start + length :]


def _zeroed(data: bytes, draw: random.Random) -> bytes:
    start, length = _span(data, draw)
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def _repeated(data: bytes, draw: random.Random) -> bytes:
    start, length = _span(data, draw)
    return data[:start] + 2 * data[start : start + length] + data[start + length :]


def _renumbered(data: bytes, draw: random.Random) -> bytes:
    """An extreme number, most often among the first bytes, where sizes and offsets are."""
    start = draw.randrange(min(len(data), draw.choice((64, 256, 1 << 30))) or 1)
    return data[:start] + draw.choice(_NUMBERS) + data[start + 4 :]


def _worded(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + draw.choice(_TEXTS) + data[start + draw.randrange(4) :]


def _span(data: bytes, draw: random.Random) -> tuple[int, int]:
    return draw.randrange(len(data) + 1), draw.choice((1, 7, 64, 1000))


_KINDS = (_flipped, _cut_off, _cut_out, _zeroed, _repeated, _renumbered, _worded)


# Billions of words in a kilobyte: ten lists, each of nine times the one before.
_LAUGHS = "[&l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"
for _level in range(1, 10):
    _LAUGHS += f", &l{_level} [{', '.join([f'*l{_level - 1}'] * 9)}]"
_LAUGHS += "]"
_CODE = "!!python/object/apply:os.system [touch pwned]"
# To put in the place of any key or value: each on one line, so that it fits everywhere.
_FRAGMENTS = (
    *r"""
null
true
[]
{}
''
-1
3.7
1e999
.nan
1:2:3:4
2001-01-01
0x7fffffffffffffff
"\0"
"\uD800"
"\e[2J"
'%s%n{}'
[1, two, {three: 3}]
{a: {b: {c: 1}}}
{a: 1, a: 2}
{? [a, b] : c}
{1: 2}
{~: 1}
{<<: [1]}
<<
*nobody
unknown_option
class_path
builtins.exec
vos_lightning
../../../etc/passwd
${oc.env:HOME}
{class_path: os.system}
{class_path: subprocess.Popen, init_args: {args: [touch, pwned]}}
{class_path: [vos_lightning.MAST]}
{class_path: vos_lightning.MAST}
{class_path: 3}
{init_args: {}}
!!binary '////'
!!int x
!!set {a, b}
!unknown x
!!python/name:os.system ''
!!python/object/new:open [pwned, w]
&a [*a]
&a {b: *a}""".splitlines(),
    *(_CODE, _LAUGHS, "9" * 5000, "x" * 20_000),
    *("[" * depth + "]" * depth for depth in (100, 400)),
    *("{a: " * depth + "1" + "}" * depth for depth in (100, 400)),
)
# Whole configs that no one would write.
CONFIGS = (
    *(b"", b" \n", b"\t", b"null", b"42", b"text", b"{", b"- trainer\n- model", b"---\n---\n", b"%YAML 9.9\n---\n"),
    *(b"\0", b"a: \xff", b"\xef\xbb\xbf", b"\xff\xfet\x00r\x00", b"trainer:\n\tmax_steps: 3"),
    *(b"trainer: {max_steps: 3}\ntrainer: {max_steps: 4}", b"".join(b"key%d: 1\n" % key for key in range(3000))),
    *(b"[" * 100_000, b"- " * 5000, b"? " * 5000, b"\n".join(b" " * depth + b"a:" for depth in range(2000))),
    *(b"&a [*a]", b"&a {trainer: *a}", b"trainer: &a {max_steps: *a}", b"trainer: {callbacks: &a [*a]}"),
    *(b"trainer: {max_steps: " + value.encode() + b"}" for value in ("9" * 5000, _CODE, _LAUGHS)),
    *(_LAUGHS.encode(), b"trainer: " + _LAUGHS.encode(), b"trainer: {callbacks: " + _LAUGHS.encode() + b"}"),
    *(b"model: {class_path: vos_lightning.MAST, init_args: " + value for value in (b"&a {width: *a}}", b"[*b, &b 1]}")),
    b"model: {class_path: vos_lightning.MAST, init_args: {width: " + _LAUGHS.encode() + b"}}",
)


def config_mutations(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """`count` copies of a YAML config, well-formed for the most part, in which keys, values and types are wrong."""
    draw = random.Random(seed)
    return [_restructured(data.decode(), draw) for _ in range(count)]


def _restructured(text: str, draw: random.Random) -> bytes:
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        text = draw.choice(_STRUCTURAL)(text, draw)
    return text.encode(draw.choice(["utf-8"] * 30 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp037"]), "replace")


def _nodes(text: str) -> list[tuple[int, int]]:
    """Where the keys, values, lists and mappings are; from events, for which nothing is expanded."""
    starts, spans = [], [(0, len(text))]
    try:
        for event in yaml.parse(text):
            if isinstance(event, yaml.CollectionStartEvent):
                starts.append(event.start_mark.index)
            elif isinstance(event, yaml.CollectionEndEvent):
                spans.append((starts.pop(), event.end_mark.index))
            elif isinstance(event, yaml.NodeEvent):
                spans.append((event.start_mark.index, event.end_mark.index))
    except yaml.YAMLError:
        pass  # an earlier mutation's doing: what comes before it will do
    return [(start, start + len(text[start:end].rstrip())) for start, end in spans]


def _replaced(text: str, draw: random.Random) -> str:
    start, end = draw.choice(_nodes(text))
    return text[:start] + draw.choice(_FRAGMENTS) + text[end:]


def _transplanted(text: str, draw: random.Random) -> str:
    (start, end), (first, last) = draw.choices(_nodes(text), k=2)
    return text[:start] + text[first:last] + text[end:]


def _line_changed(text: str, draw: random.Random) -> str:
    """A line twice, gone, elsewhere, or indented otherwise."""
    lines = text.splitlines(keepends=True) or [""]
    line = lines.pop(draw.randrange(len(lines)))
    place = draw.randrange(len(lines) + 1)
    changed = draw.choice(([line, line], [], [line], ["\t" + line.lstrip()], ["  " + line], [line.lstrip()]))
    return "".join(lines[:place] + changed + lines[place:])


def _listed(text: str, draw: random.Random) -> str:
    return "- " + text.replace("\n", "\n  ")


_STRUCTURAL = (_replaced, _replaced, _replaced, _replaced, _transplanted, _line_changed, _listed)
