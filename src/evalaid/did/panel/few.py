"""How few is too few: every threshold on clusters and treated clusters, once, with its reason."""

from __future__ import annotations

FEW_CLUSTERS = 30
"""With fewer clusters t tests with CR1 reject too often (MacKinnon, Nielsen and Webb 2023, section 3)."""

FEW_TREATED = 10
"""With fewer treated clusters the same holds, however many clusters there are (the same, section 3)."""

VERY_FEW_CLUSTERS = 6
"""With fewer clusters the 2^(G-1) distinct Rademacher draws give no p-value below 0.05."""

WILD_UNSURE = 5
"""With fewer treated clusters a wild bootstrap can be far from its level (MacKinnon and Webb 2017, doi:10.1002/jae.2508)."""

WILD_FAILS = 4
"""With fewer treated clusters one sign of the treated clusters decides each draw of a wild bootstrap."""

SYNTHETIC_FIRST = 3
"""With so few treated units or fewer a study's draft tries weights fitted to their own past before group averages."""

FEW_EFFECTIVE = 10
"""With fewer effective clusters the t quantile of the default is 15% above the normal one: more than a matter of the sample."""
