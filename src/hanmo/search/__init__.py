"""A search over recipes: many short trainings that differ in a few values, and the best of them."""
