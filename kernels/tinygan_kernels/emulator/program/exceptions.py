"""The exceptions of C++ in a source: `throw`, `try` and `catch`, which NVRTC refuses, become calls of `include/thrown.h`.

Where a program catches something, `unwinding` gives those calls their meaning. `try { B } catch (T e) { H }` becomes

    { auto host_seen = [&] { B };  int host_clause = host_try(&host_seen, &host_catches<T>::which);
      if (host_clause == 0) { host_try_end host_end; B } else if (host_clause == 1) { host_handling h; T e = ...; H } }

host_try returns a second time, with the number of a clause, when an exception that the clause takes has been thrown inside of B.
The function object is never called: as it holds references to the variables that B uses, the compiler keeps those in memory, where
the clause finds what B made of them. Lines stay where they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count

from .classes import with_bases, with_marks
from .noexcept import with_noexcept
from .sources import blanked

_WORDS = re.compile(r"\b(throw|try)\b")
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_JUMPS = re.compile(r"\b(return|break|continue|goto|static|try|catch|throw)\b")
_LAMBDA = re.compile(r"(?<![\w\])])\s*\[[^\[\]{}]*\]\s*(?:\((?:[^()]|\([^()]*\))*\))?[^;{}()\[\]]*\{")
_COMMENT_OR_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def catches(*sources: str) -> bool:
    """Return whether some source has a `catch`."""
    return any(re.search(r"\bcatch\s*\(", blanked(source)) for source in sources if "catch" in source)


def binds_structures(source: str) -> bool:
    """Return whether a source has a structured binding, `auto [a, b]`."""
    return re.search(r"\bauto\s*&{0,2}\s*\[", blanked(source)) is not None


def with_exceptions(source: str, catching: bool) -> str:
    """Return a source in which exceptions are calls of `include/thrown.h`.

    catching: whether the program, of which this source may be one file, has a `catch`; then its classes name their bases too, by
    which a clause finds the exceptions that it takes.
    """
    if not catching and not re.search(r"\b(throw|try)\b", source):
        return source
    return _Rewriter(with_noexcept(with_marks(with_bases(source))) if catching else source).whole()


def without_clauses(source: str) -> str:
    """Return a source of a library's in which `throw` is what it is in a program, and what `catch` follows is never run."""
    rewriter = _Rewriter(source)
    if not re.search(r"\b(throw|try)\b", rewriter.plain):
        return source
    parts, at = ['#include "thrown.h"\n#line 1\n'], 0
    while match := re.compile(r"\b(throw|try|catch)\b").search(rewriter.plain, at):
        parts.append(source[at : match.start()])
        at = match.end()
        if match[1] == "throw":
            text, at = rewriter.thrown(match)
            parts.append(text)
        elif match[1] == "try":
            parts.append("if (true)")
        else:
            close = rewriter.plain.index(")", at)
            declared = source[rewriter.plain.index("(", at) + 1 : close].strip()
            named = declared != "..." and _type_of(declared) != declared
            parts.append(f"for ({declared} = host_anything(); false;)" if named else "if (false)")
            at = close + 1
    return "".join([*parts, source[at:]])


@dataclass
class _Clause:
    """One catch clause. declared: what stands in its parentheses; kind: its type, "" for `...`; body: the range of its braces."""

    declared: str
    kind: str
    body: tuple[int, int]


