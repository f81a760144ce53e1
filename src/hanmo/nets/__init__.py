"""Nets. :mod:`hanmo.nets.registry` registers those of hanmo by name; import a module with another one below.

Such a module imports the registry, so the registry cannot import it; this package is imported before any of its
modules.
"""
