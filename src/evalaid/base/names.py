"""The canonical column names, and the only place where a raw name is interpreted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

UNIT = "unit"
PERIOD = "period"
OUTCOME = "outcome"
INSIDE = "inside"
TOTAL = "total"
WEIGHT = "weight"
CLUSTER = "cluster"
COHORT = "cohort"

PANEL_COLUMNS = (UNIT, PERIOD, OUTCOME, INSIDE, TOTAL, WEIGHT, CLUSTER)
"""Columns of a canonical panel, in this order; covariates follow under their own names."""

SHARE_WORDS = frozenset({"share", "shares", "rate", "rates", "pct", "percent", "percentage", "proportion", "fraction"})
SHARE_CHARACTERS = ("率", "占比", "이용률", "비율")

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def names_a_share(column: object) -> bool:
    """Tell whether a column name says that its values are shares.

    Assumes that words in a name are set off by underscores, spaces, digits or capitals, so that "corporate" does not
    count as a "rate".

    Parameters
    ----------
    column : object
        Name of a column, in English, Chinese or Korean.

    Returns
    -------
    bool
        True for names such as ``"inpatient_share"``, ``"share_pct"``, ``"县域内住院率"`` or ``"관내이용률"``.

    Examples
    --------
    >>> names_a_share("acute_inpatient_share_pct"), names_a_share("관내이용률"), names_a_share("corporate_beds")
    (True, True, False)
    """
    text = str(column)
    return any(part in text for part in SHARE_CHARACTERS) or any(
        word.lower() in SHARE_WORDS for word in _WORDS.findall(text)
    )


NAME, CODE, SHARE, OUTSIDE = "name", "code", "share", "outside"
YEAR, PART = "year", "part of a year"
CITY, PROVINCE, SERIAL, INDICATOR, EDITION, BASE = "city", "province", "serial", "indicator", "edition", "base"
MEASURE = "measure"
NOTHING, FIGURE, CITY_SHARE = "nothing", "figure", "city_share"
"""A column that is not read, one with figures of the variable that its row names, and the share that a city's counties have in common."""

KEY_HEADERS = {
    CODE: r"(统一)?(县|县区|县\(市区\)|地区|行政|单位)?(行政)?(区划|区域|地区|县|行政区)?(编码|代码|编号码)|ad_?code|(county|region|unit)_?(code|id)|code",
    CITY: r"(所属|所在)?(地级?)?(城市|地市|市州|地市州|市别|州市|地级市|地区\(市\)|市\(州\))(名称)?|设区市|city|prefecture",
    PROVINCE: r"(所属|所在)?省(份|别|市|区|\(区市\))?(名称)?|province",
    NAME: r"(各|所属|所在|统计)?(县域|县|区县|县区|县市|县市区|市县|县级|县\(市区\)|县\(市\)|县\(区\)|区\(县\)|区\(市县\)|区\(县市\)|市\(县区\)|县市\(区\)|县市旗|旗县区?|市县区|县名|县别|地区|区域|辖区|单位|行政区划?|行政区域|区划)"
    r"(行政区)?(名称|名|别|单位)?|county(_?name)?|district(_?name)?|unit(_?name)?|region(_?name)?|name",
    PERIOD: r"(统计|报告|数据|所属)?(期|时期|期间|时间|周期|月份|年月|时段|日期|季度?|期别|月|年份?季度?|年度季度)|period|quarter|month|date|yearquarter|time",
    YEAR: r"(统计|报告|数据|所属)?(年份|年度|年)|year",
    SERIAL: r"序号|行号|编号|号|no\.?|#|serial",
    INDICATOR: r"指标(名称|项目)?|项目(名称)?|统计指标|统计项目|indicator|variable|item",
    MEASURE: r"(计量|度量)单位|unit_?of_?measure(ment)?|measure",
    EDITION: r"(数据)?(版本|状态|性质|类型|阶段|修订情况|修订状态|修订)|revision|version|edition|status",
    BASE: r"(统计|人群|数据)?口径|人群(范围|类别)?|base|population_base",
}
"""Role of a column that says what a row is -> pattern of its header, spaces and case aside."""

FIGURE_HEADER = r"(指标)?(数值|数据|数量|值|数)|figure|value|amount"
"""Header of the one column of figures in a table with a row for each indicator."""

HOSPITAL, RECIPIENT, START, END, SPELL = "hospital", "recipient", "start", "end", "spell"
ANNOUNCED, AGREED, ARRIVED, MECHANISM = "announced", "agreed", "arrived", "mechanism"
EXPERTS, DEPARTMENTS = "experts", "departments"

