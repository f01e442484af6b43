"""The part of the pickle format that weight files need, interpreted here: the standard unpickler, which runs what a file names,
has no part in it.

A file may name globals. Each must be a `Symbol` that the caller knows; it stands for a function of this package, for a class
whose objects are read as inert `Record`s, or for nothing but its name. Every other global, and every instruction that PyTorch
does not write, is refused with its name. Time and memory are bounded by `MAX_BYTES`, `MAX_INSTRUCTIONS` and `MAX_TREE`, whatever
the bytes say; the value that comes out is a tree without cycles, at most `MAX_DEPTH` deep.
"""

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_BYTES = 1 << 25
MAX_INSTRUCTIONS = 1_000_000
MAX_TREE = 4_000_000  # values, those that are there twice counted twice
MAX_DEPTH = 100
_MAX_NAME = 256
_NAMES = {opcode.code.encode("latin-1"): opcode.name for opcode in pickletools.opcodes}


@dataclass(frozen=True)
class Symbol:
    """What stands for a global of a file; it is never imported."""

    name: str
    call: Callable[..., Any] | None = None
    """What a call of it gives, from its arguments."""
    record: bool = False
    """It is a class, whose objects become `Record`s."""
    value: Any = None
    """What the caller wants to know of it."""


class Record:
    """An object of a class of the file: the class's name and the object's attributes."""

    __slots__ = ("name", "state")

    def __init__(self, name: str):
        self.name, self.state = name, {}

    def __repr__(self):
        return f"<{self.name}>"


class Loaded(NamedTuple):
    value: Any
    end: int
    """Position after the pickle."""


def load(data, start: int, find: Callable[[str], Symbol | None], persistent: Callable[[Any], Any] | None = None) -> Loaded:
    """The pickle that begins at data[start].

    data: bytes or a memory map. find: full name ("module.name") -> `Symbol`, None for a name that is refused. persistent: the
    object for a persistent id. Raises `ValueError` for anything that is damaged, unknown, too large or too deep.
    """
    machine = _Machine(data, start, find, persistent)
    try:
        value = machine.run()
    except (IndexError, KeyError, TypeError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"damaged pickle at byte {machine.position} ({type(error).__name__}).") from error
    check_tree(value)
    return Loaded(value, machine.position)


def described(value: Any) -> str:
    """A short text for an error message, whatever the value."""
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, int | float | bool) or value is None:
        return repr(value)[:80]
    return value.name if isinstance(value, Symbol) else repr(value)[:80] if isinstance(value, Record) else type(value).__name__


def check_tree(root: Any) -> None:
    """Raises `ValueError` for a value that contains itself, is nested too deeply, or is too large once written out."""
    measured: dict[int, tuple[int, int] | None] = {}  # values within, height; None: being visited
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        value, done = stack.pop()
        children = _children(value)
        if done:
            below = [measured.get(id(child), (1, 0)) for child in children]
            size, height = 1 + sum(size for size, _ in below), 1 + max(height for _, height in below)
            if size > MAX_TREE or height > MAX_DEPTH:
                raise ValueError(f"a pickle of more than {MAX_TREE} values, or nested deeper than {MAX_DEPTH}.")
            measured[id(value)] = size, height
        elif children and id(value) not in measured:
            measured[id(value)] = None
            stack.append((value, True))
            stack += [(child, False) for child in children]
        elif children and measured[id(value)] is None:
            raise ValueError("a pickle with a value that contains itself.")


def _children(value) -> list:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, Record):
        return [value.state]
    return list(value) if type(value) in (list, tuple) else []


