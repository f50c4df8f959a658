"""The methods of a recovery are named as a reader knows them."""

from __future__ import annotations

import evalaid as ea
from evalaid.report.questions.recoveries import recover


def test_trials_are_named_by_the_titles_of_their_methods():
    spec = ea.StudySpec(study="xinyi_alliance").change({"recovery": {"draws": 2}})
    found = recover(spec).set_index("key")["label"]
    assert found["callaway_santanna"] == "Callaway-Sant'Anna"
    assert found["synthetic_did"] == "Synthetic difference-in-differences"
    assert not found.str.contains("_").any()