_HELPS = r"(支援|帮扶|派出|支持|托管|合作|牵头|对口支援|对口帮扶|组团式?帮扶|共建|组团|结对)"
_HELPED = r"(受援|被帮扶|受扶|被托管|受帮扶|被支援|县级|基层)"
_WHEN = r"(时间|日期|年月|年份|年)"
ROSTER_HEADERS = {
    NAME: rf"{_HELPED}(县|地区|县\(市区\)|地|县区|县市区|县市)(名称)?|(supported_?|recipient_?)(county|district|area)",
    RECIPIENT: rf"{_HELPED}(方|单位|医院|机构|医疗机构|医疗单位)(名称)?|(recipient|supported|county)_?hospital(_?name)?|recipient",
    HOSPITAL: rf"{_HELPS}(方|单位|医院|三级医院|三甲医院|机构|医疗机构|医疗单位)(名称|\(三级医院\))?|(上级|三级|三甲|核心|省级)?医院(名称)?|"
    r"(supporting|support|partner|lead|helping)?_?hospitals?(_?name)?",
    ANNOUNCED: rf"(公布|发布|印发|宣布|发文|文件|下达|公告){_WHEN}|announce(d|ment)(_?date)?|date_?announced",
    AGREED: rf"(签约|协议|签订|签署|合作协议|协议签订|签订协议|签协议){_WHEN}|(agree(d|ment)|signed|contract)(_?date)?|date_?(agreed|signed)",
    ARRIVED: rf"(进驻|到位|派驻|到岗|入驻|抵达|首批进驻|专家进驻|人员到位|专家到位|团队进驻){_WHEN}|arriv(ed|al)(_?date)?|date_?arrived|work_?began",
    END: rf"({_HELPS}|合同|协议)?(结束|终止|截止|届满|到期|期满|止|终){_WHEN}?|(end(ed|s)?|until|to|expir(y|ed))(_?(date|year))?|date_?ended",
    SPELL: rf"({_HELPS}|起止|起讫|合同|协议|服务)(起止|起讫)?(时间|期限|期|周期|年限|时段)|起止({_WHEN})?|时间|期限|周期|(partnership_?|support_?)?(period|duration|term|dates)",
    START: rf"({_HELPS}|合同|协议)?(开始|起始|启动|实施|起|建立|开展|挂牌|生效|正式启动|始){_WHEN}?|{_HELPS}?(日期|年份|年度)|"
    r"(start(ed|s)?|begin(s|ning)?|began|begun|since|from)(_?(date|year))?|date_?(started|begun)|date|year",
    MECHANISM: r"(帮扶|支援|合作|协作|托管|共建)?(机制|方式|形式|模式|类型|类别)|mechanism|(partnership_?)?(type|kind|form)|mode",
    EXPERTS: r"(派驻|帮扶|派出|常驻|驻点|选派)?(专家|医生|医师|人员|医务人员|专技人员|专家团队)(数|人数|数量|情况)?|(派驻|派出|常驻|驻点|选派)人数|n?_?(experts|doctors|staff)(_?posted)?",
    DEPARTMENTS: r"(帮扶|托管|共建|重点|重点帮扶|支援|对口|受援)?(科室|专科|学科)(数|个数|数量|名称|情况)?|n?_?departments?|specialt(y|ies)",
}
"""Role of a column of a roster -> pattern of its header, spaces and case aside; the first that fits the whole text counts."""

MECHANISMS = (
    ("cluster assistance", r"组团|cluster"),
    ("one hospital takes one department", r"以院包科|一院一科|院包科"),
    ("trusteeship", r"托管|委托管理|trustee"),
    ("tight county medical community", r"医共体|医疗共同体|medical community"),
    ("alliance", r"医联体|联盟|专科联盟|医疗联合体|医疗集团|alliance"),
    ("one-to-one pairing", r"对口|结对|一对一|pair"),
)
"""Kind of partnership -> words for it; the first that is found counts."""

