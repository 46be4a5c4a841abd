from semtune import autofocus as autofocus
from semtune import networks as networks
from semtune.api import Champion as Champion
from semtune.api import Search as Search
from semtune.api import load_champion as load_champion
from semtune.api import open_search as open_search
from semtune.api import run_search as run_search

__version__: str
