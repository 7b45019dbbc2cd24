"""Two readings of one message, side by side: what differs, and where."""

import re


def space(text):
    """White space is no difference: folds are undone in more than one right way."""
    return " ".join(text.split()) if isinstance(text, str) else text


class Difference:
    """One field that two readers see differently. ours and theirs are nodes of the tree, or values of a header field."""

    def __init__(self, octets, reader, field, ours, theirs, path, root):
        self.octets, self.reader, self.field = octets, reader, field
        self.ours, self.theirs, self.path, self.root = ours, theirs, path, root

    def header(self, node=None):
        """The octets of our node's header; without a node the message's."""
        at, size = (node or self.root)["header_at"]
        return self.octets[at:at + size]

    def body(self, node=None):
        at, size = (node or self.ours)["body_at"]
        return self.octets[at:at + size]

    def values(self, name, node=None):
        """The unfolded values of all fields of that name."""
        found = re.findall(rb"(?im)^" + name + rb"[ \t]*:((?:[^\r\n]|\r?\n[ \t]|\r(?!\n))*)", self.header(node))
        return [re.sub(rb"\r?\n", b"", value).strip(b" \t\r") for value in found]

    def __str__(self):
        return f"{self.reader} {self.field}: ours {brief(self.ours)!r}, theirs {brief(self.theirs)!r}"


def brief(value):
    return shape(value) if isinstance(value, dict) and "type" in value else value


def shape(node):
    if node is None:
        return "null"
    if "parts" in node:
        return node["type"] + "(" + " ".join(shape(part) for part in node["parts"]) + ")"
    if "message" in node:
        return node["type"] + "[" + shape(node["message"]) + "]"
    return node["type"]


def trees(ours, theirs, path=()):
    """(field, our node, their node, the nodes around ours) wherever the trees part ways; leaves are compared too."""
    if theirs is None or ours["type"] != theirs["type"]:
        yield "type", ours, theirs, path
    elif "parts" in ours and "parts" in theirs:
        if len(ours["parts"]) != len(theirs["parts"]):
            yield "parts", ours, theirs, path
        else:
            for one, other in zip(ours["parts"], theirs["parts"]):
                yield from trees(one, other, path + (ours,))
    elif "message" in ours and "message" in theirs:
        yield from trees(ours["message"], theirs["message"], path + (ours,))
    elif "parts" in ours or "parts" in theirs or "message" in ours or "message" in theirs:
        yield "kind", ours, theirs, path
    else:
        if "error" in theirs or ("crc" in theirs and (ours["size"], ours["crc"]) != (theirs["size"], theirs["crc"])):
            yield "body", ours, theirs, path
        elif "text_crc" in theirs and ours["text_crc"] != theirs["text_crc"]:
            yield "text", ours, theirs, path
        if space(ours.get("name")) != space(theirs.get("name")):
            yield "name", ours, theirs, path


def mailboxes(value):
    return [[space(name) or None, address] for name, address in value] if isinstance(value, list) else value


def differences(octets, reader, ours, theirs):
    if theirs is None:
        return [Difference(octets, reader, "message", ours["tree"], None, (), ours["tree"])]
    found = [Difference(octets, reader, field, one, other, path, ours["tree"])
             for field, one, other, path in trees(ours["tree"], theirs["tree"])]
    for field in ("subject", "date", "from", "to", "cc"):
        normal = space if field == "subject" else mailboxes
        one, other = normal(ours[field]), normal(theirs[field])
        if one != other:
            found.append(Difference(octets, reader, field, one, other, (), ours["tree"]))
    return found
