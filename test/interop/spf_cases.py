"""The SPF test suite (rfc7208-tests.yml) for those who do not read YAML.

    spf_cases.py FILE    prints one line a scenario, a record and a case, fields separated by tabs,
                         texts in hexadecimal:

    S description
    Z name TYPE text             TYPE is A, AAAA, MX, TXT, PTR, CNAME or TIMEOUT
    T name helo ip mailfrom results explanation    results: "pass|neutral"; explanation may be empty
"""
import sys


def text_of(kind, value):
    if kind in ("TXT", "SPF"):
        return "".join(value) if isinstance(value, list) else value
    if kind == "MX":
        return f"{value[0]} {value[1]}"
    return str(value)


def records_of(zone):
    """(name, type, text) of a scenario; the suite's SPF records are TXT records wherever a name has no TXT of its own."""
    for name, records in zone.items():
        pairs = [pair for record in records if isinstance(record, dict) for pair in record.items()]
        has_text = "TIMEOUT" in records or any(kind == "TXT" for kind, _ in pairs)
        if "TIMEOUT" in records:
            yield name, "TIMEOUT", ""
        for kind, value in pairs:
            if kind == "SPF" and not has_text:
                yield name, "TXT", text_of(kind, value)
            elif kind != "SPF" and value != "NONE":
                yield name, kind, text_of(kind, value)


def scenarios(path):
    """[(description, [(name, type, text)], {case: {...}})]"""
    import yaml

    with open(path, encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    return [(d["description"], list(records_of(d["zonedata"])), d["tests"]) for d in documents if d]


def hex_of(text):
    return text.encode("latin-1" if all(ord(c) < 256 for c in text) else "utf-8").hex()


def main():
    for description, records, cases in scenarios(sys.argv[1]):
        print("S", hex_of(description), sep="\t")
        for name, kind, text in records:
            print("Z", hex_of(name), kind, hex_of(text), sep="\t")
        for name, case in cases.items():
            results = case["result"] if isinstance(case["result"], list) else [case["result"]]
            explanation = case.get("explanation", "")
            print("T", name, hex_of(case["helo"]), case["host"], hex_of(case["mailfrom"]), "|".join(results), hex_of(explanation), sep="\t")


if __name__ == "__main__":
    main()
