"""Where the reading beside a message (hints.py) is not ours: who is right, and why, as a careful reader would decide it."""

EMPTY = "every delimiter begins a part (RFC2046-5.1.1), also one at the end or before the next"
OUTER = "the delimiter of the outer multipart ends the inner one (RFC2046-5.1.2)"
DIGEST = "RFC2046-5.1.5: in a digest the type is message/rfc822 unless something else is said; they say so in the tree only"
NAME_ONLY = "no address at all: RFC8621-4.1.2.3 leaves open whether it is a name or an address"
FIRST_TYPE = "of two Content-Type fields the first counts"
INLINE = "RFC8621-4.1.4: what can be shown between texts is body, and no attachment when both forms show it"
NOT_BASE64 = "words that only say they are base64"

# (name without .eml, place and field): (who is right, why)
HINTS = {
    ("dovecot-malformed/000", "shape"): ("we", EMPTY),
    ("dovecot-malformed/001", "shape"): ("we", OUTER + ", whose own delimiter never comes: it is text"),
    ("dovecot-malformed/002", "shape"): ("we", "a multipart without any part is text that should be seen"),
    ("dovecot-malformed/003", "text_body"): ("we", "text without a name is body, however deep"),
    ("dovecot-malformed/003", "html_body"): ("we", "text without a name is body, however deep"),
    ("dovecot-malformed/003", "attachments"): ("we", "text without a name is body, however deep"),
    ("dovecot-malformed/006", "text_body"): ("we", "text without a name is body, however deep"),
    ("dovecot-malformed/006", "html_body"): ("we", "text without a name is body, however deep"),
    ("dovecot-malformed/006", "attachments"): ("we", "text without a name is body, however deep"),
    ("dovecot-malformed/017", "text_body"): ("we", "RFC2183-2.8: a disposition that is not known is an attachment"),
    ("dovecot-malformed/017", "html_body"): ("we", "RFC2183-2.8: a disposition that is not known is an attachment"),
    ("dovecot-malformed/004", "shape"): ("we", '"--ab" is no delimiter of "a", nor does it open one'),
    ("dovecot-malformed/007", "shape"): ("we", "a delimiter ends a header that lacks its empty line, and begins the part"),
    ("dovecot-malformed/008", "shape"): ("we", '"--ab" belongs to the outer multipart'),
    ("dovecot-malformed/009", "shape"): ("we", OUTER),
    ("dovecot-malformed/011", "shape"): ("we", OUTER),
    ("dovecot-malformed/012", "shape"): ("we", OUTER),
    ("dovecot-malformed/013", "shape"): ("both", EMPTY),
    ("dovecot-malformed/014", "shape"): ("both", EMPTY),
    ("dovecot-malformed/016", "shape"): ("we", "the longest boundary is the outermost one's"),
    ("dovecot-malformed/017", "1 content-disposition"): ("both", "a disposition without a token: we show the text of the field"),
    ("dovecot-malformed/019", "5.2.1 body"): ("we", "a header cannot begin with white space: the line is body"),
    ("dovecot-malformed/019", "5.2.2 body"): ("we", '"Content-Tp>" is no field: it is body'),
    ("dovecot-malformed/020", "shape"): ("we", FIRST_TYPE),
    ("dovecot-malformed/021", "shape"): ("we", FIRST_TYPE),
    ("dovecot-malformed/022", "shape"): ("both", "what is attached as a message is one, with nothing but a body"),
    ("dovecot-thirdparty/001", "1 body"): ("we", "binary: the octets as they are, CRLF too"),
    ("dovecot-thirdparty/001", "3 body"): ("we", "CRLF is not made LF"),
    ("dovecot-thirdparty/002", "2 body"): ("we", "what follows the padding is no base64"),
    ("dovecot-thirdparty/002", "3 body"): ("both", "octets outside the alphabet are skipped (RFC2045-6.8); that leaves garbage, as the part says"),
    ("dovecot-thirdparty/002", "text_body"): ("we", "text is body, though its encoding is broken"),
    ("dovecot-thirdparty/002", "html_body"): ("we", "text is body, though its encoding is broken"),
    ("dovecot-thirdparty/002", "attachments"): ("we", "text is body, though its encoding is broken"),
    ("dovecot-thirdparty/005", "5 body"): ("we", '"--1--" in the middle of a line is no delimiter'),
    ("dovecot-thirdparty/007", "shape"): ("we", DIGEST),
    ("dovecot-thirdparty/010", "root content-type parameters"): ("both", "of two parameters with one name the first counts, though empty"),
    ("dovecot-thirdparty/013", "attachments"): ("we", INLINE),
    ("dovecot-thirdparty/015", "shape"): ("we", "the attached messages are three; two say multipart but have no part, the header of the third ends before: text"),
    ("rfc/000", "text_body"): ("we", INLINE),
    ("rfc/000", "html_body"): ("we", INLINE),
    ("rfc/000", "attachments"): ("we", INLINE),
    ("rfc/000", "3.1 body"): ("both", NOT_BASE64),
    ("rfc/000", "3.2 body"): ("both", NOT_BASE64),
    ("rfc/000", "5.message from"): ("we", "a comment alone is no address"),
    ("rfc/000", "5.message to"): ("we", "a comment alone is no address"),
    ("rfc/001", "root from"): ("both", NAME_ONLY),
    ("rfc/001", "root to"): ("both", NAME_ONLY),
    ("rfc/002", "2.message to"): ("we", "a comment in the middle of a name is left out (RFC5322-3.2.2)"),
    ("rfc/004", "shape"): ("we", DIGEST),
    ("rfc/004", "root from"): ("both", NAME_ONLY),
    ("rfc/004", "root to"): ("both", NAME_ONLY),
    ("rfc/008", "shape"): ("both", "message/rfc822 in base64, which RFC2046-5.2.1 forbids: for us one part, whose decoded body is a message"),
    ("rfc/009", "2.message from"): ("both", NAME_ONLY),
}
