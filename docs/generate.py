"""Write docs/configuration.md and docs/commands.md from the settings classes and the commands: python docs/generate.py

What a key means is said in docs/meanings.toml, else where its settings class explains it ("name: what it is"); a key without a
meaning, and a meaning without a key, is an error. A test compares the committed pages with what this gives.
"""

import enum
import html
import inspect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
from pydantic import TypeAdapter

from hwnas.api.templates import SECTIONS
from hwnas.cli import app
from hwnas.config import RunConfig
from hwnas.device.profile import (
    HardwareProfile,
    Limits,
    Local,
    Measurement,
    Nominal,
    Runtime,
    Ssh,
    profile_names,
    profiles_folder,
)
from hwnas.objectives import OBJECTIVES
from hwnas.search import STRATEGIES

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py: change the settings classes, the commands or docs/meanings.toml instead. -->\n"
SECTION_WORDS = {
    "budget": "When a run ends, whichever comes first. With nothing given a run takes three minutes.",
    "data": "Where the images lie and how they become three splits: [Your own data](your-own-data.md) has examples.",
    "augmentation": "How training images are changed at random. Without this section it is chosen to suit the data, and said at "
    "the start of a search.",
    "trainer": "How a network is trained, in the search and, with the changes of `[final]`, to the end.",
    "tuning": "Whether training settings are searched together with the networks: "
    "[How the search works](how-the-search-works.md#tuning).",
    "rungs": "Whether trainings are stopped early, where, and which share of them continues.",
    "final": "How networks of the front are trained to the end when a search is over, and by `hwnas train`.",
}
PROFILE_PARTS: Mapping[str, tuple[type, str]] = {
    "connection-local": (Local, "`[connection]`, this machine"),
    "connection-ssh": (Ssh, "`[connection]`, over SSH"),
    "runtime": (Runtime, "`[runtime]`, needed where latencies are measured"),
    "measurement": (Measurement, "`[measurement]`"),
    "limits": (Limits, "`[limits]`"),
    "nominal": (Nominal, "`[nominal.NAME]`, numbers about the device, with where they are from"),
}


class MeaningError(Exception):
    """A key without a meaning, or a meaning without a key."""


class Meanings:
    """What docs/meanings.toml says; it counts what was asked for."""

    def __init__(self) -> None:
        self._tables: dict[str, Any] = tomllib.loads((DOCS / "meanings.toml").read_text(encoding="utf-8"))
        self._used: set[tuple[str, ...]] = set()

    def of(self, place: str, key: str, otherwise: str = "") -> str:
        """The meaning of a key, or what is said ``otherwise``; ``place`` is a table, with dots."""
        table = self._tables
        for name in place.split("."):
            table = table.get(name, {})
        if not (said := table.get(key, otherwise)):
            raise MeaningError(f"docs/meanings.toml: [{place}] does not say what {key} means")
        self._used.add((*place.split("."), key))
        return str(said)

    def refuse_stale(self) -> None:
        """Raise MeaningError where something is explained that is no key."""
        if stale := [".".join(place) for place in _places(self._tables) if place not in self._used]:
            raise MeaningError(f"docs/meanings.toml explains what is no key: {', '.join(stale)}")


