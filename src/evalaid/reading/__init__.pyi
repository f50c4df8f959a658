# What `evalaid.reading` offers: the one list, for type checkers and for loading on first use.

from .journal.layouts import Layout as Layout
from .records.matrix import count_matrix as count_matrix
from .records.records import count_records as count_records
from .records.tallies import RecordCounts as RecordCounts
from .tables.tables import Reading as Reading, read_table as read_table, read_tables as read_tables
