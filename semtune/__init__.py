"""semtune: finds the network that scores the quality of SEM frames as a specialist does.

In a notebook: `semtune.run_search`, `semtune.open_search`, `semtune.load_champion`, and the registries
`semtune.autofocus.AUTOFOCUS_FUNCTIONS` and `semtune.networks.ARCHITECTURES`. What a name needs is loaded when
it is asked for. `__init__.pyi` says the same to type checkers.
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = [
    "Champion",
    "Search",
    "__version__",
    "autofocus",
    "load_champion",
    "networks",
    "open_search",
    "run_search",
]

_PACKAGES = ("autofocus", "networks")


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    if name in _PACKAGES:
        return import_module(f"semtune.{name}")
    if name in __all__:
        return getattr(import_module("semtune.api"), name)
    raise AttributeError(f"module 'semtune' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
