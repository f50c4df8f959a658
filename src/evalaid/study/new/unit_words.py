"""What the units of a panel are called, by the header of their column: `plural_of`."""

from __future__ import annotations

import re

_PLURALS = {
    "county": "counties", "district": "districts", "municipality": "municipalities", "region": "regions", "state": "states",
    "province": "provinces", "prefecture": "prefectures", "city": "cities", "town": "towns", "area": "areas", "authority": "authorities",
    "commune": "communes", "canton": "cantons", "department": "departments", "hospital": "hospitals", "practice": "practices",
    "trust": "trusts", "clinic": "clinics", "ward": "wards", "parish": "parishes", "block": "blocks", "village": "villages",
    "zip": "ZIP areas", "fips": "counties", "tract": "tracts", "country": "countries",
    "kreis": "Kreise", "landkreis": "Landkreise", "stadtkreis": "Kreise", "kreise": "Kreise", "gemeinde": "Gemeinden", "ags": "Kreise",
    "bezirk": "Bezirke", "bundesland": "Länder",
    "département": "départements", "departement": "départements",
    "município": "municípios", "municipio": "municípios", "munic": "municípios", "comune": "comuni", "provincia": "provincias",
    "시군구": "districts", "시도": "provinces", "구": "districts", "군": "counties",
    "市区町村": "municipalities", "都道府県": "prefectures",
    "县": "counties", "县区": "counties", "县市区": "counties", "区县": "counties", "市": "cities", "省": "provinces",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")


def plural_of(header: str) -> str:
    """Return the plural of the word for a unit in the header of its column; "units" where none is known.

    Examples
    --------
    >>> [plural_of(header) for header in ("county_fips", "Local authority", "Município", "Landkreis", "시군구", "id", "la_name")]
    ['counties', 'local authorities', 'municípios', 'Landkreise', 'districts', 'units', 'units']
    """
    words = _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header).lower())
    if words[-2:] == ["local", "authority"] or "local authority" in " ".join(words):
        return "local authorities"
    return next((_PLURALS[word] for word in words if word in _PLURALS), "units")