_PEOPLE = r"(居民|常住居民|辖区居民|本县居民|户籍居民|参保人|参保人员|参保居民|医保参保人|患者|病人)?"
_COUNT = r"(总)?(人次|人次数|人数|例数|量|病例数|患者数|病人数)"
_WITHIN = r"(在)?(县域|县|域|本县|县区|区域|辖区|县\(市区\)|县\(市\))"
VALUE_HEADERS = {
    SHARE: rf"{_PEOPLE}{_WITHIN}内?(住院|出院)(率|比例|占比|比|患者占比|人次占比|人次比例)|county_?inpatient_?share|(inpatient_?)?share(_?pct)?",
    INSIDE: rf"{_PEOPLE}{_WITHIN}内?(住院|出院){_COUNT}?|(n_?)?(in|inside)(_?county)?(_?inpatients?|_?episodes)?|inpatients?_?inside",
    OUTSIDE: rf"{_PEOPLE}{_WITHIN}外(转)?(住院|出院|就医){_COUNT}?|(n_?)?(out|outside)(_?county)?(_?inpatients?|_?episodes)?|inpatients?_?outside",
    TOTAL: rf"{_PEOPLE}(住院|出院)(总|合计|全部)?{_COUNT}(合计|总数|总计)?|{_PEOPLE}(总|全部|合计)(住院|出院){_COUNT}|"
    r"(n_?)?total(_?residents?)?(_?inpatients?|_?episodes)?|all_?(inpatients?|episodes)",
    "out_severe": rf"{_WITHIN}外疑难(重|危重)症(住院|出院)?{_COUNT}?|n_?out_?severe",
    "visit_share": rf"{_WITHIN}内?就诊率|share_?visit(_?pct)?|visit_?share",
    "primary_share": rf"{_WITHIN}内?基层(医疗卫生机构)?(就诊率|诊疗量占比|诊疗占比)|share_?primary(_?pct)?|primary_?share",
    "fund_share": rf"医保基金{_WITHIN}内?支出(占比|率|比例)(\(不含药店\))?|fund_?in_?county_?pct|fund_?share",
    CITY_SHARE: r"市域内?住院率|n?_?city_?share",
    "experts": r"(派驻|帮扶)(专家|医生|人员)(数|人数)?(\(.{1,9}月\))?|n?_?experts(_?posted)?",
    "departments": r"(帮扶|托管|共建)?科室(数|个数)|n?_?departments",
    "expert_days": r"派驻人天(数)?|expert_?days",
    "distance_km": r"(支援)?-?(受援)?-?距离|distance(_?km)?",
    "population": r"(年末)?常住人口(数)?|pop_?resident|population",
    "registered_population": r"(年末)?户籍人口(数)?|pop_?registered",
    "share_65": r"65岁(及|以)?(及以)?上(人口)?(占比|比重|比例)|share_?65",
    "gdp_per_head": r"人均(gdp|地区生产总值|生产总值)|gdp_?pc|gdp_?per_?(head|capita)",
    "beds": rf"({_WITHIN}内?)?(医疗机构)?(床位|病床)(数|总数)|beds(_?county)?",
    "doctors_per_1000": r"每千(人|人口)(口)?执业\(?(助理|含助理)\)?医师(数)?|doctors_?per_?1000",
    "tertiary_hospitals": rf"({_WITHIN}内?)?三级(综合)?医院(数|个数)|n?_?tertiary",
    "reimbursement_gap": rf"{_WITHIN}内外(住院)?报销比例差|reimb(ursement)?_?gap",
    "surgery_share": r"三四级手术占比|三、四级手术占比|surgery34_?pct|surgery_?share",
    "cmi": r"cmi(值|指数)?|病例组合指数",
}
"""Variable of a panel -> pattern of its header, spaces, units and periods aside; the first that fits the whole text counts."""

SHARES = (SHARE, "visit_share", "primary_share", "fund_share", CITY_SHARE, "share_65", "surgery_share")
OF_RESIDENTS = r"居民|常住|户籍|参保|流向|县域|辖区内?外|患者来源|resident|insured"
OF_HOSPITALS = r"医疗机构|医疗卫生机构|医院|卫生院|工作量|服务量|服务情况|诊疗|hospitals?|workload"
"""What a header or title says of whose episodes a total counts: of the people of a place, or of its hospitals."""

COUNTS = (INSIDE, OUTSIDE, TOTAL, "out_severe", "expert_days")
"""Counts of events in a period: they add up over periods, so that cumulative ones can be differenced."""

TOTAL_ROW = (
    r"(其中:?)?(全省|全市|全州|全区|全县|全国|各县|各市|地区)?(合计|总计|小计|共计|总和|汇总|总数|总体|平均|平均值|平均数|均值|中位数)|"
    r"(全省|全市|全州|全自治区|全国)(水平)?|.{2,9}(合计|总计|小计|平均|平均值)|(sub|grand)?_?totals?|sum|average|mean|all( counties)?"
)
"""What the key of a row of totals or averages looks like."""

