"""Counties by code or name: every listed division is found in every form, several of one name are never decided alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalaid.base.errors import ReadingError
from evalaid.reading.places.divisions import load_divisions, short_forms, stem
from evalaid.reading.places.regions import Candidates, Region, find_region, read_regions
from evalaid.reading.values.script import TRADITIONAL, simplify

DIVISIONS = load_divisions()
ALL = [division for divisions in DIVISIONS.by_code.values() for division in divisions]
CURRENT = [division for division in ALL if division.current]
COUNTIES = [division for division in CURRENT if division.level == "county"]
FORMER = [division for division in ALL if not division.current]
BACK = {simple: traditional for traditional, simple in TRADITIONAL.items()}
FULL_WIDTH = str.maketrans("0123456789.", "０１２３４５６７８９．")
counties = st.sampled_from(COUNTIES)


def code(value, **options):
    found = find_region(value, **options)
    assert isinstance(found, Region), found
    return found.code


FOUND = [
    ("连南瑶族自治县", "441826", "name as listed"),
    ("连南县", "441826", "short form of 连南瑶族自治县"),
    ("连南", "441826", "short form of 连南瑶族自治县"),
    ("连南自治县", "441826", "short form of 连南瑶族自治县"),
    ("連南瑤族自治縣", "441826", "name as listed"),
    (" 连 南　县 ", "441826", "short form of 连南瑶族自治县"),
    ("清远市连南县", "441826", "连南县|short form"),
    ("广东省清远市连南瑶族自治县", "441826", "连南瑶族自治县 in 清远市"),
    ("清远-连南县", "441826", "short form"),
    ("湟中县", "630106", "湟中县 (630122) was last listed in 2014; 湟中区 (630106) took its name"),
    (630122, "630106", "took its name"),
    ("清新县", "441803", "took its name"),
    ("增城市", "440118", "took its name"),
    ("曲江县", "440205", "took its name"),
    ("梅县", "441403", "took its name"),
    ("庐江县", "340124", "name as listed"),
    ("定安县", "469021", "name as listed"),
    (440222, "440222", "code as listed"),
    (440222.0, "440222", "code as listed"),
    ("440222.0", "440222", "code as listed"),
    ("440222000000", "440222", "the first six of 12 digits"),
    (440222000000, "440222", "the first six of 12 digits"),
    ("4.40222E+11", "440222", "the first six of 12 digits"),
    ("４４０２２２", "440222", "code as listed"),
    ("'440222", "440222", "code as listed"),
    ("440222始兴县", "440222", "code as listed"),
    ("始兴县（440222）", "440222", "code as listed"),
    ("130503", "130503", "the code's name today; until 2014 it was 桥西区"),
    ("城区（汕尾）", "441502", "城区 in 汕尾市"),
    ("湟中区（原湟中县）", "630106", "name as listed"),
    ("1.始兴县", "440222", "name as listed"),
    ("（一）始兴县", "440222", "name as listed"),
    ("其中：始兴县", "440222", "name as listed"),
    ("始兴县①", "440222", "name as listed"),
    ("始兴县*", "440222", "name as listed"),
    ("韶关市", "440200", "name as listed"),
    ("广西", "450000", "short form of 广西壮族自治区"),
    ("东莞市", "441900", "name as listed"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected", "how"), FOUND)
def test_a_county_however_it_is_written(value, expected, how):
    found = find_region(value)
    assert isinstance(found, Region), found
    assert found.code == expected
    assert any(part in found.how for part in how.split("|"))


REFUSED = [
    ("鼓楼区", "several divisions have this name", ["320106", "320302", "350102", "410204"]),
    ("吉林", "several divisions have this name", ["220000", "220200"]),
    ("东山区", "several divisions have this name; 东山区 (440102) was last listed in 2004", ["230406"]),
    ("始兴先", "unknown name", ["440222"]),
    ("440299", "no list from 2002 on has this code", ["440229"]),
    ("440102", "东山区 (440102) was last listed in 2004 and no division took its name: it was merged or renamed; name the division", []),
    ("滦县", "滦县 (130223) was last listed in 2014 and no division took its name", ["130284"]),
    ("440222100", "9 digits that do not end in zeros: a township or a village", ["440222"]),
    ("4402", "4 digits, expected six", ["440200"]),
    ("44022", "5 digits, expected six", []),
    ("始兴县（不含省属）", "what (不含省属) means beside the name is unknown", ["440222"]),
    ("440222仁化县", "the code 440222 is 始兴县, the name is another", ["440224", "440222"]),
    ("合计", "unknown name", []),
    ("Shixing", "unknown name", []),
    ("", "no name and no code", []),
    (None, "no name and no code", []),
    (True, "no name and no code", []),
]  # fmt: skip


@pytest.mark.parametrize(("value", "reason", "nearest"), REFUSED)
def test_what_is_no_single_county_says_why_and_what_is_near(value, reason, nearest):
    found = find_region(value)
    assert isinstance(found, Candidates)
    assert found.reason.startswith(reason)
    near = [region.code for region in found.regions]
    assert set(nearest) <= set(near)
    assert reason in str(found)


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        ("福建省", "350102"),
        ("福建", "350102"),
        ("徐州市", "320302"),
        ("3203", None),
        ("320300", "320302"),
        (410000, "410204"),
    ],
)
def test_a_name_of_several_is_decided_by_where_it_lies(within, expected):
    if expected is None:
        with pytest.raises(ReadingError, match=r"within='3203' is no province or prefecture: .*4 digits, expected six"):
            find_region("鼓楼区", within=within)
    else:
        assert code("鼓楼区", within=within) == expected


def test_a_place_outside_is_refused():
    assert "始兴县 (440222, 韶关市) does not lie in 清远市" in str(find_region(440222, within="清远市"))
    assert find_region("始兴县", within="清远市").reason == "unknown name"
    with pytest.raises(ReadingError, match=r"始兴县 .* is a county. Expected one, as a name or a code"):
        find_region("鼓楼区", within="始兴县")


def test_only_one_level():
    assert code("朝阳", level="prefecture") == "211300"
    assert "is a prefecture, expected a county" in str(find_region(440200, level="county"))


def test_a_code_beside_a_name_decides_and_must_agree():
    found = read_regions(["鼓楼区", "始兴县", "仁化县", None, "城区"], codes=[350102, "440222", 440229, 440224.0, None])
    assert [region.code for region in found.regions[:2]] == ["350102", "440222"]
    assert found.notes[0] == (
        0,
        "鼓楼区",
        "鼓楼区 (350102, 福州市): several divisions have this name: decided by the code beside it",
    )
    assert found.regions[3].name == "仁化县"
    assert [(position, text) for position, text, _ in found.faults] == [(2, "仁化县"), (4, "城区")]
    assert "the code 440229 is 翁源县, the name is another" in found.faults[0][2]
    assert found.evidence == "3 of 5 cells are divisions (3 different)."


def test_the_name_is_checked_against_the_code_even_when_the_code_was_given_anew():
    found = read_regions(["定安县"], codes=[469025])
    assert "the code 469025 is 白沙黎族自治县, the name is another" in found.faults[0][2]


def test_as_many_codes_as_names():
    with pytest.raises(ReadingError, match="1 codes stand beside 2 names"):
        read_regions(["a", "b"], codes=[1])


def test_empty_cells_are_none_and_no_fault():
    found = read_regions([None, "", "　", float("nan")])
    assert found.regions == (None,) * 4
    assert found.faults == []


def test_every_current_county_is_found_by_its_code():
    found = read_regions([division.code for division in COUNTIES])
    assert [region.name for region in found.regions] == [division.name for division in COUNTIES]
    assert found.faults == []


def test_every_current_county_is_found_by_name_and_code_together():
    found = read_regions([division.name for division in COUNTIES], codes=[int(division.code) for division in COUNTIES])
    assert [region.code for region in found.regions] == [division.code for division in COUNTIES]


def test_a_name_alone_never_gives_another_county():
    for division in COUNTIES:
        found = find_region(division.name)
        if isinstance(found, Region):
            assert found.code == division.code
        else:
            assert division.code in {region.code for region in found.regions}


def test_a_former_division_is_followed_only_to_one_of_its_name_or_code():
    followed = {former: DIVISIONS.successor(former) for former in FORMER}
    for former, heir in followed.items():
        if heir is not None:
            assert heir.current
            assert heir.code[:2] == former.code[:2]
            assert heir.code == former.code or {former.name, stem(former.name)} & {heir.name, stem(heir.name)}
    unknown = [former for former, heir in followed.items() if heir is None]
    assert (len(FORMER), len(unknown)) == (573, 140)


def test_guangdongs_57_counties_are_in_the_list():
    names = [division for division in COUNTIES if division.code.startswith("44") and not division.name.endswith("区")]
    assert len(names) == 57


def test_the_short_names_of_guangdongs_57_counties_are_found_within_it():
    for division in COUNTIES:
        if division.code.startswith("44") and not division.name.endswith("区"):
            assert code(stem(division.name), within="广东省", level="county") == division.code


@given(
    counties,
    st.sampled_from(["{c}", "{c}.0", "{c}000000", " {c} ", "'{c}", "{c}{n}", "{n}({c})", "[{c}]{n}"]),
    st.booleans(),
)
def test_a_code_in_any_style_is_read_back(division, style, wide):
    text = style.format(c=division.code, n=division.name)
    assert code(text.translate(FULL_WIDTH) if wide else text) == division.code


@given(counties, st.data())
def test_a_name_in_any_style_is_read_back(division, data):
    name = data.draw(st.sampled_from([division.name, *short_forms(division.name)]))
    above = DIVISIONS.current(division.code[:4] + "00") or DIVISIONS.current(division.code[:2] + "0000")
    spaced = data.draw(st.sampled_from(["", " ", "　"])).join(name)
    style = data.draw(st.sampled_from(["plain", "traditional", "prefixed", "marked"]))
    text = {
        "plain": spaced,
        "traditional": "".join(BACK.get(letter, letter) for letter in spaced),
        "prefixed": above.name + spaced,
        "marked": spaced + "①",
    }[style]
    found = find_region(text, within=above.code)
    if isinstance(
        found, Candidates
    ):  # 巴林左旗 and 巴林右旗 differ; only a name that a neighbour shares or shared is left open
        assert found.reason.startswith("several divisions have this name")
    else:
        assert found.code == division.code


@given(
    st.one_of(
        st.text(max_size=10),
        st.text("市县区州省广东清远连南0123456789()（）·、. ", max_size=9),
        st.integers(),
        st.floats(),
        st.booleans(),
        st.none(),
    )
)
def test_any_value_is_a_region_or_says_why(value):
    found = find_region(value)
    assert isinstance(found, Region) or found.reason
    assert isinstance(read_regions([value]).faults, list)


def test_simplifying_changes_no_listed_name_and_only_once():
    assert [division.name for division in ALL if simplify(division.name) != division.name] == []
    assert all(len(pair) == 1 for pair in (*TRADITIONAL, *TRADITIONAL.values()))
    assert not set(TRADITIONAL) & set(TRADITIONAL.values())


def test_pinyin_that_ocr_left_is_taken_out():
    assert simplify("醫(yī)療機構(gòu)") == "医疗机构"
    assert simplify("指数（CMI）") == "指数(CMI)"
    assert code("连(lián)南县") == "441826"


def test_another_list_of_divisions(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(
        "code,name,first_listed,last_listed\n110000,某省,2002,2023\n110101,某县,2002,2023\n", encoding="utf-8"
    )
    assert code("某县", path=path) == "110101"
    path.with_name("other.csv").write_text("code;name\n", encoding="utf-8")
    with pytest.raises(ReadingError, match=r"no.csv: the list of divisions cannot be read"):
        find_region("某县", path=tmp_path / "no.csv")
    (tmp_path / "bad.csv").write_text("code,title\n110000,某省\n", encoding="utf-8")
    with pytest.raises(ReadingError, match="Expected columns code, name, first_listed, last_listed"):
        find_region("某县", path=tmp_path / "bad.csv")
