#!/usr/bin/env python3
"""Write the raw Fortran and Julia layers from the C header, and the Fortran code that differs only in kinds.

    python3 bindings/tools/bindgen.py                rewrite the files
    python3 bindings/tools/bindgen.py --check        exit 1 when one of them is stale
    python3 bindings/tools/bindgen.py --header PATH  read another header

The header is a small part of C99: integer constants, integer typedefs, opaque structs, plain structs,
function pointer types and prototypes. Anything else stops the run with the line that caused it, so that
a function cannot go missing in a language by accident.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import fortran_kinds

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "reknit.h"
FORTRAN = ROOT / "bindings" / "fortran" / "src"
JULIA = ROOT / "bindings" / "julia" / "Reknit" / "src" / "libreknit.jl"
GUARD = "REKNIT_H"

# C scalar type: (Fortran, Julia). Fortran has no unsigned integers: the bits are what crosses.
SCALARS = {
    "int32_t": ("integer(c_int32_t)", "Int32"),
    "uint32_t": ("integer(c_int32_t)", "UInt32"),
    "int64_t": ("integer(c_int64_t)", "Int64"),
    "uint64_t": ("integer(c_int64_t)", "UInt64"),
    "size_t": ("integer(c_size_t)", "Csize_t"),
    "float": ("real(c_float)", "Float32"),
    "double": ("real(c_double)", "Float64"),
}
# Types that stand only behind a pointer, as Julia writes them.
POINTEES = {"void": "Cvoid", "char": "UInt8", "uint8_t": "UInt8"}
# What a field of a struct may point to.
FIELDS = {"void", "double"}
# Integer results that are arrays; all others are single numbers.
ARRAYS = {"order", "iterations", "statuses", "rowptr", "colind", "rows", "columns"}
JULIA_WORDS = {
    "abstract", "baremodule", "begin", "break", "catch", "const", "continue", "do", "else", "elseif", "end",
    "export", "false", "finally", "for", "function", "global", "if", "import", "in", "isa", "let", "local",
    "macro", "module", "mutable", "primitive", "quote", "return", "struct", "true", "try", "using", "while",
}


class HeaderError(Exception):
    """Something in the header that this script does not understand; line 0 is the header as a whole."""

    def __init__(self, line, text):
        super().__init__(f"line {line}: {text}" if line else text)


@dataclass
class Type:
    """`base` behind `depth` stars; `const` tells whether the innermost pointee is read-only."""

    base: str
    depth: int
    const: bool
    line: int


@dataclass
class Function:
    """A prototype, or the type of a callback."""

    name: str
    result: Type
    arguments: list  # of (name, Type)


class Header:
    """What the header declares, in its order."""

    def __init__(self):
        self.constants = {}  # name: value
        self.aliases = {}  # typedef name: C scalar type
        self.opaques = []
        self.structs = {}  # name: [(field, Type)]
        self.callbacks = []
        self.functions = []


# ---- reading ----------------------------------------------------------------------------------------


def blank_comments(text):
    """Replace each comment by its line breaks, so that line numbers stay."""

    def blank(match):
        return re.sub(r"[^\n]+", " ", match.group())

    return re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.DOTALL)


def preprocess(text, header):
    """Take the constants out and drop what only a C++ compiler sees."""
    kept = []
    conditions = []  # True: the lines inside are read
    for number, line in enumerate(text.split("\n"), 1):
        directive = re.match(r"\s*#\s*(\w+)\s*(.*?)\s*$", line)
        if not directive:
            kept.append(line if all(conditions) else "")
            continue
        kept.append("")
        word, rest = directive.groups()
        if word == "ifdef" and rest == "__cplusplus":
            conditions.append(False)
        elif word == "ifndef" and rest == GUARD:
            conditions.append(True)
        elif word == "endif" and conditions:
            conditions.pop()
        elif not all(conditions) or word == "include" or (word, rest) in (("define", GUARD), ("pragma", "once")):
            continue
        elif word == "define":
            constant(number, rest, header)
        else:
            raise HeaderError(number, f"preprocessor line not understood: {line.strip()}")
    if conditions:
        raise HeaderError(number, "an #if without its #endif")
    return "\n".join(kept)


def constant(number, rest, header):
    match = re.fullmatch(r"(RKN_[A-Z0-9_]+)\s+(.+)", rest)
    if not match:
        raise HeaderError(number, f"constant not understood: #define {rest}")
    name, value = match.groups()
    digits = re.fullmatch(r"\(?\s*(-?\s*(?:0[xX][0-9a-fA-F]+|\d+))\s*\)?", value)
    if not digits:
        raise HeaderError(number, f"{name} is no integer: {value}")
    if name in header.constants:
        raise HeaderError(number, f"{name} is defined twice")
    value = int(digits.group(1).replace(" ", ""), 0)
    if not -(2**31) <= value < 2**31:
        raise HeaderError(number, f"{name} does not fit 32 bits")
    header.constants[name] = value


class Reader:
    """Recursive descent over the declarations that are left."""

    def __init__(self, text, header):
        self.header = header
        self.tokens = []  # (token, line)
        for number, line in enumerate(text.split("\n"), 1):
            position = 0
            for match in re.finditer(r"[A-Za-z_]\w*|[*(){},;]", line):
                self.gap(number, line[position : match.start()])
                self.tokens.append((match.group(), number))
                position = match.end()
            self.gap(number, line[position:])
        self.at = 0
        self.last_line = number

    @staticmethod
    def gap(number, text):
        if text.strip():
            raise HeaderError(number, f"not understood: {text.strip()}")

    @property
    def line(self):
        return self.tokens[self.at][1] if self.at < len(self.tokens) else self.last_line

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead][0] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise HeaderError(self.line, f"found '{token or 'end of file'}' where '{wanted or 'more'}' was expected")
        self.at += 1
        return token

    def name(self):
        token = self.take()
        if not re.match(r"[A-Za-z_]", token):
            self.at -= 1
            raise HeaderError(self.line, f"found '{token}' where a name was expected")
        return token

    def declarations(self):
        while self.peek():
            if self.peek() == "typedef":
                self.take()
                self.typedef()
            elif self.peek() == "struct" and self.peek(2) in ("{", ";"):
                self.struct()
                self.take(";")
            else:
                self.prototype()

    def typedef(self):
        if self.peek() == "struct" and self.peek(2) == "{":
            tag, line = self.struct(), self.line
            if self.name() != tag:
                raise HeaderError(line, f"struct {tag} has another name in its typedef")
        elif self.peek() == "struct":
            self.take()
            tag, line = self.name(), self.line
            if self.name() != tag:
                raise HeaderError(line, f"struct {tag} has another name in its typedef")
            if tag not in self.header.structs and tag not in self.header.opaques:
                self.header.opaques.append(tag)
        else:
            self.scalar_or_callback()
        self.take(";")

    def struct(self):
        """`struct tag {...}` or the forward declaration `struct tag`."""
        self.take("struct")
        tag, line = self.name(), self.line
        if self.peek() != "{":
            if tag not in self.header.opaques:
                self.header.opaques.append(tag)
            return tag
        self.take("{")
        fields = []
        while self.peek() != "}":
            kind = self.type()
            if kind.depth > 1 or (kind.depth and kind.base not in FIELDS):
                raise HeaderError(kind.line, f"no rule for a pointer to '{kind.base}' in struct {tag}")
            while True:
                fields.append((self.name(), kind))
                if self.take() == ";":
                    break
                self.at -= 1
                self.take(",")
        self.take("}")
        if tag in self.header.structs:
            raise HeaderError(line, f"struct {tag} is defined twice")
        if tag in self.header.opaques:
            self.header.opaques.remove(tag)
        self.header.structs[tag] = fields
        return tag

    def scalar_or_callback(self):
        kind = self.type(result=True)
        if self.peek() != "(":
            name = self.name()
            if kind.depth or kind.base not in SCALARS:
                raise HeaderError(kind.line, f"typedef {name} is no plain number")
            self.header.aliases[name] = kind.base
            return
        self.take("(")
        self.take("*")
        name = self.name()
        self.take(")")
        self.header.callbacks.append(Function(name, kind, self.arguments()))

    def prototype(self):
        if self.peek() == "extern":
            self.take()
        result = self.type(result=True)
        line = self.line
        function = Function(self.name(), result, self.arguments())
        if not function.name.startswith("rkn_"):
            raise HeaderError(line, f"function {function.name} has no rkn_ in front")
        if any(f.name == function.name for f in self.header.functions):
            raise HeaderError(line, f"function {function.name} is declared twice")
        self.take(";")
        self.header.functions.append(function)

    def arguments(self):
        self.take("(")
        if self.peek() == "void" and self.peek(1) == ")":
            self.take()
        arguments = []
        while self.peek() != ")":
            if arguments:
                self.take(",")
            kind = self.type()
            arguments.append((self.name(), kind))
        self.take(")")
        return arguments

    def type(self, result=False):
        line = self.line
        const = False
        base = None
        while base is None or self.peek() == "const":
            token = self.name()
            if token == "const":
                const = True
            elif token == "struct":
                base = self.name()
            else:
                base = token
        depth = 0
        while self.peek() in ("*", "const"):
            depth += self.take() == "*"
        h = self.header
        number = base in SCALARS or base in h.aliases
        function = any(c.name == base for c in h.callbacks)
        pointee = number or base in POINTEES or base in h.opaques or base in h.structs
        if depth == 0 and not (number or function or (result and base == "void")):
            raise HeaderError(line, f"type '{base}' cannot stand without a pointer" if pointee else f"unknown type '{base}'")
        if depth > 0 and not pointee:
            raise HeaderError(line, f"unknown type '{base}'")
        if depth > 2 or (depth == 2 and not (base in ("char", "double") or base in h.opaques or base in h.structs)):
            raise HeaderError(line, f"no rule for {depth} stars behind '{base}'")
        return Type(h.aliases.get(base, base), depth, const, line)


def read(path):
    header = Header()
    text = blank_comments(path.read_text(encoding="utf-8"))
    Reader(preprocess(text, header), header).declarations()
    if not header.functions:
        raise HeaderError(1, "no function found")
    return header


# ---- Fortran ----------------------------------------------------------------------------------------

FORTRAN_HEAD = """\
! The C interface of reknit as it is: the constants and the plain structs of reknit.h in reknit_constants,
! one bind(c) interface per function in reknit_c. The header documents them.
! Generated by bindings/tools/bindgen.py: do not edit.
!
! Strings are character arrays that end in c_null_char. Other pointers are type(c_ptr) by value (c_loc(x),
! c_null_ptr), but for handles and strings that the library hands out and for single integers: those go by
! reference. An absent argument is a NULL. Callbacks are type(c_funptr): c_funloc of a module procedure with
! the interface named rkn_..._fn. A constant that differs from a function only by upper case ends in _HEADER.
module reknit_constants
  use, intrinsic :: iso_c_binding, only: c_ptr, c_int32_t, c_int64_t, c_size_t, c_float, c_double
  implicit none
  private :: c_ptr, c_int32_t, c_int64_t, c_size_t, c_float, c_double