NOTE_START = (
    r"(注|备注|说明|附注|填报|填表|制表|制图|审核|统计|报送|上报|数据来源|资料来源|来源|数据截至|截至|联系|"
    r"notes?|source|unit|\*|※|①|\[1\])"
)
OFFICE = "填报|填表|报送|上报|制表|编制|编报|统计|审核|发布|主管|主办|承办|责任|牵头|支援|受援|帮扶|所属|来源"
UNIT_NOTE = rf"(?<!{OFFICE})(?:计量|数据)?(?:单位|units?)[:：]\s*(.+)"
"""What says the unit of a table; 填报单位 (who filled it in) is an office and no unit."""
CUMULATIVE_WORDS = r"累计|year[ _-]?to[ _-]?date|\bytd\b|cumulative"
CHANGE_WORDS = r"构成|同比|环比|增长|增幅|增减|增速|升降|变化|同期|上年|去年|前年|基期|上季|上月|last year|previous|排名|位次|排序|目标|计划数|考核|得分|达标|yoy|change|rank|target"
"""What a column of changes, of figures of another period, of ranks or targets is called: it holds no level of a variable in the table's
own period, whatever else its header says."""

PART_WORDS = (
    r"男性?|女性?|城镇|农村|城市|(城镇|城乡)?(职工|居民)(医保|参保人员?|基本医疗保险)?|新农合|自费|异地|公立|民营|社会办|非公立|[一二三]级(医院)?|"
    r"(县|县级|乡镇|镇|其他|公立|民营|综合|中医|专科|人民)*(医院|中医院|卫生院|卫生服务中心|妇幼保健院|保健院|医疗机构|医疗卫生机构)|基层(医疗卫生机构|医疗机构)?|"
    r"(手术|死亡|儿童|老年|慢病|医养|日间|肿瘤|产妇|新生儿).{0,4}|(内|外|妇产|儿|中医)科|其他|other|male|female|rural|urban|of which.*"
)
"""Words beside the name of a variable in a header that say that the column counts a part only (men, one kind of hospital)."""

TITLE_WORDS = r"[()《》:：,，\s]|各县\(?市?、?区?\)?|全省|分县|情况|统计表|一览表|表\d*|年|度|季"
"""What stands around the name of the variable in the title of a table."""

STEP_WORDS = {"month": r"月|month", "half-year": r"半年|half", "quarter": r"季|quarter"}
"""What the header of a column of periods says its dates or plain numbers stand for."""
FILED_WORDS = r"(填报|填表|制表|制图|报送|上报|打印|印发|编印|编制|导出|下载|生成|发布|公布|更新|出版)(日期|时间)?"
"""What stands before or after the day on which a table was made or sent."""
OF_WHICH = r"^其中[:：]?"
SEVERAL_YEARS = r"(?:19|20)\d{2}年?[-—–~至到](?:19|20)?\d{2}年"
SINGLE_WORDS = r"非累计|不累计|当季|本季|当期|本期|当月|本月|单季|季度数|当季数"
EDITIONS = (
    (0, r"初步|快报|预计|预测|暂定|preliminary|provisional|flash"),
    (1, r"正式|年报|official"),
    (2, r"修订|更正|调整|revised|corrected"),
    (3, r"最终|核定|final"),
)
"""Words of an edition of a figure, in the order in which later ones replace earlier ones."""


RECORD_COLUMNS: dict[str, tuple[str, ...]] = {
    "residence": ("residence", "residence_code", "residence_county"),
    "hospital": ("hospital", "hospital_code", "组织机构代码", "医疗机构代码", "定点医药机构编号", "fixmedins_code"),
    "hospital_county": ("hospital_county", "hospital_county_code", "医疗机构行政区划代码", "就医地行政区划代码"),
    "admission": ("admission", "admission_date", "入院时间", "入院日期", "rysj", "adm_time", "begndate"),
    "discharge": ("discharge", "discharge_date", "出院时间", "出院日期", "cysj", "dscg_time", "enddate"),
    "person": ("person", "person_id", "pseudonym", "人员编号", "患者唯一标识", "psn_no"),
    "base": ("base", "人口类型", "人群类型"),
    "insurance": ("insurance", "insurance_type", "险种类型", "医疗付费方式", "insutype", "ylfkfs"),
    "weight": (),
}
"""Role of a column of discharge records -> names it goes by on home pages (病案首页) and in claims, in small letters; a weight is read
only when it is named."""

