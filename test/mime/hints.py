"""The .json files beside messages of the corpus are another parser's reading: what it says and what we say, field by field."""

import json
import re

NAMES = {"mime_version": "MIME-Version", "message_id": "Message-ID", "content_id": "Content-ID", "dkim_signature": "DKIM-Signature"}


def field_name(name):
    if isinstance(name, dict):
        return name["other"].lower()
    return NAMES.get(name, name.replace("_", "-")).lower()


def squeeze(text):
    return " ".join(text.split()) if isinstance(text, str) else text


def mailbox(entry):
    return [squeeze(entry.get("name")), entry.get("address")]


def groups_of(value):
    """[[group name, [[name, address]...]]...] of a hint."""
    if "List" in value:
        return [[None, [mailbox(entry) for entry in value["List"]]]]
    return [[squeeze(group["name"]), [mailbox(entry) for entry in group["addresses"]]] for group in value["Group"]]


def date_of(value):
    zone = "Z" if not value["tz_hour"] and not value["tz_minute"] else "%s%02d:%02d" % (
        "-" if value["tz_before_gmt"] else "+", value["tz_hour"], value["tz_minute"])
    return "%04d-%02d-%02dT%02d:%02d:%02d%s" % (value["year"], value["month"], value["day"], value["hour"], value["minute"],
                                              value["second"], zone)


def their_value(kind, value):
    """In the terms of `veredus message parse`; None: not comparable."""
    if kind == "Address":
        return groups_of(value)
    if kind == "DateTime":
        return date_of(value)
    if kind == "Text":
        return squeeze(value)
    if kind == "TextList":
        return value
    if kind == "Empty":
        return ""
    return None


def our_value(field):
    if "addresses" in field:
        if "groups" in field:
            return [[squeeze(group["name"]), [[squeeze(a["name"]), a["email"]] for a in group["addresses"]]]
                    for group in field["groups"]]
        return [[None, [[squeeze(a["name"]), a["email"]] for a in field["addresses"]]]]
    for form in ("date", "message_ids", "urls"):
        if form in field:
            return field[form]
    return squeeze(field.get("text", field["raw"]))


def shape_of_hint(message, index=0):
    part = message["parts"][index]
    kind, body = next(iter(part["body"].items()))
    name = next((h["value"]["ContentType"] for h in part["headers"] if h["name"] == "content_type" and "ContentType" in h["value"]),
                {"c_type": "text", "c_subtype": "plain"})
    text = (name["c_type"] + "/" + (name["c_subtype"] or "")).lower()
    if kind == "Multipart":
        return text + "(" + " ".join(shape_of_hint(message, child) for child in body) + ")"
    if kind == "Message":
        return text + "[" + shape_of_hint(body) + "]"
    return text


def shape_of_ours(part):
    if "parts" in part:
        return part["type"] + "(" + " ".join(map(shape_of_ours, part["parts"])) + ")"
    if "message" in part:
        return part["type"] + "[" + shape_of_ours(part["message"]) + "]"
    return part["type"]


def header_differences(part, hint):
    ours = [field["name"].lower() for field in part["headers"]]
    theirs = [field_name(field["name"]) for field in hint["headers"]]
    if ours != theirs:
        yield "fields", ours, theirs
        return
    for field, other in zip(part["headers"], hint["headers"]):
        name = field["name"].lower()
        if other["value"] == "Empty":
            kind, value = "Empty", None
        else:
            kind, value = next(iter(other["value"].items()))
        if kind == "ContentType":
            params = {item["name"].lower(): item["value"] for item in value["attributes"] or []}
            own = part["params"] if name == "content-type" else part["disposition_params"]
            if name in ("content-type", "content-disposition") and own != params:
                yield name + " parameters", own, params
            continue
        theirs = their_value(kind, value)
        own = our_value(field)
        if theirs is not None and not same(name, own, theirs):
            yield name, own, theirs


def same(name, ours, theirs):
    """Apart from the form in which the same is said."""
    if name in ("return-path", "content-id"):  # ours is the text of the field
        ours = ours.strip("<>")
    if name in ("list-id", "list-archive", "list-post", "list-help", "list-subscribe", "list-unsubscribe"):  # an address list for them
        listed = [address for _, pairs in theirs for _, address in pairs]
        return listed == (ours if isinstance(ours, list) else re.findall("<([^>]*)>", ours))
    if isinstance(ours, list) and isinstance(theirs, str):
        theirs = [theirs] if theirs else []
    if name == "date":
        return (ours or "").replace("-00:00", "Z") == (theirs or "")
    return ours == theirs


def body_difference(node, hint):
    kind, body = next(iter(hint["body"].items()))
    if kind in ("Binary", "InlineBinary"):
        theirs, ours = bytes(body), node["body"]
    else:
        theirs, ours = body, node.get("text")
    if theirs != ours:
        yield "body", ours, theirs


def tree_differences(part, node, message, index, path):
    """part: from `veredus message parse`; node: the same of mime_compare, which has bodies."""
    hint = message["parts"][index]
    where = path or "root"
    for field, ours, theirs in header_differences(part, hint):
        yield f"{where} {field}", ours, theirs
    if "parts" in part:
        for i, child in enumerate(hint["body"]["Multipart"]):
            yield from tree_differences(part["parts"][i], node["parts"][i], message, child, f"{path}.{i + 1}".strip("."))
    elif "message" in part:
        yield from tree_differences(part["message"], node["message"], hint["body"]["Message"], 0, f"{path}.message".strip("."))
    else:
        for field, ours, theirs in body_difference(node, hint):
            yield f"{where} {field}", ours, theirs


def differences(shown, read, hint):
    """(place and field, our reading, theirs). When the trees differ, only the message's own header is compared further."""
    ours, theirs = shape_of_ours(shown["structure"]), shape_of_hint(hint)
    if ours != theirs:
        yield "shape", ours, theirs
        for field, own, other in header_differences(shown["structure"], hint["parts"][0]):
            yield f"root {field}", own, other
        return
    yield from tree_differences(shown["structure"], read["tree"], hint, 0, "")
    sections = dict(sections_of(shown["structure"], hint, 0))
    for field in ("text_body", "html_body", "attachments"):
        own = [row if isinstance(row, str) else row["section"] for row in shown["derived"][field]]
        other = [sections[index] for index in hint[field]]
        if own != other:
            yield field, own, other


def sections_of(part, message, index):
    """(number of a part in the hint, its section) for all of one message."""
    yield index, part["section"]
    for child, number in zip(part.get("parts", []), message["parts"][index]["body"].get("Multipart", [])):
        yield from sections_of(child, message, number)


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))
