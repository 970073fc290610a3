"""Records of data about tables."""


def record(text="who won?", rows=(("ann", 3), ("bob", None), ("eve", 1.5)), header=("name", "points"), **more):
    return {"context": text, "table": {"header": list(header), "rows": [list(row) for row in rows]}, **more}