RESIDENCE_COLUMNS: dict[str, tuple[str, ...]] = {
    "residents": ("现住址行政区划代码", "现住址县区划代码", "常住地行政区划代码", "居住地行政区划代码"),
    "registered": ("户口地址行政区划代码", "户籍地行政区划代码", "户籍行政区划代码"),
    "insured": ("参保地医保区划", "参保地行政区划代码", "insu_admdvs"),
}
"""Base -> names of the residence that belongs to it; a home page has several, and they must not be mixed."""

BASE_VALUES: dict[str, tuple[str, ...]] = {
    "residents": ("residents", "resident", "常住", "常住人口", "常住居民"),
    "registered": ("registered", "户籍", "户籍人口"),
    "insured": ("insured", "参保", "参保人", "参保人员"),
}
"""Base -> what a column of kinds of people calls it."""

MATRIX_TOTALS = ("合计", "总计", "小计", "总数", "全省", "全省合计", "省内合计", "total", "sum")
MATRIX_HOMES = (
    "居住地", "常住地", "现住址", "户籍地", "参保地", "来源地", "患者来源", "县(市、区)", "县(市,区)", "县区", "县市区", "区县", "县", "地区", "county",
    "county_code", "adcode", "行政区划代码", "患者现住址县区", "residence\\hospital", "居住地\\就医地", "居住地\\就诊地",
)  # fmt: skip
"""Headings of the column with the county of residence, beside those of records."""
MATRIX_OUT_OF_PROVINCE = ("省外", "外省", "out_of_province")
MATRIX_UNKNOWN = ("不详", "未知", "其他", "unknown", "other")
"""Headings of an origin-destination matrix that are no county."""

PERSON_COLUMNS = (
    "姓名", "患者姓名", "病人姓名", "联系人", "联系人姓名", "身份证", "身份证号", "身份证号码", "证件号码", "病案号", "住院号", "健康卡号",
    "医保卡号", "电话", "手机", "手机号", "联系电话", "人员编号", "患者唯一标识", "person_id", "patient_id", "patient_name", "pseudonym", "psn_no",
    "psn_name", "psn_cert_no", "certno", "id_number", "id_card", "phone", "telephone", "mobile", "email", "sfzh", "bah", "xm", "jkkh",
    "csrq", "birth_date", "date_of_birth", "patient", "mdtrt_id", "setl_id", "现住址", "住址", "户口地址", "邮箱", "就诊id", "医保编号",
)  # fmt: skip
"""Headings that say that a column is about one person each row, in small letters."""

PERSON_WORDS = (
    "姓名", "身份证", "证件号", "手机号", "联系电话", "电话号码", "病案号", "住院号", "门诊号", "就诊号", "流水号", "社保卡", "医保卡", "健康卡",
    "家庭住址", "出生日期", "出生年月",
)  # fmt: skip
"""Parts of headings that say so."""


def plain_name(column: object) -> str:
    """Write a column name the way it is compared: full-width to half-width, small letters, no spaces.

    Parameters
    ----------
    column : object
        Name of a column.

    Returns
    -------
    str
        Its plain form.

    Examples
    --------
    >>> plain_name(" ＣＭＩ "), plain_name("出院 时间")
    ('cmi', '出院时间')
    """
    return "".join(unicodedata.normalize("NFKC", str(column)).split()).lower()


def find_record_columns(
    columns: Iterable[str], base: str, given: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Find which column of discharge records is which.

    Parameters
    ----------
    columns : iterable of str
        The columns there are.
    base : {"residents", "registered", "insured"}
        Whose episodes are counted: it decides which of several residences is meant.
    given : mapping of str to str, optional
        Role -> column; these are not looked for.

    Returns
    -------
    tuple of two dict
        Role -> column that was given or found alone; role -> columns where several would do.

    Examples
    --------
    >>> find_record_columns(["参保地医保区划", "现住址行政区划代码", "CYSJ"], "insured")
    ({'residence': '参保地医保区划', 'discharge': 'CYSJ'}, {})
    """
    plain = {column: plain_name(column) for column in columns}
    found, several = dict(given or {}), {}
    for role, names in RECORD_COLUMNS.items():
        if role in found:
            continue
        known = (*names, *RESIDENCE_COLUMNS[base]) if role == "residence" else names
        candidates = [column for column, name in plain.items() if name in known and column not in found.values()]
        if len(candidates) == 1:
            found[role] = candidates[0]
        elif candidates:
            several[role] = candidates
    return found, several
