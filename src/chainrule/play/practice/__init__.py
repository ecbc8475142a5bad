"""Chain-rule practice: exercises that the engine makes from a seed, grades and explains."""