class _Rewriter:
    """Writes a source anew. plain: the source without its comments and texts, of the same length."""

    def __init__(self, source: str):
        self.source, self.plain = source, blanked(source)
        self.defines = [m.span() for m in _DIRECTIVE.finditer(self.plain)]
        self.numbers = count()

    def whole(self) -> str:
        return self.part(0, len(self.source))

    def part(self, start: int, end: int) -> str:
        """Return a part of the source with all its exceptions rewritten."""
        parts, at = [], start
        while match := _WORDS.search(self.plain, at, end):
            parts.append(self.source[at : match.start()])
            text, at = self.thrown(match) if match[1] == "throw" else self._try(match)
            parts.append(text)
        return "".join([*parts, self.source[at:end]])

    def thrown(self, match: re.Match[str]) -> tuple[str, int]:
        """Return what a `throw` becomes, and where the source goes on behind it."""
        specified = re.compile(r"\s*\(\s*\)").match(self.plain, match.end())
        if specified:  # of a function that throws nothing
            return " " * len("throw()"), specified.end()
        stop = self._end_of_expression(match.start(), match.end())
        if not _COMMENT_OR_TEXT.sub(lambda m: " " if m[0].startswith("/") else m[0], self.source[match.end() : stop]).strip():
            return "host_throw_again()", match.end()
        return f"host_throw([&]() -> decltype(auto) {{ return {self.part(match.end(), stop)}; }})", stop

    def _end_of_expression(self, word: int, start: int) -> int:
        """Return where the expression after a `throw` ends: at a semicolon, or inside of an expression at a comma or a colon."""
        before = self.plain[:word].rstrip()
        inside, depth, questions = not before or not (before[-1] in ";{})" or before.endswith("else")), 0, 0
        for i in range(start, len(self.plain)):
            c = self.plain[i]
            depth += (c in "({[") - (c in ")}]")
            if depth < 0 or (depth == 0 and c == ";"):
                return i
            if depth == 0 and inside and before.endswith(("?", ":", "(", ",", "&", "|")):
                questions += c == "?"
                single = c == ":" and ":" not in (self.plain[i - 1], self.plain[i + 1])
                if c == "," or (single and questions == 0):
                    return i
                questions -= single
        return len(self.plain)

    def _braces(self, at: int) -> tuple[int, int] | None:
        """Return the range of the braces that open at the next word, with the braces; None where there are none."""
        found = re.compile(r"[\s\\]*\{").match(self.plain, at)
        if not found:
            return None
        depth = 0
        for i in range(found.end() - 1, len(self.plain)):
            depth += (self.plain[i] == "{") - (self.plain[i] == "}")
            if depth == 0:
                return found.end() - 1, i + 1
        return None

    def _clauses(self, at: int) -> list[_Clause]:
        found = []
        while head := re.compile(r"[\s\\]*catch\s*\(").match(self.plain, at):
            close = self.plain.index(")", head.end())
            while self.plain.count("(", head.end(), close) != self.plain.count(")", head.end(), close):
                close = self.plain.index(")", close + 1)
            body = self._braces(close + 1)
            if body is None:
                break
            declared = " ".join(self.source[head.end() : close].split())
            found.append(_Clause(declared, "" if declared == "..." else _type_of(declared), body))
            at = body[1]
        return found

    def _try(self, match: re.Match[str]) -> tuple[str, int]:
        """Return what a `try` with its clauses becomes; the word itself where it is not understood: then the compiler says so."""
        body = self._braces(match.end())
        clauses = self._clauses(body[1]) if body else []
        define = next((d for d in self.defines if d[0] <= match.start() < d[1]), None)
        if body is None or not clauses or (define is not None and clauses[-1].body[1] > define[1]):
            return match[0], match.end()
        n = next(self.numbers)
        types = ", ".join(clause.kind or "host_any_exception" for clause in clauses)
        seen = _Seen(self, body).text()
        head = (
            f"{{ auto host_seen_{n} = [&]() {{ {seen} }}; "
            f"int host_clause_{n} = host_try(&host_seen_{n}, &host_catches<{types}>::which); "
            f"if (host_clause_{n} == 0) {{ host_try_end host_end_{n}; "
        )
        if "\n" in seen:
            head += f"\n#line {self.source.count(chr(10), 0, match.start()) + 1}\n"
        parts = [head, self._between(match.end(), body[0]), self.part(*body), " }"]
        at = body[1]
        for number, clause in enumerate(clauses, 1):
            made = f"{clause.declared} = host_caught<{clause.kind}>(); " if clause.kind and clause.kind != clause.declared else ""
            parts.append(f" else if (host_clause_{n} == {number}) {{ host_handling host_handling_{n}; {made}")
            parts += [self._between(at, clause.body[0]), self.part(*clause.body), " }"]
            at = clause.body[1]
        return "".join([*parts, " }"]), at

    def _between(self, start: int, end: int) -> str:
        """Return the line ends between two places, so that lines stay where they are."""
        return "".join(re.findall(r"\\?\n", self.source[start:end]))