def _places(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _places(value, (*above, name))
        else:
            yield (*above, name)


def own_words(kind: type) -> dict[str, str]:
    """What a class's docstring says of its fields, one by one: "name: what it is", or "name, other: what they are"."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        match = re.match(r"(\w+(?:, \w+)*): (.+)", line)
        if match and not line.startswith(" "):
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[2])
        elif line.startswith("    ") and names:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return {name: _sentence(text) for name, text in found.items()}


def _sentence(text: str) -> str:
    plain = re.sub(r"\bNone (takes|is)\b", r"not set \1", text)
    return plain[0].upper() + plain[1:].removesuffix(".") + "."


def key_table(kind: type, place: str, meanings: Meanings, leave_out: tuple[str, ...] = ()) -> list[str]:
    """A Markdown table of a settings class's keys: default, what a value is, meaning."""
    schema = TypeAdapter(kind).json_schema()
    said, rows = own_words(kind), []
    for key, about in schema["properties"].items():
        if key in leave_out:
            continue
        meaning = meanings.of(place, key, said.get(key) or _of_field(about))
        default = "needed" if key in schema.get("required", ()) else _default(about)
        rows.append([f"`{key}`", default, _value(about, key), meaning])
    return table(["key", "default", "value", "meaning"], rows)


def _of_field(about: Mapping[str, Any]) -> str:
    return _sentence(about["description"]) if "description" in about and "$ref" not in about else ""


def _default(about: Mapping[str, Any]) -> str:
    value = about.get("default")
    if value is None:
        return "not set"
    return f"`{json.dumps(value) if value != {} else '{}'}`"


def _value(about: Mapping[str, Any], key: str) -> str:
    """What a value of a key is, in words, from its JSON schema."""
    about = next((each for each in about.get("anyOf", ()) if each.get("type") != "null"), about)
    if "const" in about:
        return f"`{json.dumps(about['const'])}`"
    if "enum" in about:
        return ", ".join(f"`{json.dumps(each)}`" for each in about["enum"])
    if named := re.fullmatch(r"\^\(([\w|]+)\)\$", about.get("pattern", "")):
        return ", ".join(f'`"{each}"`' for each in named[1].split("|"))
    if key in ("time", "child_time"):
        return 'a duration: `"90s"`, `"30m"`, `"2h"`, or seconds'
    kind = about.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(about)
    lists = {"string": "a list of texts", "number": "a list of numbers", "integer": "a list of whole numbers"}
    if kind == "array":
        return lists.get(
            about.get("items", {}).get("type"), "two whole numbers" if "prefixItems" in about else "a list of tables"
        )
    return {"boolean": "`true` or `false`", "string": "a path" if about.get("format") == "path" else "text"}.get(
        str(kind), "a table"
    )


def _bounds(about: Mapping[str, Any]) -> str:
    low, above = about.get("minimum"), about.get("exclusiveMinimum")
    high, below = about.get("maximum"), about.get("exclusiveMaximum")
    words = [f"at least {low}"] if low is not None else [f"above {above}"] if above is not None else []
    words += [f"at most {high}"] if high is not None else [f"below {below}"] if below is not None else []
    return f", {', '.join(words)}" if words else ""


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(map(_cell, row)) + " |" for row in lines] + [""]


def _cell(text: str) -> str:
    """The text of a cell. Sites and GitHub do not agree on an escaped | within code, but both take HTML."""
    parts = re.split(r"(`[^`]*`)", text.replace("``", "`"))
    spelled = [
        f"<code>{html.escape(part[1:-1], quote=False)}</code>" if "|" in part and part[0] == "`" else part for part in parts
    ]
    return "".join(spelled).replace("|", "&#124;")


def configuration() -> str:
    """The page of every key of run.toml and of device profiles."""
    meanings = Meanings()
    lines = [
        "# Configuration",
        "",
        NOTE,
        "A run can be described in one TOML file, `hwnas search --config run.toml`; options of the command override it, and an",
        "unknown key is an error. `hwnas config --default > run.toml` writes one with every key. *Not set* means that there is",
        "no such bound, or that the value is chosen to suit the data.",
        "",
        "## Keys outside of a section",
        "",
        *key_table(RunConfig, "run", meanings, leave_out=(*SECTIONS, "limits")),
    ]
    for name, kind in SECTIONS.items():
        if name == "strategy":
            lines += _strategies(meanings)
        else:
            lines += [f"## `[{name}]`", "", SECTION_WORDS[name], "", *key_table(kind, name, meanings)]
    lines += _limits()
    lines += _objectives(meanings)
    lines += _profiles(meanings)
    meanings.refuse_stale()
    return "\n".join(lines).rstrip("\n") + "\n"


def _strategies(meanings: Meanings) -> list[str]:
    names = ", ".join(f"`{json.dumps(name)}`" for name in STRATEGIES)
    lines = [
        "## `[strategy]`",
        "",
        f'`name` is one of {names} or your own, `"package.module:attribute"`;',
        '`strategy = "nsga2"` outside of a section says the same. The other keys depend on it.',
        "",
    ]
    for name, kind in STRATEGIES.items():
        lines += [f'### `name = "{name}"`', "", *key_table(kind, f"strategy.{name}", meanings)]
    return lines