class _Machine:
    def __init__(self, data, start, find, persistent):
        self.data, self.position, self.find, self.persistent = data, start, find, persistent
        self.end = min(len(data), start + MAX_BYTES)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.work = 0

    def run(self):
        for _ in range(MAX_INSTRUCTIONS):
            code = self.take(1)
            if code == b".":
                if len(self.stack) != 1 or self.marks:
                    raise ValueError("damaged pickle: values are left over at its end.")
                return self.stack[0]
            if code in _READ:
                self.stack.append(_READ[code](self))
            elif code in _ACT:
                _ACT[code](self)
            else:
                raise ValueError(f"a pickle with the instruction {_NAMES.get(code, code.hex())}, which is not read.")
        raise ValueError(f"a pickle of more than {MAX_INSTRUCTIONS} instructions.")

    # ---- bytes

    def take(self, count: int) -> bytes:
        if count > self.end - self.position:
            reason = f"larger than {MAX_BYTES} bytes" if self.end < len(self.data) else "cut off"
            raise ValueError(f"a pickle that is {reason}.")
        self.position += count
        return bytes(self.data[self.position - count : self.position])

    def unpacked(self, layout: str):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, min(self.end, self.position + _MAX_NAME))
        if end < 0:
            raise ValueError("a pickle with a name that is too long or cut off.")
        text = self.take(end - self.position).decode("utf-8")
        self.position += 1
        return text

    def text(self, layout: str, errors: str = "strict") -> str:
        return self.take(self.unpacked(layout)).decode("utf-8", errors)

    # ---- stack

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("damaged pickle: a value is missing.")
        return self.stack.pop()

    def top(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("damaged pickle: a value is missing.")
        return self.stack[-1]

    def marked(self) -> list:
        if not self.marks:
            raise ValueError("damaged pickle: a mark is missing.")
        height = self.marks.pop()
        items = self.stack[height:]
        del self.stack[height:]
        return items

    def spend(self, work: int) -> None:
        """Copies that a short instruction can ask for, over and over."""
        self.work += work
        if self.work > MAX_TREE:
            raise ValueError(f"a pickle that copies more than {MAX_TREE} values.")

    # ---- what changes values

    def extend(self, items: list) -> None:
        target = self.top()
        if type(target) is not list:
            raise ValueError(f"a pickle that appends to {described(target)}.")
        target.extend(items)

    def update(self, items: list) -> None:
        target = self.top()
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"a pickle that sets items of {described(target)}.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def add(self, items: list) -> None:
        target = self.top()
        if type(target) is not set:
            raise ValueError(f"a pickle that adds to {described(target)}.")
        target.update(map(checked_key, items))

    def symbol(self, module: str, name: str) -> Symbol:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > _MAX_NAME:
            raise ValueError("a pickle with a malformed name of a global.")
        full = f"{module}.{name}"
        found = self.find(full)
        if found is None:
            raise ValueError(f"a pickle that names {full}, which is not among what is read; nothing of it was run.")
        return found

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple or not isinstance(function, Symbol) or function.call is None:
            raise ValueError(f"a pickle that calls {described(function)}; nothing was run.")
        self.spend(sum(len(a) for a in arguments if type(a) in (list, tuple, dict, set)))
        return function.call(*arguments)

    def new_object(self):
        arguments, cls = self.pop(), self.pop()
        if arguments != () or not isinstance(cls, Symbol) or not cls.record:
            raise ValueError(f"a pickle that makes an object of {described(cls)}; nothing was run.")
        return Record(cls.name)

    def build(self) -> None:
        """Attributes of a record. Those of an ordered dict (its metadata) and of a parameter (its flags) are left out."""
        state, target = self.pop(), self.top()
        if isinstance(target, Record) and type(state) is dict and not target.state:
            target.state = state
        elif not (type(target) is dict or getattr(target, "ignores_state", False)):
            raise ValueError(f"a pickle that sets the state of {described(target)}.")

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def persisted(self):
        if self.persistent is None:
            raise ValueError("a pickle with a persistent id where none belongs.")
        return self.persistent(self.pop())


def checked_key(key):
    """Keys of dicts and members of sets: hashing a nest of tuples would recurse without bound."""
    if type(key) not in (str, int):
        raise ValueError(f"a pickle with a key of type {described(key)}; names and numbers are read.")
    return key


def _last(count: int):
    def read(machine):
        return tuple(machine.pop() for _ in range(count))[::-1]

    return read


_READ: dict[bytes, Callable[[_Machine], Any]] = {
    b"N": lambda m: None,
    b"\x88": lambda m: True,
    b"\x89": lambda m: False,
    b"J": lambda m: m.unpacked("<i"),
    b"K": lambda m: m.unpacked("<B"),
    b"M": lambda m: m.unpacked("<H"),
    b"\x8a": lambda m: int.from_bytes(m.take(m.unpacked("<B")), "little", signed=True),
    b"G": lambda m: m.unpacked(">d"),
    b"X": lambda m: m.text("<I"),
    b"\x8c": lambda m: m.text("<B"),
    b"U": lambda m: m.text("<B", "replace"),  # Python 2
    b"T": lambda m: m.text("<I", "replace"),
    b"}": lambda m: {},
    b"]": lambda m: [],
    b")": lambda m: (),
    b"\x8f": lambda m: set(),
    b"t": lambda m: tuple(m.marked()),
    b"\x85": _last(1),
    b"\x86": _last(2),
    b"\x87": _last(3),
    b"h": lambda m: m.memo[m.unpacked("<B")],
    b"j": lambda m: m.memo[m.unpacked("<I")],
    b"c": lambda m: m.symbol(m.line(), m.line()),
    b"\x93": lambda m: m.symbol(*_last(2)(m)),
    b"R": _Machine.reduce,
    b"\x81": _Machine.new_object,
    b"Q": _Machine.persisted,
}
_ACT: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda m: m.take(1),
    b"\x95": lambda m: m.take(8),  # a frame's length
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.marked()),
    b"s": lambda m: m.update(list(_last(2)(m))),
    b"u": lambda m: m.update(m.marked()),
    b"\x90": lambda m: m.add(m.marked()),
    b"q": lambda m: m.remember(m.unpacked("<B")),
    b"r": lambda m: m.remember(m.unpacked("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"b": _Machine.build,
}
