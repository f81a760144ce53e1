"""Pages: the paper, what is printed on it, light, camera and the program that stores the picture."""