def _limits() -> list[str]:
    cheap = ", ".join(f"`{name}`" for name, objective in OBJECTIVES.items() if objective.cheap)
    return [
        "## `[limits]`",
        "",
        f"Networks over a limit are never trained. Each key is the name of an objective that is known without training: {cheap}.",
        "The values are numbers above 0, in the objective's unit. They override those of the device's profile.",
        "",
    ]


def _objectives(meanings: Meanings) -> list[str]:
    rows = [
        [
            f"`{name}`",
            "" if each.unit == "1" else each.unit,
            "without training" if each.cheap else "after training",
            meanings.of("objectives", name),
        ]
        for name, each in OBJECTIVES.items()
    ]
    return ["## Objectives", "", "All of them are minimised.", "", *table(["name", "unit", "known", "what it is"], rows)]


def _profiles(meanings: Meanings) -> list[str]:
    come = ", ".join(f"`{name}`" for name in profile_names())
    parts = ("connection", *(name for name in PROFILE_PARTS if not name.startswith("connection")))
    lines = [
        "## Device profiles",
        "",
        "A profile is a TOML file that says how a device is reached and how models run there: `--device NAME` or `--device",
        f"PATH.toml`. With hwnas come {come}. `hwnas devices --new ssh` prints one to fill in;",
        "[Your own device](your-own-device.md) goes through it. An unknown key is an error.",
        "",
        *key_table(HardwareProfile, "profile", meanings, leave_out=parts),
    ]
    for name, (kind, heading) in PROFILE_PARTS.items():
        lines += [f"### {heading}", "", *key_table(kind, f"profile.{name}", meanings)]
    example = (profiles_folder() / "local-cpu.toml").read_text(encoding="utf-8")
    return [*lines, "The profile `local-cpu`:", "", "```toml", *example.splitlines(), "```", ""]


def commands() -> str:
    """The page of every command and its options."""
    group: Any = typer.main.get_command(app)
    words = (
        "Each command prints this with `--help`. Exit code 0: done; 1: the work failed; 2: the request was wrong; 130: Ctrl-C."
    )
    lines = ["# Commands", "", NOTE, words, ""]
    lines += table(
        ["command", "what it does"], [[f"[`{name}`](#hwnas-{name})", _first(each.help)] for name, each in group.commands.items()]
    )
    for name, command in group.commands.items():
        lines += [f"## hwnas {name}", "", *_command(name, command)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _first(text: str) -> str:
    """The first sentence of a help text."""
    return re.split(r"(?<=\.)\s", " ".join(text.split()))[0]


def _command(name: str, command: Any) -> list[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    usage = " ".join(each.metavar or each.name.upper() if each.required else f"[{each.name.upper()}]" for each in arguments)
    example = command.epilog.removeprefix("Example: ")
    lines = [
        inspect.cleandoc(command.help),
        "",
        "```",
        " ".join(["hwnas", name, usage, "[OPTIONS]"]).replace("  ", " "),
        "```",
        "",
    ]
    if arguments:
        rows = [[f"`{each.metavar or each.name.upper()}`", _help(each.help)] for each in arguments]
        lines += table(["argument", "what it is"], rows)
    rows = [[_spelled(each), _shown_default(each), _help(each.help)] for each in options]
    return [*lines, *table(["option", "default", "what it does"], rows), "For example:", "", "```", example, "```", ""]


def _spelled(option: Any) -> str:
    """``--name VALUE``, its other names behind it."""
    value = "" if option.is_flag else " " + (option.metavar or _type_name(option))
    names = [f"`{option.opts[0]}{value}`", *(f"`{name}`" for name in [*option.opts[1:], *option.secondary_opts])]
    return ", ".join(names)


def _type_name(option: Any) -> str:
    kind = option.type_descriptor.annotation
    members: list[enum.Enum] = list(kind) if isinstance(kind, enum.EnumType) else []
    choices = [str(each.value) for each in members]
    return "|".join(choices) or {"int": "N", "float": "X", "Path": "PATH", "str": "TEXT"}.get(
        getattr(kind, "__name__", ""), "VALUE"
    )


def _shown_default(option: Any) -> str:
    if option.required:
        return "needed"
    value = getattr(option.default, "value", option.default)
    return "" if value is None or value is False or value == [] else f"`{value}`"


def _help(text: str) -> str:
    return " ".join((text or "").split())


PAGES = {"configuration.md": configuration, "commands.md": commands}


def main() -> None:
    """Write both pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
