#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the C++ message codecs of src/wire from the schemas in src/wire/schema.

    generate.py SCHEMA_DIRECTORY OUTPUT_DIRECTORY

A schema describes one API (or some messages that are stored, not sent). The notation, two spaces a level:

    api 18 api_versions             the API's key and name; or `data NAME` for messages without a key
    versions 0-4                    the versions of the messages that follow
    flexible 3+                     those with compact lengths and tagged fields; left out: none
    request                         begins a message; also `response`, or `message NAME` in a data file
      client_software_name  string  3+  ignorable
      keys  [api_key_range]  0+     a struct type: its fields follow, one level deeper; given once a message,
        min  int16  0+              further fields may use its name

A field is `name type versions attributes...`:

    type        bool int8 int16 uint16 int32 int64 float64 string bytes uuid records, a struct, [element]
    type?       null is possible in every version that has the field; the value starts out null
    nullable=V  null is possible in the versions V of the field
    =X          the value when the field is absent, and at the start, when it is not zero, empty or null
    ignorable   a value given to a version without the field is dropped; otherwise encoding fails
    tag=N       a tagged field: written only when the value differs from the default
    @entity     what the value names; for readers of the schema only
Versions are `3`, `0-14` or `7+`.
"""
import pathlib
import re
import sys

INTEGERS = {"int8": "std::int8_t", "int16": "std::int16_t", "uint16": "std::uint16_t", "int32": "std::int32_t",
            "int64": "std::int64_t"}
SCALARS = {**INTEGERS, "bool": "bool", "float64": "double", "uuid": "uuid", "string": "std::string",
           "bytes": "std::string", "records": "records_field"}
KEYWORDS = {"default", "delete", "operator", "new", "class", "struct", "namespace", "template", "private", "public",
            "register", "switch", "union", "export", "encode", "decode", "read", "write"}
FOREVER = 0x7fff


class SchemaError(Exception):
    pass


class Versions:
    """A closed range of versions; empty when low > high."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    @classmethod
    def parse(cls, text):
        found = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
        if not found:
            raise SchemaError(f"'{text}' is no range of versions")
        low = int(found[1])
        return cls(low, FOREVER if found[2] else int(found[3] or low))

    def within(self, other):
        return Versions(max(self.low, other.low), min(self.high, other.high))

    def covers(self, other):
        return self.low <= other.low and other.high <= self.high

    def condition(self, known):
        """The C++ condition that a version, known to be in `known`, is in this range; None for always."""
        parts = []
        if self.low > known.low:
            parts.append(f"at.version >= {self.low}")
        if self.high < known.high:
            parts.append(f"at.version <= {self.high}")
        if self.low == self.high and self.low > known.low and self.high < known.high:
            return f"at.version == {self.low}"
        return " && ".join(parts) or None


class Field:
    def __init__(self, words):
        if len(words) < 3:
            raise SchemaError("a field needs a name, a type and versions")
        self.name, kind = words[:2]
        self.versions = Versions.parse(words[2])
        self.nullable = None
        if kind.endswith("?"):
            kind, self.nullable = kind[:-1], Versions(0, FOREVER)
        self.array = kind.startswith("[")
        self.element = kind.strip("[]")
        self.default, self.ignorable, self.tag = None, False, None
        for word in words[3:]:
            if word == "ignorable":
                self.ignorable = True
            elif word.startswith("nullable="):
                self.nullable = Versions.parse(word.removeprefix("nullable="))
            elif word.startswith("tag="):
                self.tag = int(word.removeprefix("tag="))
            elif word.startswith("="):
                self.default = word[1:]
            elif not word.startswith("@"):
                raise SchemaError(f"unknown attribute '{word}'")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or self.name in KEYWORDS:
            raise SchemaError(f"'{self.name}' cannot name a field")
        if self.name == self.element and self.is_struct:
            raise SchemaError(f"'{self.name}' names both the field and its struct")
        if self.default is not None and (self.array or self.optional or self.element not in SCALARS):
            raise SchemaError("only plain numbers, booleans and strings take a default")

    @property
    def is_struct(self):
        return self.element not in SCALARS

    @property
    def optional(self):
        return self.nullable is not None and (self.array or self.element != "records")

    def cpp_type(self):
        base = SCALARS.get(self.element, self.element)
        if self.array:
            base = f"std::vector<{base}>"
        return f"std::optional<{base}>" if self.optional else base

    def cpp_default(self):
        if self.default is not None:
            return f'"{self.default}"' if self.element == "string" else self.default
        if self.array or self.optional or self.element not in {*INTEGERS, "bool", "float64"}:
            return "{}"  # said for the designated initialisers of a caller that leave the member out
        return "false" if self.element == "bool" else "0"

    def differs(self):
        """The C++ condition that the value is not the default."""
        if self.optional:
            return f"{self.name}.has_value()"
        if self.array or (self.element in ("string", "bytes") and self.default is None):
            return f"!{self.name}.empty()"
        if self.element == "records":
            return f"!{self.name}.null"
        if self.element == "uuid":
            return f"!{self.name}.is_zero()"
        if self.element == "bool":
            return f"!{self.name}" if self.default == "true" else self.name
        if self.is_struct:
            return f"!({self.name} == {self.element}{{}})"
        return f"{self.name} != {self.cpp_default()}"

    def call(self, verb, stream, known):
        """The get or put call for this field; `known` are the versions that reach it."""
        suffix = {"bytes": "_bytes", "records": "_records"}.get(self.element, "") if not self.array else ""
        arguments = f"{stream}, at, {self.name}"
        if self.optional or self.element == "records":
            nullable = self.nullable.within(known) if self.nullable else Versions(1, 0)
            arguments += ", " + ("false" if nullable.low > nullable.high else nullable.condition(known) or "true")
            if verb == "put":
                arguments += f', "{self.name}"'
        return f"codec::{verb}{suffix}({arguments});"


