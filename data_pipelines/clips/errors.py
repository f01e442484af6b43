"""Errors of reading clips; in a module of their own, since readers, builders and Beam workers share them."""


class ClipError(ValueError):
    """A clip of the source cannot be used. The message names the file and says what to do."""


class ExtraNeeded(ValueError):
    """A package that this kind of file needs is not installed. The message says how to get it."""