"""

FORTRAN_MIDDLE = """\
end module reknit_constants

module reknit_c
  use, intrinsic :: iso_c_binding, only: c_ptr, c_funptr, c_char, c_int32_t, c_int64_t, c_size_t, c_float, c_double
  use reknit_constants
  implicit none
  private :: c_ptr, c_funptr, c_char, c_int32_t, c_int64_t, c_size_t, c_float, c_double
"""


def fortran_fill(indent, opening, words, closing):
    """One statement from comma-separated words, broken before column 110."""
    lines = []
    line = " " * indent + opening
    for position, word in enumerate(words):
        piece = word + (", " if position + 1 < len(words) else closing)
        if len(line) + len(piece) > 110:
            lines.append(line.rstrip() + " &")
            line = " " * (indent + 4)
        line += piece
    if not words:
        line += closing
    lines.append(line)
    return lines


def fortran_type(kind, callbacks, in_callback, structs):
    """Declaration of an argument, without the name."""
    if kind.depth == 0:
        return "type(c_funptr), value" if kind.base in callbacks else f"{SCALARS[kind.base][0]}, value"
    absent = "" if in_callback else ", optional"
    if kind.base == "char" and kind.depth == 1 and not in_callback:
        return f"character(kind=c_char), intent({'in' if kind.const else 'inout'}), optional"
    if kind.depth == 2 and kind.base != "double" and (not kind.const or kind.base == "char" or kind.base in structs):
        return f"type(c_ptr), intent(inout){absent}"
    if kind.depth == 1 and kind.base in structs:
        return f"type({kind.base}), intent({'in' if kind.const else 'inout'})"
    if kind.depth == 1 and not kind.const and kind.base in ("int32_t", "int64_t"):
        return f"{SCALARS[kind.base][0]}, intent(inout){absent}"
    return "type(c_ptr), value"


def fortran_function(function, callbacks, in_callback, structs):
    nothing = function.result.base == "void" and function.result.depth == 0
    word = "subroutine" if nothing else "function"
    names = [name for name, _ in function.arguments]
    binding = ") bind(c)" if in_callback else f') bind(c, name="{function.name}")'
    lines = fortran_fill(4, f"{word} {function.name}(", names, binding)
    lines.append("      import")
    for name, kind in function.arguments:
        declared = fortran_type(kind, callbacks, in_callback, structs)
        array = "(*)" if declared.startswith("character") or (name in ARRAYS and kind.depth == 1 and not kind.const) else ""
        lines.append(f"      {declared} :: {name}{array}")
    if not nothing:
        kind = function.result
        what = "type(c_ptr)" if kind.depth else SCALARS[kind.base][0]
        lines.append(f"      {what} :: {function.name}")
    lines.append(f"    end {word} {function.name}")
    return lines


def fortran(header):
    taken = [f.name for f in header.functions] + [c.name for c in header.callbacks] + list(header.structs)
    lines = [FORTRAN_HEAD]
    names = {}
    for name, value in header.constants.items():
        names[name] = name + "_HEADER" if name.lower() in taken else name
        lines.append(f"  integer(c_int32_t), parameter :: {names[name]} = {value}")
    clash(taken + [name.lower() for name in names.values()])
    for tag, fields in header.structs.items():
        lines += ["", f"  type, bind(c) :: {tag}"]
        lines += [f"    {'type(c_ptr)' if kind.depth else SCALARS[kind.base][0]} :: {name}" for name, kind in fields]
        lines.append(f"  end type {tag}")
    lines += ["", FORTRAN_MIDDLE.rstrip()]
    callbacks = {c.name for c in header.callbacks}
    for opening, functions, in_callback in (
        ("abstract interface", header.callbacks, True),
        ("interface", header.functions, False),
    ):
        lines += ["", f"  {opening}"]
        for function in functions:
            lowered = [name.lower() for name, _ in function.arguments]
            clash(lowered + [function.name])
            lines += fortran_function(function, callbacks, in_callback, header.structs)
        lines.append("  end interface")
    lines += ["", "end module reknit_c"]
    text = "\n".join(lines) + "\n"
    wide = [line for line in text.split("\n") if len(line) > 132]
    if wide:
        raise HeaderError(0, f"this Fortran line passes column 132: {wide[0].strip()}")
    return text


def clash(names):
    """Fortran knows no case."""
    for name in names:
        if names.count(name) > 1:
            raise HeaderError(0, f"two things are called '{name}' in Fortran")
        if len(name) > 63:
            raise HeaderError(0, f"'{name}' is too long for Fortran")


# ---- Julia ------------------------------------------------------------------------------------------

JULIA_HEAD = '''\
# The C interface of reknit as it is, one function per function of reknit.h, which documents them.
# Generated by bindings/tools/bindgen.py: do not edit.
#
# Handles are Ptr{Cvoid}; a Ref or an Array goes in where a pointer is wanted; callbacks are @cfunction pointers.
module LibReknit

"""
The soname. Whoever loads the library by its path first makes `ccall` find it under this name.
"""
const LIBRARY = "libreknit.so.0.1"
'''


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def julia_name(name):
    return name + "_" if name in JULIA_WORDS else name


def julia_type(kind, callbacks, opaques, structs, result=False):
    if kind.depth == 0:
        if kind.base == "void":
            return "Cvoid"
        return "Ptr{Cvoid}" if kind.base in callbacks else SCALARS[kind.base][1]
    if kind.base == "char" and (kind.const or result or kind.depth == 2):
        return "Ptr{Cstring}" if kind.depth == 2 else "Cstring"
    if kind.base in opaques:
        inner = "Cvoid"
    elif kind.base in structs:
        inner = camel(kind.base)
    else:
        inner = POINTEES.get(kind.base) or SCALARS[kind.base][1]
    return "Ptr{" * kind.depth + inner + "}" * kind.depth


def julia_fill(opening, words, closing):
    lines = []
    line = opening
    for position, word in enumerate(words):
        piece = word + (", " if position + 1 < len(words) else closing)
        if len(line) + len(piece) > 110:
            lines.append(line.rstrip())
            line = " " * 8
        line += piece
    if not words:
        line += closing
    lines.append(line)
    return lines


def julia(header):
    lines = [JULIA_HEAD]
    lines += [f"const {name} = Int32({value})" for name, value in header.constants.items()]
    lines.append("")
    lines += [f"const {name} = {SCALARS[base][1]}" for name, base in header.aliases.items()]
    for tag, fields in header.structs.items():
        lines += ["", f"struct {camel(tag)}"]
        lines += [f"    {julia_name(name)}::{julia_type(kind, (), (), ())}" for name, kind in fields]
        lines.append("end")
    callbacks = {c.name for c in header.callbacks}
    for function in header.functions:
        names = [julia_name(name) for name, _ in function.arguments]
        kinds = [julia_type(kind, callbacks, header.opaques, header.structs) for _, kind in function.arguments]
        result = julia_type(function.result, callbacks, header.opaques, header.structs, result=True)
        lines.append("")
        lines += julia_fill(f"{function.name}(", names, ") =")
        call = f"    ccall((:{function.name}, LIBRARY), {result}, ("
        if kinds:
            kinds[-1] += ",)" if len(kinds) == 1 else ")"
            lines += julia_fill(call, kinds + names, ")")
        else:
            lines.append(call + "))")
    lines += ["", "end"]
    return "\n".join(lines) + "\n"


# ---- command ----------------------------------------------------------------------------------------


def stale(path, text, functions):
    """Why the file on disk is not what it should be, or None."""
    shown = path.relative_to(ROOT)
    if not path.exists():
        return f"{shown} does not exist"
    found = path.read_text(encoding="utf-8")
    if found == text:
        return None
    missing = [name for name in functions if not re.search(rf"\b{name}\(", found)]
    if missing:
        return f"{shown} lacks {', '.join(missing)}"
    pairs = enumerate(zip(found.split("\n") + [""], text.split("\n") + [""]), 1)
    line = next((number for number, (old, new) in pairs if old != new), 1)
    return f"{shown} is not what this script writes, first in line {line}"


def main():
    parser = argparse.ArgumentParser(description="Write the raw Fortran and Julia layers from the C header.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--header", type=Path, default=HEADER)
    options = parser.parse_args()
    try:
        header = read(options.header)
        functions = [function.name for function in header.functions]
        outputs = [  # (file, text, functions that it must have)
            (FORTRAN / "reknit_c.f90", fortran(header), functions),
            (FORTRAN / "reknit_arrays.f90", fortran_kinds.arrays_module(fortran_fill), []),
            (FORTRAN / "reknit_operator.f90", fortran_kinds.operator_module(fortran_fill), []),
            (JULIA, julia(header), functions),
        ]
    except (HeaderError, OSError) as error:
        sys.exit(f"bindgen: {options.header}: {error}")
    if options.check:
        reasons = [reason for output in outputs if (reason := stale(*output))]
        if reasons:
            sys.exit("\n".join(f"bindgen: {r}; run python3 bindings/tools/bindgen.py" for r in reasons))
        return
    for path, text, _ in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
