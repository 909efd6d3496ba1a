"""Who is there in 临江市: its organisations, and the officers with their posts. All names are invented."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

REGION = "990100000"
YEAR = 2026
DAY = date(2026, 6, 15)
PASSWORD = "demo-1234"
FINANCE, PBOC, BANK_A, BANK_B = "FIN-990100000", "PBOC-990100", "BANK-A", "BANK-B"
UNITS = {"101001": "UNIT-101001", "101002": "UNIT-101002", "205001": "UNIT-205001"}
ORGANISATIONS = {
    FINANCE: "临江市财政局",
    PBOC: "国家金库临江市支库",
    BANK_A: "甲银行",
    BANK_B: "乙银行",
    "UNIT-101001": "临江市教育局",
    "UNIT-101002": "临江市第一中学",
    "UNIT-205001": "临江市公安局",
}


BUREAUS_OWN = "900001"  # 财政代列: what the bureau pays on nobody's behalf stands under a unit of its own


@dataclass(frozen=True)
class Officer:
    """A log-in of the demo: its user name, the person's name, post, and the unit or section it is for."""

    username: str
    name: str
    post: str
    unit: str = ""
    section: str = ""
    staff_no: str = ""


_UNIT_PEOPLE = {
    "101001": ("王小燕", "赵国强", "孙立新", "周文静", "钱思雨"),
    "101002": ("李春梅", "吴志刚", "郑海涛", "冯玉兰", "曹文博"),
    "205001": ("陈晓东", "褚建军", "卫红英", "蒋丽华", "姜北辰"),
}
_UNIT_POSTS = (
    ("jb", "unit_clerk"),
    ("fh", "unit_reviewer"),
    ("fz", "unit_leader"),
    ("yz", "unit_sealer"),
    ("mz", "unit_name_seal"),
)
_OFFICERS = [
    Officer(f"u{unit}-{suffix}", name, post, unit=unit)
    for unit, names in _UNIT_PEOPLE.items()
    for (suffix, post), name in zip(_UNIT_POSTS, names, strict=True)
] + [
    Officer("ys-jb", "沈思远", "budget_clerk"),
    Officer("ys-fz", "韩明哲", "budget_approver"),
    Officer("jkw-sh", "杨雪梅", "section_reviewer", section="教科文科"),
    Officer("xzzf-sh", "朱天佑", "section_reviewer", section="行政政法科"),
    Officer("gk-jh", "秦若兰", "plan_reviewer"),
    Officer("gk-sh", "尤志远", "payment_reviewer"),
    Officer("gk-kz", "许国华", "treasury_chief"),
    Officer("gk-zd", "何雨桐", "voucher_maker"),
    Officer("gk-yz", "吕清扬", "seal_keeper"),
    Officer("gk-mz", "孔令仪", "name_seal"),
    Officer("gk-dz", "施静怡", "reconciler"),
    Officer("gk-jk", "张守正", "monitor_officer"),
    Officer("sbk-sh", "顾清源", "section_reviewer", section="社会保障科"),
    Officer("u900001-jb", "罗文举", "unit_clerk", unit="900001"),
    Officer("bb-hd", "华晓光", "roster_checker"),
    Officer("ld-fg", "俞敬安", "bureau_leader"),
]


def officers() -> Sequence[Officer]:
    """Every officer, with the staff number the person has."""
    return [replace(someone, staff_no=f"LJ-{number:03d}") for number, someone in enumerate(_OFFICERS, start=1)]