class Message:
    def __init__(self, name, key, versions, flexible):
        self.name, self.key, self.versions, self.flexible = name, key, versions, flexible
        self.fields = []
        self.structs = {}  # name -> fields, the inner ones first


class Schema:
    def __init__(self, path):
        self.name, self.key, self.messages = None, None, []
        self.versions, self.flexible = None, Versions(FOREVER, FOREVER)
        self.path = path
        stack = []  # the lists of fields that are open, outermost first
        for number, line in enumerate(path.read_text().splitlines(), 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            indent = len(line) - len(line.lstrip(" "))
            try:
                if indent == 0:
                    stack = self.directive(words)
                else:
                    self.field(words, indent, stack)
            except (SchemaError, ValueError) as problem:
                raise SystemExit(f"{path}:{number}: {problem}")
        for message in self.messages:
            self.check(message)

    def directive(self, words):
        if words[0] == "api":
            self.key, self.name = int(words[1]), words[2]
        elif words[0] == "data":
            self.name = words[1]
        elif words[0] == "versions":
            self.versions, self.flexible = Versions.parse(words[1]), Versions(FOREVER, FOREVER)
        elif words[0] == "flexible":
            self.flexible = Versions.parse(words[1])
        elif words[0] in ("request", "response", "message"):
            name = words[1] if words[0] == "message" else f"{self.name}_{words[0]}"
            self.messages.append(Message(name, self.key, self.versions, self.flexible))
            return [self.messages[-1].fields]
        else:
            raise SchemaError(f"unknown directive '{words[0]}'")
        return []

    def field(self, words, indent, stack):
        level, odd = divmod(indent, 2)
        if odd or not 1 <= level <= len(stack):
            raise SchemaError("wrong indentation")
        del stack[level:]
        field = Field(words)
        if any(field.name == other.name for other in stack[-1]):
            raise SchemaError(f"a second field '{field.name}'")
        stack[-1].append(field)
        if field.is_struct:
            stack.append(self.messages[-1].structs.setdefault(field.element, []))

    def check(self, message):
        if message.key is not None and any(field.name == "key" for field in message.fields):
            raise SystemExit(f"{self.path}: 'key' cannot name a field of {message.name}, it names its api_key")
        for owner, fields in [(message.name, message.fields), *message.structs.items()]:
            if owner != message.name and not fields:
                raise SystemExit(f"{self.path}: the struct {owner} has no fields")
            for field in fields:
                if field.is_struct and field.name in message.structs:
                    raise SystemExit(f"{self.path}: '{field.name}' is a field and a struct of {message.name}")
                if field.tag is not None and not message.flexible.covers(field.versions.within(message.versions)):
                    raise SystemExit(f"{self.path}: {owner}.{field.name} is tagged in an inflexible version")


def ordered_structs(message):
    """The structs of a message, each behind those that it uses."""
    done = {}

    def visit(fields):
        for field in fields:
            if field.is_struct and field.element not in done:
                visit(message.structs[field.element])
                done[field.element] = message.structs[field.element]

    visit(message.fields)
    return done


def reached_versions(message):
    """In which versions each struct of a message is on the wire at all, from its lowest to its highest."""
    reached = {message.name: message.versions}

    def visit(fields, known):
        for field in fields:
            if field.is_struct:
                now = field.versions.within(known)
                before = reached.get(field.element, now)
                reached[field.element] = Versions(min(before.low, now.low), max(before.high, now.high))
                visit(message.structs[field.element], now)

    visit(message.fields, message.versions)
    return reached


def emit_fields(fields, indent):
    for field in fields:
        default = field.cpp_default()
        yield f"{indent}{field.cpp_type()} {field.name}{default if default == '{}' else ' = ' + default};"


def emit_declaration(message):
    structs = ordered_structs(message)
    if structs:
        # Not nested in the message: a class whose members have initialisers counts as default-constructible
        # only behind its enclosing class, too late for a std::optional of it there.
        yield f"namespace {message.name}_parts {{"
        for name, fields in structs.items():
            yield f"struct {name} {{"
            yield from emit_fields(fields, "  ")
            yield ""
            yield "  void write(writer& out, layout at) const;"
            yield "  void read(reader& in, layout at);"
            yield f"  friend bool operator==(const {name}&, const {name}&) = default;"
            yield "};"
        yield f"}}  // namespace {message.name}_parts"
        yield ""
    yield f"struct {message.name} {{"
    if message.key is not None:
        yield f"  static constexpr api_key key{{{message.key}}};"
    flexible = message.flexible.within(message.versions)
    yield f"  static constexpr std::int16_t min_version = {message.versions.low};"
    yield f"  static constexpr std::int16_t max_version = {message.versions.high};"
    yield ("  static constexpr std::int16_t flexible_from = "
           f"{flexible.low if flexible.low <= flexible.high else 'never_flexible'};")
    if structs:
        yield ""
        yield from (f"  using {name} = {message.name}_parts::{name};" for name in structs)
    yield ""
    yield from emit_fields(message.fields, "  ")
    if message.fields:
        yield ""
    yield "  result<> encode(writer& out, std::int16_t version) const;"
    yield "  result<> decode(reader& in, std::int16_t version);"
    yield "  void write(writer& out, layout at) const;"
    yield "  void read(reader& in, layout at);"
    yield f"  friend bool operator==(const {message.name}&, const {message.name}&) = default;"
    yield "};"


def emit_write(message, owner, fields, known):
    plain = [f for f in fields if f.tag is None]
    tagged = sorted((f for f in fields if f.tag is not None), key=lambda f: f.tag)
    yield f"void {owner}::write([[maybe_unused]] writer& out, [[maybe_unused]] layout at) const {{"
    for field in plain:
        present = field.versions.within(known)
        condition = present.condition(known) if present.low <= present.high else "false"
        call = field.call("put", "out", present)
        if condition is None:
            yield f"  {call}"
            continue
        yield f"  if ({condition}) {call}"
        if not field.ignorable:
            yield f"  else if ({field.differs()}) out.absent(\"{field.name}\");"
    for field in tagged:
        condition = field.versions.within(known).condition(known)
        if condition and not field.ignorable:
            yield f"  if (!({condition}) && {field.differs()}) out.absent(\"{field.name}\");"
    if message.flexible.low <= known.high:
        reached = message.flexible.within(known)
        if not message.flexible.covers(known):
            yield "  if (!at.flexible) return;"
        if not tagged:
            yield "  out.uvarint(0);"
        else:
            for field in tagged:
                condition = field.versions.within(known).condition(reached)
                yield (f"  const bool has_{field.name} = "
                       f"{condition + ' && ' if condition else ''}{field.differs()};")
            yield "  out.uvarint(" + " + ".join(f"std::uint64_t{{has_{f.name}}}" for f in tagged) + ");"
            for field in tagged:
                call = field.call("put", "value", field.versions.within(known))
                yield f"  if (has_{field.name}) out.tagged({field.tag}, [&](writer& value) {{ {call} }});"
    yield "}"


def emit_read(message, owner, fields, known):
    tagged = [f for f in fields if f.tag is not None]
    yield f"void {owner}::read([[maybe_unused]] reader& in, [[maybe_unused]] layout at) {{"
    for field in fields:
        present = field.versions.within(known)
        if field.tag is None and present.low <= present.high:
            condition = present.condition(known)
            yield f"  {f'if ({condition}) ' if condition else ''}{field.call('get', 'in', present)}"
    if message.flexible.low <= known.high:
        if not tagged:
            yield f"  {'' if message.flexible.covers(known) else 'if (at.flexible) '}in.skip_tags();"
        else:
            if not message.flexible.covers(known):
                yield "  if (!at.flexible) return;"
            yield "  for (std::uint32_t n = in.uvarint(); n > 0 && in.ok(); --n) {"
            yield "    const std::uint32_t tag = in.uvarint();"
            yield "    reader value = in.tagged();"
            for field in tagged:
                present = field.versions.within(known)
                condition = present.condition(message.flexible.within(known))
                yield f"    if (tag == {field.tag}{' && ' + condition if condition else ''}) {{"
                yield f"      {field.call('get', 'value', present)}"
                yield "      in.close(value);"
                yield "    }"
            yield "  }"
    yield "}"


def emit_source(message):
    title = message.name.replace("_", " ")
    yield f"result<> {message.name}::encode(writer& out, std::int16_t version) const {{"
    yield f'  return codec::encode(*this, "{title}", out, version);'
    yield "}"
    yield f"result<> {message.name}::decode(reader& in, std::int16_t version) {{"
    yield f'  return codec::decode(*this, "{title}", in, version);'
    yield "}"
    reached = reached_versions(message)
    parts = [(f"{message.name}_parts::{name}", fields, reached[name])
             for name, fields in ordered_structs(message).items()]
    for owner, fields, known in [*parts, (message.name, message.fields, message.versions)]:
        yield ""
        yield from emit_write(message, owner, fields, known)
        yield from emit_read(message, owner, fields, known)


def header(schema):
    yield "#pragma once"
    yield ""
    yield "#include <penstock/result.h>"
    yield ""
    for name in ("cstdint", "optional", "string", "vector"):
        yield f"#include <{name}>"
    yield ""
    for name in ("wire/layout.h", "wire/messages/api_key.h", "wire/records_field.h", "wire/uuid.h"):
        yield f'#include "{name}"'
    yield ""
    yield "namespace penstock::wire {"
    yield ""
    yield "class reader;"
    yield "class writer;"
    for message in schema.messages:
        yield ""
        yield from emit_declaration(message)
    yield ""
    yield "}  // namespace penstock::wire"


def source(schema):
    yield f'#include "wire/messages/{schema.name}.h"'
    yield ""
    yield '#include "wire/codec.h"'
    yield ""
    yield "namespace penstock::wire {"
    for message in schema.messages:
        yield ""
        yield from emit_source(message)
    yield ""
    yield "}  // namespace penstock::wire"


def api_key_header(apis):
    yield "#pragma once"
    yield ""
    yield "#include <cstdint>"
    yield ""
    yield "namespace penstock::wire {"
    yield ""
    yield "/// The APIs that the codec knows, by their key in the protocol."
    yield "enum class api_key : std::int16_t {"
    for api in apis:
        yield f"  {api.name} = {api.key},"
    yield "};"
    yield ""
    yield "}  // namespace penstock::wire"


def api_table(apis):
    yield "// The rows of api_table in wire/api.h."
    for api in apis:
        first = api.messages[0]
        flexible = first.flexible.within(first.versions)
        start = flexible.low if flexible.low <= flexible.high else "never_flexible"
        yield f'{{api_key::{api.name}, "{api.name}", {first.versions.low}, {first.versions.high}, {start}}},'


def every_message(schemas):
    """For the tests that go through all messages: X(file, type) for each message."""
    yield "// X(key, type) for every message of an API; then for the stored ones, with key -1."
    for schema in schemas:
        for message in schema.messages:
            yield f"X({-1 if schema.key is None else schema.key}, {message.name})"


def save(path, lines):
    text = "// SPDX-License-Identifier: Apache-2.0\n// Made by generate.py; changes here are lost.\n"
    text += "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    schemas = [Schema(path) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.msg"))]
    apis = sorted((s for s in schemas if s.key is not None), key=lambda s: s.key)
    for schema in schemas:
        save(directory / f"{schema.name}.h", header(schema))
        save(directory / f"{schema.name}.cc", source(schema))
    save(directory / "api_key.h", api_key_header(apis))
    save(directory / "api_table.inc", api_table(apis))
    save(directory / "every_message.inc", every_message(apis + [s for s in schemas if s.key is None]))
    save(directory / "every_message.h",
         ["#pragma once", *(f'#include "wire/messages/{s.name}.h"' for s in schemas)])


if __name__ == "__main__":
    main()
