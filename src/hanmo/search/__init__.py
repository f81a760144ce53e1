"""Hyperparameter search: many short trainings that differ in a few values of a recipe, and the best of them."""
