"""Every error that semtune raises on purpose.

SemtuneError
├── ConfigError        a setting or a search space is missing, unknown or out of range
├── DatasetError       a manifest, a dataset or an image cannot be used
├── MetadataError      the vendor metadata of an image cannot be read
├── UnknownNameError   a registry has no entry of that name
├── SearchError        a search does not exist, exists already, or cannot go on
├── StorageError       a disk or a storage takes nothing more, or does not answer
├── DivergedError      a trial's loss became NaN or infinite
└── TrackingError      the MLflow store or its champion cannot be used
"""


class SemtuneError(Exception):
    """Base of all errors meant for the user; the CLI prints it without a traceback."""


class ConfigError(SemtuneError, ValueError):
    """A setting or a search space is missing, unknown or out of range."""


class DatasetError(SemtuneError, ValueError):
    """A manifest, a dataset or an image cannot be used."""


class MetadataError(SemtuneError, ValueError):
    """The vendor metadata of an image cannot be read."""


class UnknownNameError(SemtuneError, LookupError):
    """A registry has no entry of that name."""


class SearchError(SemtuneError):
    """A search does not exist, exists already, or cannot go on."""


class StorageError(SemtuneError):
    """A disk or a storage takes nothing more, or does not answer."""


class DivergedError(SemtuneError, ArithmeticError):
    """A trial's loss became NaN or infinite."""


class TrackingError(SemtuneError):
    """The MLflow store or its champion cannot be used."""


def words_of(fault: Exception, most: int = 120) -> str:
    """What a library says, for one line of ours: it may quote a foreign file, or memory that it has freed."""
    words = "".join(each if each.isprintable() else " " for each in str(fault)).split()
    return " ".join(words)[:most] or type(fault).__name__
