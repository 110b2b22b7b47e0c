def slug(text, sep="-"):
    """Lower-case words joined by a separator."""
    words = "".join(c.lower() if c.isalnum() else " " for c in text).split()
    return sep.join(words)


def count(text):
    return len(text.split())
