"""All that a spec can name: the tables of the two ports."""

from meshca.core.spec import Kinds
from meshca.custody.table import SOURCES
from meshca.targets.table import BUNDLES, TARGETS

KINDS = Kinds(targets=TARGETS, bundles=BUNDLES, sources=SOURCES)
