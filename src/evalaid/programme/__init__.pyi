# What `evalaid.programme` offers: the one list, for type checkers and for loading on first use.

from .cohorts import assign_cohorts as assign_cohorts
from .roster import Roster as Roster, read_roster as read_roster
from .starts import vary_starts as vary_starts