class _Seen:
    """Writes the body of a `try` as that of a function object that is only compiled, to see which variables it uses."""

    def __init__(self, whole: _Rewriter, body: tuple[int, int]):
        self.whole, self.start, self.end = whole, body[0] + 1, body[1] - 1
        self.lambdas = list(_lambda_bodies(whole.plain, self.start, self.end))

    def text(self) -> str:
        """Return the body in one line, unless it has directives of the preprocessor or texts of several lines."""
        text = self._part(self.start, self.end)
        directives = any(self.start <= start < self.end for start, _ in self.whole.defines)
        plain = _COMMENT_OR_TEXT.sub(lambda m: " " if m[0].startswith("/") else m[0], text)
        if directives:
            return "\n" + plain + "\n"
        return re.sub(r"\s*\\?\n\s*", " ", plain) if 'R"' not in plain else plain + "\n"

    def _part(self, start: int, end: int) -> str:
        plain, source = self.whole.plain, self.whole.source
        parts, at = [], start
        while match := _JUMPS.search(plain, at, end):
            parts.append(source[at : match.start()])
            at = match.end()
            word, own = match[1], not any(first <= match.start() < last for first, last in self.lambdas)
            if word == "throw":
                stop = self.whole._end_of_expression(match.start(), at)
                value = self._part(at, stop).strip()
                parts.append(f"host_throw([&]() -> decltype(auto) {{ return {value}; }})" if value else "host_throw_again()")
                at = stop
            elif word == "catch":
                close = plain.index(")", at)
                declared = " ".join(source[plain.index("(", at) + 1 : close].split())
                kind = "" if declared == "..." else _type_of(declared)
                opened = plain.index("{", close)
                parts.append("{ " + (f"{declared} = host_caught<{kind}>();" if kind and kind != declared else ""))
                at = opened + 1
            elif word in ("break", "continue", "goto") or (word == "return" and own):
                stop = min(_end_of_statement(plain, at), end)
                returned = plain[at:stop].strip("\\; \t\n") if word == "return" else ""
                seen = returned and not returned.startswith("{")
                parts.append(f"(void)({self._part(at, stop).strip().removesuffix(';')});" if seen else ";")
                at = stop
            elif word == "return":
                parts.append(word)
        return "".join([*parts, source[at:end]])


def _end_of_statement(plain: str, start: int) -> int:
    depth = 0
    for i in range(start, len(plain)):
        depth += (plain[i] in "({[") - (plain[i] in ")}]")
        if depth < 0:
            return i
        if depth == 0 and plain[i] == ";":
            return i + 1
    return len(plain)


def _lambda_bodies(plain: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the ranges of the bodies of function objects `[...](...) ... {...}`."""
    found = []
    for match in _LAMBDA.finditer(plain, start, end):
        depth = 1
        for i in range(match.end(), end):
            depth += (plain[i] == "{") - (plain[i] == "}")
            if depth == 0:
                found.append((match.end(), i))
                break
    return found


def _type_of(declared: str) -> str:
    """Return the type in the declaration of a clause, whose name may be missing."""
    named = re.fullmatch(r"(.*[\s&*>])(\w+)", declared, re.DOTALL)
    words = ("const", "int", "char", "long", "short", "unsigned", "signed", "double", "float", "bool", "volatile")
    if named is None or named[2] in words or not re.sub(r"\b(const|volatile|struct|class|typename|enum)\b", "", named[1]).strip():
        return declared
    return named[1].strip()
