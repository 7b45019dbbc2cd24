/* HTML as text. */
#include "message/testing.h"

#include "message/html.h"

#include "base/utf8.h"

#include <string.h>

static void check(const char *html, const char *text, enum html_purpose purpose) {
    struct buf out;
    buf_init(&out, 1 << 20);
    /* An exact copy, so that the sanitizer sees a read past the end. */
    size_t n = view_cstr(html).n;
    uint8_t *copy = test_malloc(n == 0 ? 1 : n);
    memcpy(copy, html, n);
    html_put_text(&out, view_of(copy, n), purpose);
    test_free(copy);
    if (!view_eq(buf_view(&out), view_cstr(text)))
        print_error("html:     %s\n", html);
    assert_view(buf_view(&out), text);
    buf_fini(&out);
}

/* Tags, comments and text, as the standard cuts them. */
static void test_tokens(void **state) {
    (void)state;
    static const struct {
        const char *html, *text;
    } table[] = {
        {"", ""},
        {"plain", "plain"},
        {"a<b>b</b>c", "abc"},
        {"1 < 2 <3 <", "1 < 2 <3 <"},
        {"<", "<"},
        {"</", "</"},
        {"a</>b", "ab"},
        {"a</ b>c", "ac"},
        {"a<a<b>c", "ac"},
        {"a<!-- <b> -->b<!-- open", "ab"},
        {"a<!-->b<!--->c<!-- x --!>d<!-- - -- --->e", "abcde"},
        {"a<!--[if mso]>x<![endif]-->b<![if !mso]>c<![endif]>d", "abcd"},
        {"<!DOCTYPE html>x<?xml y?>z<!x>", "xz"},
        {"<![CDATA[a]]>b", "b"},
        {"<a title=\"x>y\">link</a>", "link"},
        {"<a title='it'>x", "x"},
        {"<img alt = 'a>b' alt=c>", "a>b"},
        {"<img alt=a/b>c", "a/bc"},
        {"<img / alt=a / >b", "ab"},
        {"<img =alt alt=x>", "x"},
        {"a<img alt='b", "a"},
        {"a<b", "a"},
        {"x<style>p { a</b } </styl></style>y<SCRIPT>if (a</b) </sc</script >z", "xyz"},
        {"<style>open", ""},
        {"<textarea>a<b>&amp;</textarea>c", "a<b>&\nc"},
        {"<xmp>a<b>&amp;</xmp>c", "a<b>&amp;\n\nc"},
        {"a<plaintext>b</plaintext>&amp;", "a\n\nb</plaintext>&amp;"},
        {"<html><head><title>t &amp; u</title></head><body>b", "b"},
        {"<head>x<p>y", "x\n\ny"},
        {"<noscript>shown</noscript><iframe>no</iframe><template>no<b>no</b></template>", "shown"},
        {"<o:p>&nbsp;</o:p>x<x-y z>y</x-y>", " xy"},
        {"<BR>a<Br/>b</br>c", "a\nb\nc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check(table[i].html, table[i].text, HTML_READ);
}

static void test_references(void **state) {
    (void)state;
    static const struct {
        const char *html, *text;
    } table[] = {
        {"a &lt;b&gt; &amp;amp; &#65;&#x42;&#X43; &euro;", "a <b> &amp; ABC \xe2\x82\xac"},
        {"&none; & &; &#; &#xz; &# &a", "&none; & &; &#; &#xz; &# &a"},
        {"&#1114112;&#xd800;&#0;&#99999999999999;", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        /* windows-1252 by number */
        {"&#128;&#146;&#x96;&#159", "\xe2\x82\xac\xe2\x80\x99\xe2\x80\x93\xc5\xb8"},
        /* no semicolon: old names only, the longest */
        {"&ampx &notit; &notin; &copy1 &eacutes &Sigma &Sigma;", "&x \xc2\xacit; \xe2\x88\x89 \xc2\xa9"
                                                                 "1 \xc3\xa9s &Sigma \xce\xa3"},
        {"&#65x&#x41g", "AxAg"},
        {"&NotEqualTilde;&fjlig;&nvlt;", "\xe2\x89\x82\xcc\xb8"
                                         "fj<\xe2\x83\x92"},
        {"&CounterClockwiseContourIntegral;&AElig;&zwnj;&hearts;", "\xe2\x88\xb3\xc3\x86\xe2\x80\x8c\xe2\x99\xa5"},
        {"&Afr;", "\xf0\x9d\x94\x84"},
        /* in attributes */
        {"<img alt='&ampx &amp=1 &amp; &copy &lt'>", "&ampx &amp=1 & \xc2\xa9 <"},
        {"&shy;a&#8203;b\xef\xbb\xbf", "ab"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check(table[i].html, table[i].text, HTML_READ);
}

static void test_layout(void **state) {
    (void)state;
    static const struct {
        const char *html, *text;
    } table[] = {
        {"  a \t\n b  ", "a b"},
        {"<p>a</p><p>b", "a\n\nb"},
        {"<div>a</div><div>b</div>", "a\nb"},
        {"<div>a<br></div><div>b</div>", "a\nb"},
        {"<div>a</div><div><br></div><div>b</div>", "a\n\nb"},
        {"<div>a</div><div>&nbsp;</div><div>b</div>", "a\n\nb"},
        {"a<br><br>b<br><br><br><br><br>c", "a\n\nb\n\n\nc"},
        {"<b>a</b> <i>b</i>", "a b"},
        {"a&nbsp;&nbsp;b<br>&nbsp; c", "a  b\n c"},
        {"<h1>T</h1>text<h2>U</h2>", "T\n\ntext\n\nU"},
        {"<pre>\n a\n  b\n\n\n\nc</pre>d", " a\n  b\n\n\n\nc\n\nd"},
        {"<div style='x:y; WHITE-SPACE: pre-wrap'>a\n  b</div>c", "a\n  b\nc"},
        {"<span style='white-space:pre'>a  b</span>  c  d", "a  b c d"},
        {"a<hr>b", "a\n----------------\nb"},
        {"<q>a</q>", "\xe2\x80\x9c"
                     "a\xe2\x80\x9d"},
        /* lists */
        {"<ul><li>a<li>b</ul>c", "* a\n* b\n\nc"},
        {"x<ol><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ol>", "x\n\n1. a\n2. b\n   * c\n3. d"},
        {"<ol start=9><li>a<li>b<br>c</ol>", "9. a\n10. b\n    c"},
        {"<li>a<li>b", "* a\n* b"},
        {"<ul><li><p>a</p><p>b</p></li><li></li></ul>", "* a\n\n  b"},
        {"<dl><dt>a<dd>b<dt>c<dd>d</dl>", "a\n    b\nc\n    d"},
        /* quotes */
        {"<blockquote>a<br>b<p>c</blockquote>d", "> a\n> b\n>\n> c\n\nd"},
        {"a<blockquote type=cite>b<blockquote>c</blockquote></blockquote>", "a\n\n> b\n>\n> > c"},
        {"<blockquote><ul><li>a<li>b</ul></blockquote>", "> * a\n> * b"},
        /* tables */
        {"<table><tr><td>a<td>b<tr><th>c</th> <td>d</td></tr></table>e", "a\tb\nc\td\ne"},
        {"<table><tr><td><div>a</div></td><td><p>b</p></td></tr></table>", "a\n\nb"},
        {"<table><tr><td></td><td>a</td><td></td></tr><tr><td>b</td></tr></table>", "a\nb"},
        {"<table><tr><td><table><tr><td>a</table><td>b</table>c", "a\nb\nc"},
        /* links */
        {"<a href='http://x.example/?a=1&amp;b=2&copy=3'>x</a>.", "x <http://x.example/?a=1&b=2&copy=3>."},
        {"<a href='http://x.example/'>http://x.example</a> <a href=https://x.example>X.example</a>",
         "http://x.example X.example"},
        {"<a href=mailto:a@b.example>a@b.example</a>, <a href='mailto:a@b.example'>me</a>",
         "a@b.example, me <mailto:a@b.example>"},
        {"<a href='#x'>a</a><a href='javascript:x'>b</a><a>c</a><a href=''>d</a>", "abcd"},
        {"<a href='http://x/'>a<a href='http://y/'>b</a>", "a <http://x/>b <http://y/>"},
        {"<a href='http://x/'><p>a</p></a><p>b</p>", "a <http://x/>\n\nb"},
        {"a <a href='http://x/'><img src=y></a>", "a <http://x/>"},
        {"<a href='http://x/ y>\n z'>a", "a <http://x/%20y%3E%20z>"},
        {"<a href='http://x/'><img alt='Logo'></a>", "Logo <http://x/>"},
        /* hidden */
        {"a<div style='display: none !important'>b<div>c</div>d</div>e", "a\ne"},
        {"a<span hidden>b<span>c</span>d</span>e", "ae"},
        {"a<p style='display:none'>b<p>c", "a\n\nc"},
        {"<ul><li style='display:none'>a<li>b</ul>", "* b"},
        {"<table><tr><td style='display:none'>a<td>b</table>", "b"},
        {"<table><tr style='display:none'><td>a</td><tr><td>b</table>", "b"},
        {"<div style='max-height:0px;overflow:hidden'>a</div>b<i style='opacity:0.5'>c</i><i style=opacity:0>d</i>",
         "bc"},
        {"<td style='font-size:0px'>shown</td>", "shown"},
        {"<b style='display:none'>a<p>b</b>c</p>d", "c\n\nd"},
        {"<img style='display:none' alt=x>a", "a"},
        {"<div>a</span></b></td></table>b</div>c", "a\nb\nc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check(table[i].html, table[i].text, HTML_READ);
}

static void test_purposes(void **state) {
    (void)state;
    const char *html = "<title>t</title><div style='display:none'>preheader</div><blockquote>a</blockquote><ul><li>b"
                       "</ul><a href='http://x/' title='c'>d</a><img alt='e' title='f'><span hidden>g</span><hr>h";
    check(html, "preheader\nb\nd\nh", HTML_PREVIEW);
    check(html, "> a\n\n* b\n\nd <http://x/>e\n----------------\nh", HTML_READ);
    check(html, "preheader\na\nb\nc d f e\nh", HTML_INDEX);
}

/* Depth, lengths and junk cost constant memory and linear time; the buf's limit is the only error. */
static void test_limits(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "<div>",  "<b hidden>",  "<blockquote>",     "<ul><li>", "<table><tr><td>", "</div>", "<a href=x>",
        "&",      "<!--",        "<style>",          "&notit",   "</style",         "<p",     "<!-- -- ",
        "<a b='", "<pre>\n\n\n", "<ol><li>\xc2\xa0", "<br>a",    "<script></scri",  "<"};
    struct buf html, out;
    buf_init(&html, 1 << 24);
    buf_init(&out, 1 << 27);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        buf_clear(&html);
        buf_clear(&out);
        for (size_t k = 0; k < 50000; k++)
            buf_put_str(&html, pieces[i]);
        buf_put_str(&html, "end");
        html_put_text(&out, buf_view(&html), HTML_READ);
        assert_int_equal(buf_err(&out), ERR_OK);
        assert_true(utf8_is_valid(buf_view(&out)));
    }
    buf_fini(&html);
    buf_fini(&out);
    buf_init(&out, 4);
    html_put_text(&out, VIEW("<p>longer</p><p>than that"), HTML_READ);
    assert_int_equal(buf_err(&out), ERR_LIMIT);
    buf_fini(&out);
}

static void test_charset(void **state) {
    (void)state;
    static const struct {
        const char *html, *charset;
    } table[] = {
        {"", ""},
        {"<p>x", ""},
        {"<html><head><meta charset=\"koi8-r\">", "koi8-r"},
        {"<META CHARSET = big5 >", "big5"},
        {"<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'>", "Shift_JIS"},
        {"<meta content=\"text/html; charset = 'x y'\">", "x"},
        {"<meta content='charset charset=a;b'>", "a"},
        {"<!-- <meta charset=a> --><meta name=x content=y><meta charset=b>", "b"},
        {"<meta charset=utf-16le>", "utf-8"},
        {"\xef\xbb\xbf<meta charset=x>", "utf-8"},
        {"\xff\xfe<", "utf-16le"},
        {"\xfe\xff<", "utf-16be"},
        {"<script><meta charset=a></script>", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_view(html_charset(view_cstr(table[i].html)), table[i].charset);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tokens), cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_layout), cmocka_unit_test(test_purposes),
                                       cmocka_unit_test(test_limits), cmocka_unit_test(test_charset)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
