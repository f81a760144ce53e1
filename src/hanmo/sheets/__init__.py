"""Sheets of boxed characters: from a photograph of a page to its cells."""
