"""The HTTP interface: pictures and strokes in, characters out, and the page to write on. Needs the extra ``serve``."""
