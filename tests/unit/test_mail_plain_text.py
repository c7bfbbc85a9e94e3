"""What people read who read no HTML."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifications.channels.email.plain_text import NO_TEXT, text_of

QUARTER_MEGABYTE = 250_000
MARKUP = [
    "<", ">", "</", "<!", "<!--", "-->", "<![", "]>", "<?", "&", "&#", "&#x", ";", '"', "'", "=",
    "/", "<a", "<a href=", "<b", "<p>", "</p>", "<li>", "<ul>", "</ul>", "<td>", "<tr>", "<table>",
    "<br>",
    "<pre>", "</pre>", "<script>", "</script", "<style>", "<title>", "<p hidden>", "<img alt=",
    "<div style='display:none'>", "</div>", "<svg/>", "<script/>", "<![CDATA[", "<![foo[",
    "\x1d", "\x1e", "\x1f", "\x00", " ", "\n",
]  # fmt: skip


class TestTextOf:
    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("<p>One</p><p>Two</p>", "One\n\nTwo"),
            ("<p>One<p>Two", "One\n\nTwo"),
            ("<h1>Title</h1>Text<h2>Next</h2>Text", "Title\n\nText\n\nNext\n\nText"),
            ("One<br>Two<br/>Three", "One\nTwo\nThree"),
            ("One<br><br><br><br>Two", "One\n\nTwo"),
            ("<div>One</div><div>Two</div>", "One\nTwo"),
            ("<div><div><div>One</div></div></div><div>Two</div>", "One\nTwo"),
            ("<div>One</div><div><br></div><div>Two</div>", "One\n\nTwo"),
            ("One<hr>Two", "One\n\nTwo"),
            ("<b>O</b>ne <i>two</i>", "One two"),
            ("<pre>One\n  two</pre>", "One\ntwo"),
            ("\r\n  One\r\n  two\t three &nbsp; four\u2028 ", "One two three four"),
        ],
    )
    def test_breaks_lines_where_a_browser_does(self, html, text):
        assert text_of(html) == text

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("<ul><li>One</li><li>Two</li></ul>", "- One\n- Two"),
            ("<ul>\n <li>One\n <li>Two\n</ul>After", "- One\n- Two\n\nAfter"),
            (
                "Before<ol><li> <p>One</p></li><li><div>Two</div></li></ol>",
                "Before\n\n- One\n- Two",
            ),
            ("<ul><li>One<ul><li>Inner</li></ul></li><li>Two</li></ul>", "- One\n- Inner\n- Two"),
            ("<ul><li></li><li>One</li></ul>", "- One"),
            ("<ul><li></ul><p>After</p>", "After"),
        ],
    )
    def test_marks_the_items_of_lists(self, html, text):
        assert text_of(html) == text

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("<table><tr><td>1</td><td>2</td></tr><tr><td>3<td>4</table>", "1 | 2\n3 | 4"),
            ("<table>\n<tr>\n<th> A\n<th> B\n<tr>\n<td>1\n<td>2\n</table>", "A | B\n1 | 2"),
            ("<table><tr><td>&nbsp;</td><td><p>Text</p></td><td></td></tr></table>", "Text"),
            ("<table><tr><td></td></tr><tr><td>Text</td></tr></table>", "Text"),
        ],
    )
    def test_puts_a_row_of_a_table_on_a_line(self, html, text):
        assert text_of(html) == text

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("<a href='https://x.io/a?b=1&amp;c=2'>Get it</a>", "Get it (https://x.io/a?b=1&c=2)"),
            ("<a href='https://x.io/a'>https://x.io/a</a>", "https://x.io/a"),
            ("<a href='https://x.io/'>https://x.io</a>", "https://x.io"),
            ("<a href='mailto:ann@x.io'>ann@x.io</a>", "ann@x.io"),
            ("<a href='mailto:ann@x.io'>Ann</a>", "Ann (ann@x.io)"),
            ("<a href='https://x.io'><img src=x alt=Logo></a>", "Logo (https://x.io)"),
            ("<a href='https://x.io'></a>", "https://x.io"),
            ("<a href='#part'>Part</a>", "Part"),
            ("<a name=x>Part</a>", "Part"),
            ("<a href='javascript:alert(1)'>Go</a>", "Go"),
            ("<a href=' https://x.io/\n a '>Go</a>", "Go (https://x.io/a)"),
            ("<a href=https://x.io/1>One<a href=https://x.io/2>Two",
             "One (https://x.io/1)Two (https://x.io/2)"),
            ("</a>Text</a>", "Text"),
        ],
    )  # fmt: skip
    def test_says_where_a_link_leads(self, html, text):
        assert text_of(html) == text

    def test_is_the_alt_of_an_image(self):
        assert text_of("A <img src=x alt='Lamp, brass'> <img src=y> <img alt=''>!") == (
            "A Lamp, brass !"
        )

    @pytest.mark.parametrize(
        "unseen",
        [
            "<head><title>No</title><style>no{}</style><meta name=no></head>",
            "<script>no('<p>no</p>')</script>",
            "<script/>no</script>",
            "<STYLE type='no'>no > no {}</STYLE>",
            "<!-- no --><!--[if mso]><p>no</p><![endif]-->",
            "<p hidden>no<b>no</b></p>",
            "<div style='color:red; DISPLAY : none !important'>no<div>no</div>no</div>",
            "<span style='visibility:hidden'>no</span>",
            "<img hidden alt=no>",
            "<template><p>no</p></template>",
            "<?xml no?><!DOCTYPE no>",
        ],
    )
    def test_leaves_out_what_nobody_sees(self, unseen):
        assert text_of(f"{unseen}<p>Yes</p>") == "Yes"
        assert text_of(unseen) == NO_TEXT

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("<p hidden>no<p>Yes", "Yes"),
            ("<div><p hidden>no</div>Yes", "Yes"),
            ("<ul><li hidden>no<li>Yes</ul>", "- Yes"),
            ("<table><tr hidden><td>no<tr><td>Yes</table>", "Yes"),
            ("<head><title>no<body>Yes", "Yes"),
            ("<![if !mso]>Yes<![endif]>", "Yes"),
            ("<!-->Yes", "Yes"),
            ("<!--no--!>Yes", "Yes"),
            ("<input hidden>Yes", "Yes"),
            ("</div></p></nonsense>Yes", "Yes"),
            ("<b hidden>no</b>Yes", "Yes"),
        ],
    )
    def test_finds_the_end_of_what_nobody_sees(self, html, text):
        assert text_of(html) == text

    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("A &lt;b&gt; &amp; &eacute;&#233;&#xe9; &copy", "A <b> & ééé ©"),
            ("1 < 2 <3 & 4", "1 < 2 <3 & 4"),
            ("Fish&chips&nonsense;", "Fish&chips&nonsense;"),
            ("&#0;&#xd800;&#99999999;" + "&#" + "9" * 5_000 + ";!", "\ufffd\ufffd\ufffd\ufffd!"),
            ("Bell\x07 \x00zero", "Bell zero"),
            ("half \ud83d", "half ?"),
            ("Text at the end &am", "Text at the end &am"),
            ("Text at the end <", "Text at the end <"),
        ],
        ids=range(8),
    )
    def test_decodes_characters_once(self, html, text):
        assert text_of(html) == text

    @pytest.mark.parametrize(
        "html",
        ["", " ", "<p></p>", "<img src=x>", "<ul><li></ul>", "&nbsp;&zwnj;&#847;&shy;", "<b"],
    )
    def test_is_never_empty(self, html):
        assert text_of(html) == NO_TEXT

    @given(st.lists(st.sampled_from(MARKUP) | st.text(max_size=5)).map("".join))
    @example("<![foo[")
    @example("<a b='")
    def test_takes_whatever_comes(self, html):
        text = text_of(html)

        assert text.strip()
        assert "\n\n\n" not in text
        assert text.encode()

    @given(st.text(alphabet="abc é", min_size=1).filter(str.strip), st.sampled_from(MARKUP))
    def test_keeps_what_comes_before_any_markup(self, words, markup):
        assert text_of(f"{words} {markup}").startswith(" ".join(words.split()))

    @pytest.mark.parametrize(
        "part",
        [
            "<", "<a ", "<a", "</", "</a", "<!", "<!-", "<!--", "<![", "<![foo[", "<?", "&", "&a",
            "&#", "<div>", "</div>", "<p hidden>", "<li>", "<td>", "<a href=https://x.io>",
            "<a b='",
            '<a b="\'', "<a b=", "=", "-", " ", "\n", "<br>", "<pre>\n", "<script>", "<script></",
            "<a/", "<a " + "b " * 9_999, "<b>x</b> ", "<p>x", "<ul><li>", "<a><div></a>",
        ],
        ids=range(37),
    )  # fmt: skip
    def test_ends_on_a_quarter_megabyte_of_the_same(self, part):
        html = part * (QUARTER_MEGABYTE // len(part))

        assert text_of(html)
        assert text_of(f"<p>Hi</p>{html}").startswith("Hi")
        assert text_of(f"<script>{html}")
        assert text_of(f"<a {html}")
